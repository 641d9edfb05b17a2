// Q8_K: 256 elements, d * code, signed bytes under an f32 scale; the sums of 16 codes are for other uses.
#pragma once
#include "tensor/formats/format.h"

namespace rf {

struct Q8_K {
  static constexpr std::uint32_t id = 15;
  static constexpr int elements = 256, group = 32, zero = 128, top = 255;
  static constexpr bool has_min = false, sub_scales = false;
  struct Block {
    float d;
    std::int8_t qs[256];
    std::int16_t sums[16];
  };
  static_assert(sizeof(Block) == 292);
  static constexpr Field fields[] = {{0, 4, 4}, {4, 256, 4}, {260, 32, 2}};

  static void decode(const Block& b, float* y) {
    for (int i = 0; i < 256; ++i) y[i] = b.d * static_cast<float>(b.qs[i]);
  }

  template <class V>
  static V codes(const auto& t, int s, int i) {
    return V::load(t.field[1] + 64 * (8 * s + i)).flip(0x80);
  }
  template <class F, class B>
  static F scale(const auto& t, int) {
    return F::load(as_floats(t.field[0]));
  }
};

}  // namespace rf
