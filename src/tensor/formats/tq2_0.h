// TQ2_0: 256 elements, d * (code - 1), two bits a code.
#pragma once
#include "tensor/formats/format.h"

namespace rf {

struct TQ2_0 {
  static constexpr std::uint32_t id = 35;
  static constexpr int elements = 256, group = 32, zero = 1, top = 3;
  static constexpr bool has_min = false, sub_scales = false;
  struct Block {
    std::uint8_t qs[64];  // 32 (s / 4) + l, bits 2 (s % 4): element 32 s + l
    std::uint16_t d;
  };
  static_assert(sizeof(Block) == 66);
  static constexpr Field fields[] = {{64, 2, 2}, {0, 64, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d);
    for (int k = 0; k < 256; ++k) {
      const int code = b.qs[32 * (k >> 7) + (k & 31)] >> 2 * (k >> 5 & 3) & 3;
      y[k] = static_cast<float>(code - 1) * d;
    }
  }

  static void put(Block& b, int k, int code) {
    put_bits(b.qs[32 * (k >> 7) + (k & 31)], code, 2 * (k >> 5 & 3));
  }

  template <class V>
  static V codes(const auto& t, int s, int i) {
    return V::load(t.field[1] + 64 * (8 * (s >> 2) + i)).bits(2 * (s & 3), 3);
  }
};

}  // namespace rf
