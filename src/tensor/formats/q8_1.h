// Q8_1: 32 elements, d * code, signed bytes; s, which is d times their sum, is for other uses than decoding.
#pragma once
#include "tensor/formats/format.h"

namespace rf {

struct Q8_1 {
  static constexpr std::uint32_t id = 9;
  static constexpr int elements = 32, group = 32, zero = 128, top = 255;
  static constexpr bool has_min = false, sub_scales = false;
  struct Block {
    std::uint16_t d, s;
    std::int8_t qs[32];
  };
  static_assert(sizeof(Block) == 36);
  static constexpr Field fields[] = {{0, 4, 2}, {4, 32, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d);
    for (int i = 0; i < 32; ++i) y[i] = static_cast<float>(b.qs[i]) * d;
  }

  template <class V>
  static V codes(const auto& t, int, int i) {
    return V::load(t.field[1] + 64 * i).flip(0x80);
  }
};

}  // namespace rf
