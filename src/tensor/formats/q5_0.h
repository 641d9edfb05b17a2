// Q5_0: 32 elements, d * (code - 16).
#pragma once
#include "tensor/formats/bit_planes.h"
#include "tensor/formats/format.h"

namespace rf {

struct Q5_0 {
  static constexpr std::uint32_t id = 6;
  static constexpr int elements = 32, group = 32, zero = 16, top = 31;
  static constexpr bool has_min = false, sub_scales = false;
  struct Block {
    std::uint16_t d;
    std::uint8_t qh[4];
    std::uint8_t qs[16];  // elements i (low nibble) and i + 16 (high)
  };
  static_assert(sizeof(Block) == 22);
  static constexpr Field fields[] = {{0, 2, 2}, {2, 4, 4}, {6, 16, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d);
    for (int i = 0; i < 16; ++i) {
      const int low = b.qh[i >> 3] >> (i & 7) & 1, high = b.qh[2 + (i >> 3)] >> (i & 7) & 1;
      y[i] = static_cast<float>(((b.qs[i] & 15) | low << 4) - 16) * d;
      y[i + 16] = static_cast<float>(((b.qs[i] >> 4) | high << 4) - 16) * d;
    }
  }

  static void put(Block& b, int k, int code) {
    put_bits(b.qs[k & 15], code & 15, 4 * (k >> 4));
    put_bits(b.qh[k >> 3], code >> 4, k & 7);
  }

  static void arrange(Block& b) { to_planes(b.qh); }
  static void restore(Block& b) { from_planes(b.qh); }

  template <class V>
  static V codes(const auto& t, int, int i) {
    return V::load(t.field[2] + 64 * (i & 3)).bits(4 * (i >> 2), 15) | V::load(t.field[1]).moved_bit(i, 4);
  }
};

}  // namespace rf
