// Q4_1: 32 elements, d * code + m.
#pragma once
#include "tensor/formats/format.h"

namespace rf {

struct Q4_1 {
  static constexpr std::uint32_t id = 3;
  static constexpr int elements = 32, group = 32, zero = 0, top = 15;
  static constexpr bool has_min = true, sub_scales = false;
  static constexpr float min_sign = 1;
  struct Block {
    std::uint16_t d, m;
    std::uint8_t qs[16];  // elements i (low nibble) and i + 16 (high)
  };
  static_assert(sizeof(Block) == 20);
  static constexpr Field fields[] = {{0, 4, 2}, {4, 16, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d), m = f16_to_f32(b.m);
    for (int i = 0; i < 16; ++i) {
      y[i] = static_cast<float>(b.qs[i] & 15) * d + m;
      y[i + 16] = static_cast<float>(b.qs[i] >> 4) * d + m;
    }
  }

  static void put(Block& b, int k, int code) { put_bits(b.qs[k & 15], code, 4 * (k >> 4)); }

  template <class V>
  static V codes(const auto& t, int, int i) {
    return V::load(t.field[1] + 64 * (i & 3)).bits(4 * (i >> 2), 15);
  }
};

}  // namespace rf
