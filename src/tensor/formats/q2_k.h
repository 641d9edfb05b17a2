// Q2_K: 256 elements in 16 groups, d * scale * code - dmin * min, four bits a scale and a min.
#pragma once
#include "tensor/formats/format.h"

namespace rf {

struct Q2_K {
  static constexpr std::uint32_t id = 10;
  static constexpr int elements = 256, group = 16, zero = 0, top = 3;
  static constexpr bool has_min = true, sub_scales = true;
  static constexpr float min_sign = -1;
  struct Block {
    std::uint8_t scales[16];  // low nibble scale, high nibble min
    std::uint8_t qs[64];      // 32 (s / 4) + l, bits 2 (s % 4): element 32 s + l
    std::uint16_t d, dmin;
  };
  static_assert(sizeof(Block) == 84);
  static constexpr Field fields[] = {{80, 4, 2}, {0, 16, 1}, {16, 64, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d), dmin = f16_to_f32(b.dmin);
    for (int k = 0; k < 256; ++k) {
      const int s = k >> 5, scale = b.scales[k >> 4];
      const int code = b.qs[32 * (s >> 2) + (k & 31)] >> 2 * (s & 3) & 3;
      y[k] = d * static_cast<float>(scale & 15) * static_cast<float>(code) -
             dmin * static_cast<float>(scale >> 4);
    }
  }

  static constexpr int scale_top = 15;
  static void put(Block& b, int k, int code) {
    put_bits(b.qs[32 * (k >> 7) + (k & 31)], code, 2 * (k >> 5 & 3));
  }
  static void put_scales(Block& b, int g, int scale, int min) { put_bits(b.scales[g], scale | min << 4, 0); }

  template <class V>
  static V codes(const auto& t, int s, int i) {
    return V::load(t.field[2] + 64 * (8 * (s >> 2) + i)).bits(2 * (s & 3), 3);
  }
  template <class B>
  static B scale_codes(const auto& t, int g) {
    return B::load(t.field[1] + 16 * g).bits(0, 15);
  }
  template <class B>
  static B min_codes(const auto& t, int g) {
    return B::load(t.field[1] + 16 * g).bits(4, 15);
  }
};

}  // namespace rf
