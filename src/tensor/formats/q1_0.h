// Q1_0: 128 elements, d for a bit that is set, -d for one that is not.
#pragma once
#include "tensor/formats/bit_planes.h"
#include "tensor/formats/format.h"

namespace rf {

struct Q1_0 {
  static constexpr std::uint32_t id = 41;
  static constexpr int elements = 128, group = 32, zero = 1, top = 2;
  static constexpr bool has_min = false, sub_scales = false;
  struct Block {
    std::uint16_t d;
    std::uint8_t qs[16];  // bit k: element k
  };
  static_assert(sizeof(Block) == 18);
  static constexpr Field fields[] = {{0, 2, 2}, {2, 16, 4}};

  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d);
    for (int k = 0; k < 128; ++k) y[k] = b.qs[k >> 3] >> (k & 7) & 1 ? d : -d;
  }

  static void arrange(Block& b) {
    for (int s = 0; s < 4; ++s) to_planes(b.qs + 4 * s);
  }
  static void restore(Block& b) {
    for (int s = 0; s < 4; ++s) from_planes(b.qs + 4 * s);
  }

  template <class V>
  static V codes(const auto& t, int s, int i) {
    return V::load(t.field[1] + 64 * s).moved_bit(i, 1);
  }
};

}  // namespace rf
