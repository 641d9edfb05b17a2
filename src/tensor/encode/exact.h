// Formats that a rule defines to the last bit, whatever the weights: Q8_0, MXFP4, TQ1_0, TQ2_0.
#pragma once
#include <algorithm>
#include <cmath>

#include "tensor/formats/mxfp4.h"
#include "tensor/formats/q8_0.h"
#include "tensor/formats/tq1_0.h"
#include "tensor/formats/tq2_0.h"

namespace rf::encode {

inline float largest_magnitude(const float* x, int n) {
  float largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
  return largest;
}

// d is the largest magnitude over 127; codes are rounded with d as it was before it became an f16.
inline void encode_exact(const float* x, Q8_0::Block& block) {
  const float d = largest_magnitude(x, Q8_0::elements) / 127;
  block.d = f32_to_f16(d);
  const float inverse = block.d == 0 ? 0 : 1 / d;
  for (int k = 0; k < Q8_0::elements; ++k) block.qs[k] = static_cast<std::int8_t>(std::round(x[k] * inverse));
}

// The largest magnitude's exponent less that of E2M1's largest value (OCP Microscaling Formats 1.0, 6.3);
// values take the nearest code, of two equally near the smaller magnitude.
inline void encode_exact(const float* x, MXFP4::Block& block) {
  const float largest = largest_magnitude(x, MXFP4::elements);
  if (largest == 0) return;
  const int exponent = static_cast<int>(std::floor(std::log2(largest))) - 2;
  block.e = static_cast<std::uint8_t>(std::clamp(exponent + 127, 0, 254));
  const float d = float_of_bits(block.e < 2 ? 0x200000u << block.e : (block.e - 1u) << 23);
  for (int k = 0; k < MXFP4::elements; ++k) {
    int best = 0;
    for (int c = 1; c < 16; ++c) {
      const auto away = [&](int code) { return std::abs(static_cast<float>(E2M1::values[code]) * d - x[k]); };
      if (away(c) < away(best)) best = c;
    }
    MXFP4::put(block, k, best);
  }
}

// Minus, none or plus the largest magnitude: -1, 0 and 1 as 0, 1 and 2.
inline float ternary(const float* x, int n, std::uint8_t* codes) {
  const float d = largest_magnitude(x, n), inverse = f32_to_f16(d) == 0 ? 0 : 1 / d;
  for (int k = 0; k < n; ++k)
    codes[k] = static_cast<std::uint8_t>(1 + static_cast<int>(std::round(x[k] * inverse)));
  return d;
}

inline void encode_exact(const float* x, TQ2_0::Block& block) {
  std::uint8_t codes[TQ2_0::elements];
  block.d = f32_to_f16(ternary(x, TQ2_0::elements, codes));
  for (int k = 0; k < TQ2_0::elements; ++k) TQ2_0::put(block, k, codes[k]);
}

inline void encode_exact(const float* x, TQ1_0::Block& block) {
  std::uint8_t codes[TQ1_0::elements];
  block.d = f32_to_f16(ternary(x, TQ1_0::elements, codes));
  // The smallest byte whose fraction of 256 has these digits; a missing fifth one is 0.
  const auto byte = [&](int first, int stride, int digits) {
    int number = 0;
    for (int n = 0; n < 5; ++n) number = 3 * number + (n < digits ? codes[first + stride * n] : 0);
    return static_cast<std::uint8_t>((number * 256 + 242) / 243);
  };
  for (int m = 0; m < 32; ++m) block.qs[m] = byte(m, 32, 5);
  for (int m = 0; m < 16; ++m) block.qs[32 + m] = byte(160 + m, 16, 5);
  for (int j = 0; j < 4; ++j) block.qh[j] = byte(240 + j, 4, 4);
}

}  // namespace rf::encode
