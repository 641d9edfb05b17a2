// Blocks with one f16 scale, or scale and min, for all their elements: Q4_0, Q5_0, IQ4_NL, Q4_1, Q5_1.
#pragma once
#include "tensor/encode/fit.h"

namespace rf::encode {

template <class F, class L>
void encode_plain(const float* x, const float* w, typename F::Block& block, const ScaleGrid& grid) {
  block.d = f32_to_f16(fit_scale<L, F::elements>(x, w, grid).scale);
  const float d = f16_to_f32(block.d), inverse = d == 0 ? 0 : 1 / d;
  for (int k = 0; k < F::elements; ++k) F::put(block, k, L::code(L::nearest(x[k] * inverse)));
}

template <class F>
void encode_line(const float* x, const float* w, typename F::Block& block, const ScaleGrid& grid) {
  const LineFit fit = fit_line<F::top, F::elements, false>(x, w, grid);
  block.d = f32_to_f16(fit.scale);
  block.m = f32_to_f16(fit.offset);
  const float d = f16_to_f32(block.d), m = f16_to_f32(block.m), inverse = d == 0 ? 0 : 1 / d;
  for (int k = 0; k < F::elements; ++k)
    F::put(block, k, static_cast<int>(nearest_code<F::top>((x[k] - m) * inverse)));
}

}  // namespace rf::encode
