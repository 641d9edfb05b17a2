// NVFP4: 64 elements of E2M1, for every 16 an unsigned E4M3 scale.
#pragma once
#include "tensor/formats/mxfp4.h"

namespace rf {

struct NVFP4 {
  static constexpr std::uint32_t id = 40;
  static constexpr int elements = 64, group = 16, zero = E2M1::zero, top = E2M1::top;
  static constexpr bool has_min = false, sub_scales = false;
  struct Block {
    std::uint8_t scales[4];
    std::uint8_t qs[32];  // of group g: byte 8 g + i holds elements i (low nibble) and i + 8 (high)
  };
  static_assert(sizeof(Block) == 36);
  static constexpr Field fields[] = {{0, 4, 1}, {4, 32, 4}};

  // The scale of doubled values. E4M3 with bias 7, of which bit 7 counts for nothing, but 0x7f alone is NaN
  // and stands for 0: the bits of an f16, whose bias is 15, in the upper part of its mantissa.
  static float scale_of(std::uint8_t bits) {
    return bits == 0x7f ? 0 : f16_to_f32(static_cast<std::uint16_t>((bits & 127) << 7)) * 128.0f;
  }
  static void decode(const Block& b, float* y) {
    for (int k = 0; k < 64; ++k) {
      const int g = k >> 4, code = b.qs[8 * g + (k & 7)] >> 4 * (k >> 3 & 1) & 15;
      y[k] = static_cast<float>(E2M1::values[code]) * scale_of(b.scales[g]);
    }
  }

  template <class V>
  static V codes(const auto& t, int s, int i) {
    const int line = 2 * (2 * s + (i >> 2)) + (i & 1);
    return V::load(t.field[1] + 64 * line).bits(4 * (i >> 1 & 1), 15).lookup(V::sixteen(E2M1::codes));
  }
  template <class F, class B>
  static F scale(const auto& t, int g) {
    return f16_of(B::load(t.field[0] + 16 * g).without(0x7f).bits(0, 127), 7) * F::set1(128.0f);
  }
};

}  // namespace rf
