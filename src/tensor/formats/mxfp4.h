// MXFP4: 32 elements of E2M1 under a power of two (OCP Microscaling Formats 1.0).
#pragma once
#include "tensor/formats/format.h"

namespace rf {

// E2M1 doubled, so that all are whole: the code's fourth bit is the sign.
struct E2M1 {
  static constexpr std::int8_t values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  static constexpr int zero = 12, top = 24;
  alignas(16) static constexpr std::uint8_t codes[16] = {12, 13, 14, 15, 16, 18, 20, 24,
                                                         12, 11, 10, 9,  8,  6,  4,  0};
};

struct MXFP4 {
  static constexpr std::uint32_t id = 39;
  static constexpr int elements = 32, group = 32, zero = E2M1::zero, top = E2M1::top;
  static constexpr bool has_min = false, sub_scales = false;
  struct Block {
    std::uint8_t e;       // E8M0: the scale of doubled values is 2^(e - 128)
    std::uint8_t qs[16];  // elements i (low nibble) and i + 16 (high)
  };
  static_assert(sizeof(Block) == 17);
  static constexpr Field fields[] = {{0, 1, 1}, {1, 16, 4}};

  static void decode(const Block& b, float* y) {
    const float d = float_of_bits(b.e < 2 ? 0x200000u << b.e : (b.e - 1u) << 23);
    for (int i = 0; i < 16; ++i) {
      y[i] = static_cast<float>(E2M1::values[b.qs[i] & 15]) * d;
      y[i + 16] = static_cast<float>(E2M1::values[b.qs[i] >> 4]) * d;
    }
  }

  static void put(Block& b, int k, int code) { put_bits(b.qs[k & 15], code, 4 * (k >> 4)); }

  template <class V>
  static V codes(const auto& t, int, int i) {
    return V::load(t.field[1] + 64 * (i & 3)).bits(4 * (i >> 2), 15).lookup(V::sixteen(E2M1::codes));
  }
  template <class F, class B>
  static F scale(const auto& t, int) {
    return e8m0(B::load(t.field[0])) * F::set1(0.5f);
  }
};

}  // namespace rf
