// Q4_0: 32 elements, d * (code - 8).
#pragma once
#include "tensor/formats/format.h"

namespace rf {

struct Q4_0 {
  static constexpr std::uint32_t id = 2;
  static constexpr int elements = 32, group = 32, zero = 8, top = 15;
  static constexpr bool has_min = false, sub_scales = false;
  struct Block {
    std::uint16_t d;
    std::uint8_t qs[16];  // elements i (low nibble) and i + 16 (high)
  };
  static_assert(sizeof(Block) == 18);
  static constexpr Field fields[] = {{0, 2, 2}, {2, 16, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d);
    for (int i = 0; i < 16; ++i) {
      y[i] = static_cast<float>((b.qs[i] & 15) - 8) * d;
      y[i + 16] = static_cast<float>((b.qs[i] >> 4) - 8) * d;
    }
  }

  static void put(Block& b, int k, int code) { put_bits(b.qs[k & 15], code, 4 * (k >> 4)); }

  template <class V>
  static V codes(const auto& t, int, int i) {
    return V::load(t.field[1] + 64 * (i & 3)).bits(4 * (i >> 2), 15);
  }
};

}  // namespace rf
