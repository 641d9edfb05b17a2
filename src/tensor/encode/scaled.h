// Blocks of 256 elements whose groups have scale codes under one f16 scale (Q3_K, Q6_K, IQ4_XS), or scale and
// min codes under two (Q2_K, Q4_K, Q5_K). Every group is fitted by itself first; then the block's scales and
// the groups' codes are improved in turn, each with the others held.
#pragma once
#include <algorithm>

#include "tensor/encode/fit.h"

namespace rf::encode {

constexpr int descent_rounds = 3;

inline int rounded(float value, int low, int high) {
  const float whole = std::nearbyint(value);
  if (!(whole > static_cast<float>(low))) return low;
  return whole < static_cast<float>(high) ? static_cast<int>(whole) : high;
}

template <class F, class L>
class ScaledBlock {
 public:
  ScaledBlock(const float* x, const float* w) : x_(x), w_(w) {}

  void encode(typename F::Block& block, const ScaleGrid& grid) {
    for (int g = 0; g < groups; ++g)
      wish_[g] = fit_scale<L, F::group>(x_ + F::group * g, w_ + F::group * g, grid).scale;
    const float largest = extreme(wish_, groups);
    if (largest != 0) descend(largest / static_cast<float>(F::scale_low));
    write(block);
  }

 private:
  static constexpr int groups = F::elements / F::group;
  struct State {
    std::uint16_t d = 0;
    int scale[groups] = {};
    float error = std::numeric_limits<float>::infinity();
  };

  void descend(float d) {
    for (int round = 0; round < descent_rounds; ++round) {
      State state;
      state.d = f32_to_f16(d);
      const float stored = f16_to_f32(state.d);
      if (stored == 0) return;
      float slope = 0, square = 0;
      state.error = 0;
      for (int g = 0; g < groups; ++g) {
        state.scale[g] = best_scale(g, stored);
        const ScaleSums sums = sums_of(g, stored, state.scale[g]);
        const auto scale = static_cast<float>(state.scale[g]);
        state.error += sums.error;
        slope += scale * sums.slope;
        square += scale * scale * sums.square;
        if (sums.square > 0) wish_[g] = stored * scale + sums.slope / sums.square;
      }
      if (!(state.error < best_.error)) return;
      best_ = state;
      if (!(square > 0)) return;
      d = stored + slope / square;
    }
  }

  // The code among those near the group's wish that leaves the smallest error.
  int best_scale(int g, float d) const {
    const int middle = rounded(wish_[g] / d, F::scale_low, F::scale_top);
    int best = middle;
    float least = sums_of(g, d, middle).error;
    for (const int scale : {middle - 1, middle + 1}) {
      if (scale < F::scale_low || scale > F::scale_top) continue;
      const float error = sums_of(g, d, scale).error;
      if (error < least) {
        least = error;
        best = scale;
      }
    }
    return best;
  }

  ScaleSums sums_of(int g, float d, int scale) const {
    const float *x = x_ + F::group * g, *w = w_ + F::group * g;
    if (scale != 0) return try_scale<L, F::group>(x, w, d * static_cast<float>(scale));
    ScaleSums sums;
    for (int i = 0; i < F::group; ++i) sums.error += w[i] * x[i] * x[i];
    return sums;
  }

  void write(typename F::Block& block) const {
    block.d = best_.d;
    for (int g = 0; g < groups; ++g) {
      F::put_scale(block, g, best_.scale[g]);
      const float scale = f16_to_f32(best_.d) * static_cast<float>(best_.scale[g]),
                  inverse = scale == 0 ? 0 : 1 / scale;
      for (int k = F::group * g; k < F::group * (g + 1); ++k)
        F::put(block, k, L::code(L::nearest(x_[k] * inverse)));
    }
  }

  const float *x_, *w_;
  float wish_[groups] = {};  // the scale that suits each group
  State best_;
};

template <class F>
class LineBlock {
 public:
  LineBlock(const float* x, const float* w) : x_(x), w_(w) {}

  void encode(typename F::Block& block, const ScaleGrid& grid) {
    float scale = 0, min = 0;
    for (int g = 0; g < groups; ++g) {
      const LineFit fit = fit_line<F::top, F::group, true>(x_ + F::group * g, w_ + F::group * g, grid);
      scale_[g] = fit.scale;
      min_[g] = -fit.offset;
      scale = std::max(scale, scale_[g]);
      min = std::max(min, min_[g]);
    }
    if (scale > 0 || min > 0) descend(scale / F::scale_top, min / F::scale_top);
    write(block);
  }

