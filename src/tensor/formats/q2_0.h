// Q2_0: 64 elements, d * (code - 1), two bits a code: -1, 0, 1, 2.
#pragma once
#include "tensor/formats/format.h"

namespace rf {

struct Q2_0 {
  static constexpr std::uint32_t id = 42;
  static constexpr int elements = 64, group = 32, zero = 1, top = 3;
  static constexpr bool has_min = false, sub_scales = false;
  struct Block {
    std::uint16_t d;
    std::uint8_t qs[16];  // byte k, bits 2 j: element 4 k + j
  };
  static_assert(sizeof(Block) == 18);
  static constexpr Field fields[] = {{0, 2, 2}, {2, 16, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d);
    for (int k = 0; k < 64; ++k) y[k] = static_cast<float>((b.qs[k >> 2] >> 2 * (k & 3) & 3) - 1) * d;
  }

  // In a tile bits 2 i of byte 4 q + j are element 16 q + 4 i + j's: pairs of bits change places in fours of
  // bytes, and again back.
  static void arrange(Block& b) {
    for (int q = 0; q < 4; ++q) {
      std::uint8_t out[4] = {};
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j)
          out[j] = static_cast<std::uint8_t>(out[j] | (b.qs[4 * q + i] >> 2 * j & 3) << 2 * i);
      for (int j = 0; j < 4; ++j) b.qs[4 * q + j] = out[j];
    }
  }
  static void restore(Block& b) { arrange(b); }

  template <class V>
  static V codes(const auto& t, int s, int i) {
    return V::load(t.field[1] + 64 * (2 * s + (i >> 2))).bits(2 * (i & 3), 3);
  }
};

}  // namespace rf
