// TQ1_0: 256 elements, d * (digit - 1), five base-3 digits in a byte.
#pragma once
#include "tensor/formats/tq2_0.h"

namespace rf {

// A byte b holds the digits of the fraction b / 256, the first digit first: digit n is the whole part of 3 f
// where f is the fractional part of 3^n b / 256.
struct TQ1_0 {
  static constexpr std::uint32_t id = 34;
  static constexpr int elements = 256, group = 32, zero = 1, top = 2;
  static constexpr bool has_min = false, sub_scales = false;
  struct Block {
    std::uint8_t qs[48];  // bytes m < 32, digit n: element 32 n + m; then m < 16: element 160 + 16 n + m
    std::uint8_t qh[4];   // digit n < 4 of byte j: element 240 + 4 n + j
    std::uint16_t d;
  };
  static_assert(sizeof(Block) == 54);
  static constexpr Field fields[] = {{52, 2, 2}, {0, 48, 4}, {48, 4, 4}};

  static int digit(int byte, int n) {
    for (; n > 0; --n) byte = 3 * byte & 255;
    return 3 * byte >> 8;
  }
  static void decode(const Block& b, float* y) {
    const float d = f16_to_f32(b.d);
    const auto value = [d](int byte, int n) { return static_cast<float>(digit(byte, n) - 1) * d; };
    for (int k = 0; k < 160; ++k) y[k] = value(b.qs[k & 31], k >> 5);
    for (int k = 0; k < 80; ++k) y[160 + k] = value(b.qs[32 + (k & 15)], k >> 4);
    for (int k = 0; k < 16; ++k) y[240 + k] = value(b.qh[k & 3], k >> 2);
  }

  // Spread (formats/spread.h), it is TQ2_0.
  using Spread = TQ2_0;
  static void spread(const Block& b, Spread::Block& out) {
    out.d = b.d;
    for (int k = 0; k < 160; ++k) Spread::put(out, k, digit(b.qs[k & 31], k >> 5));
    for (int k = 0; k < 80; ++k) Spread::put(out, 160 + k, digit(b.qs[32 + (k & 15)], k >> 4));
    for (int k = 0; k < 16; ++k) Spread::put(out, 240 + k, digit(b.qh[k & 3], k >> 2));
  }

  template <class V>
  static V codes(const auto& t, int s, int i) {
    if (s < 5) return V::load(t.field[1] + 64 * i).base3_digit(s);
    const int quad = 8 * (s - 5) + i;  // past element 160
    if (quad < 20) return V::load(t.field[1] + 64 * (8 + (quad & 3))).base3_digit(quad >> 2);
    return V::load(t.field[2]).base3_digit(quad - 20);
  }
};

}  // namespace rf