 private:
  static constexpr int groups = F::elements / F::group;
  struct State {
    std::uint16_t d = 0, dmin = 0;
    int scale[groups] = {}, min[groups] = {};
    float error = std::numeric_limits<float>::infinity();
  };

  // Least squares of d and dmin over the block, codes held, where x = d (scale q) + dmin (-min).
  struct BlockSums {
    float rq = 0, rm = 0, qq = 0, qm = 0, mm = 0;
  };

  void descend(float d, float dmin) {
    for (int round = 0; round < descent_rounds; ++round) {
      State state;
      state.d = f32_to_f16(d);
      state.dmin = f32_to_f16(dmin);
      const float stored = f16_to_f32(state.d), stored_min = f16_to_f32(state.dmin);
      BlockSums sums;
      state.error = 0;
      for (int g = 0; g < groups; ++g) {
        choose(g, stored, stored_min, state);
        add(g, stored, stored_min, state, sums);
      }
      if (!(state.error < best_.error)) return;
      best_ = state;
      const float determinant = sums.qq * sums.mm - sums.qm * sums.qm;
      if (determinant > 1e-6f * sums.qq * sums.mm) {
        d = stored + (sums.rq * sums.mm - sums.rm * sums.qm) / determinant;
        dmin = stored_min + (sums.rm * sums.qq - sums.rq * sums.qm) / determinant;
      } else if (sums.qq > 0) {
        d = stored + sums.rq / sums.qq;
        dmin = stored_min;
      } else {
        return;
      }
    }
  }

  void choose(int g, float d, float dmin, State& state) const {
    const float *x = x_ + F::group * g, *w = w_ + F::group * g;
    const int scale = d == 0 ? 0 : rounded(scale_[g] / d, 0, F::scale_top);
    const int min = dmin == 0 ? 0 : rounded(min_[g] / dmin, 0, F::scale_top);
    float least = std::numeric_limits<float>::infinity();
    const auto consider = [&](int s, int m) {
      if (s < 0 || s > F::scale_top || m < 0 || m > F::scale_top) return;
      const float error =
          line_error<F::top, F::group>(x, w, d * static_cast<float>(s), -dmin * static_cast<float>(m));
      if (!(error < least)) return;
      least = error;
      state.scale[g] = s;
      state.min[g] = m;
    };
    for (const int change : {0, -1, 1}) consider(scale + change, min);
    const int chosen = state.scale[g];
    for (const int change : {-1, 1}) consider(chosen, min + change);
  }

  void add(int g, float d, float dmin, State& state, BlockSums& sums) {
    const auto scale = static_cast<float>(state.scale[g]), min = static_cast<float>(state.min[g]);
    const LineSums s =
        try_line<F::top, F::group>(x_ + F::group * g, w_ + F::group * g, d * scale, -dmin * min);
    state.error += s.error;
    sums.rq += scale * s.rq;
    sums.rm -= min * s.r1;
    sums.qq += scale * scale * s.qq;
    sums.qm -= scale * min * s.q1;
    sums.mm += min * min * s.w1;
    const float determinant = s.qq * s.w1 - s.q1 * s.q1;
    if (determinant > 1e-6f * s.qq * s.w1) {
      scale_[g] = d * scale + (s.rq * s.w1 - s.r1 * s.q1) / determinant;
      min_[g] = dmin * min - (s.r1 * s.qq - s.rq * s.q1) / determinant;
    }
  }

  void write(typename F::Block& block) const {
    block.d = best_.d;
    block.dmin = best_.dmin;
    const float d = f16_to_f32(best_.d), dmin = f16_to_f32(best_.dmin);
    for (int g = 0; g < groups; ++g) {
      F::put_scales(block, g, best_.scale[g], best_.min[g]);
      const float scale = d * static_cast<float>(best_.scale[g]), inverse = scale == 0 ? 0 : 1 / scale;
      const float min = dmin * static_cast<float>(best_.min[g]);
      for (int k = F::group * g; k < F::group * (g + 1); ++k)
        F::put(block, k, static_cast<int>(nearest_code<F::top>((x_[k] + min) * inverse)));
    }
  }

  const float *x_, *w_;
  float scale_[groups] = {}, min_[groups] = {};  // what suits each group
  State best_;
};

}  // namespace rf::encode
