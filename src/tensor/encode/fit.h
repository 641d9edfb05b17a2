// Weighted least squares over one group of values: the scale, or the scale and offset, whose nearest codes
// leave the smallest error. Sums run in four lanes, which are added last: that keeps a processor's vectors
// busy without leave to reorder anything, so that residuals stay differences of near numbers, exact in their
// digits.
#pragma once
#include <cmath>
#include <cstring>
#include <limits>

#include "tensor/formats/iq4_nl.h"

namespace rf::encode {

using Four [[gnu::vector_size(16)]] = float;
inline Four four(const float* p) {
  Four v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline float sum(Four v) {
  return (v[0] + v[1]) + (v[2] + v[3]);
}
inline float truncated(float v) {
  return static_cast<float>(static_cast<int>(v));
}
inline Four truncated(Four v) {
  using Whole [[gnu::vector_size(16)]] = int;
  return __builtin_convertvector(__builtin_convertvector(v, Whole), Four);
}

// The levels that codes stand for, before the scale: whole numbers from `lowest` to `highest`.
template <int lowest, int highest>
struct UniformLevels {
  static constexpr float low = lowest, high = highest;
  template <class T>  // float or Four
  static T nearest(T t) {
    const T above = t - low, most = T{} + (high - low);
    const T kept = above > T{} ? (above > most ? most : above) : T{};  // NaN too becomes 0
    return truncated(kept + 0.5f) + low;
  }
  static int code(float level) { return static_cast<int>(level) - lowest; }
};

// The nearest of the sixteen values of IQ4_NL for t from (i - 256) / 2 on. Midpoints between them are whole
// or half numbers, so that halves find it exactly.
struct Iq4Table {
  float level[512];
  constexpr Iq4Table() : level() {
    int c = 0;
    for (int i = 0; i < 512; ++i) {
      while (c < 15 && i - 256 >= Iq4Values::values[c] + Iq4Values::values[c + 1]) ++c;
      level[i] = Iq4Values::values[c];
    }
  }
};
inline constexpr Iq4Table iq4_table{};

struct Iq4Levels {
  static constexpr float low = Iq4Values::values[0], high = Iq4Values::values[15];
  static float nearest(float t) {
    const float place = 2 * t + 256;
    return iq4_table.level[static_cast<int>(place > 0 ? (place > 511 ? 511 : place) : 0)];
  }
  static Four nearest(Four t) { return Four{nearest(t[0]), nearest(t[1]), nearest(t[2]), nearest(t[3])}; }
  static int code(float level) {
    int c = 0;
    while (c < 15 && static_cast<float>(Iq4Values::values[c]) < level) ++c;
    return c;
  }
};

// What a scale tried on x[n] gives, with residuals r = x - scale * level: sums of w r^2, w r level and
// w level^2. From residuals the least squares lose no digits, however small the error is.
struct ScaleSums {
  float error = 0, slope = 0, square = 0;
};
template <class L, int n>
ScaleSums try_scale(const float* x, const float* w, float scale) {
  const float inverse = 1 / scale;
  Four error{}, slope{}, square{};
  for (int i = 0; i < n; i += 4) {
    const Four value = four(x + i), weight = four(w + i);
    const Four level = L::nearest(value * inverse), r = value - scale * level, weighted = weight * level;
    error += weight * r * r;
    slope += weighted * r;
    square += weighted * level;
  }
  return {sum(error), sum(slope), sum(square)};
}

struct ScaleFit {
  float scale = 0, error = std::numeric_limits<float>::infinity();
};
// The codes nearest under `scale`, and the best scale for those codes.
template <class L, int n>
ScaleFit refit(const float* x, const float* w, float scale) {
  const ScaleSums sums = try_scale<L, n>(x, w, scale);
  if (!(sums.square > 0)) return {scale, sums.error};
  const float change = sums.slope / sums.square;
  return {scale + change, sums.error - change * sums.slope};
}

// The value of the largest magnitude.
inline float extreme(const float* x, int n) {
  float low = 0, high = 0;
  for (int i = 0; i < n; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  return -low > high ? low : high;
}

// Which scales a search tries: the largest value at `first + i * step` times either end of the levels.
struct ScaleGrid {
  float first, step;
  int count;
};

template <class L, int n>
ScaleFit fit_scale(const float* x, const float* w, const ScaleGrid& grid) {
  const float largest = extreme(x, n);
  if (largest == 0) return {0, 0};
  ScaleFit best;
  for (int i = 0; i < grid.count; ++i)
    for (const float end : {L::low, L::high}) {
      const float reach = grid.first + static_cast<float>(i) * grid.step;
      const ScaleFit fit = refit<L, n>(x, w, largest / (end * reach));
      if (fit.error < best.error) best = fit;
    }
  for (int round = 0; round < 4 && best.scale != 0; ++round) {
    const ScaleFit next = refit<L, n>(x, w, best.scale);
    if (!(next.error < best.error)) break;
    best = next;
  }
  return best;
}

// The same for x = scale * code + offset, codes being 0 to `top`. With `low_offset` the offset must not be
// above 0.
struct LineFit {
  float scale = 0, offset = 0, error = std::numeric_limits<float>::infinity();
};

template <int top, class T>  // float or Four
T nearest_code(T t) {
  return UniformLevels<0, top>::nearest(t);
}

template <int top, int n>
float line_error(const float* x, const float* w, float scale, float offset) {
  const float inverse = scale == 0 ? 0 : 1 / scale;
  Four error{};
  for (int i = 0; i < n; i += 4) {
    const Four above = four(x + i) - offset, r = above - scale * nearest_code<top>(above * inverse);
    error += four(w + i) * r * r;
  }
  return sum(error);
}

// Sums of w times r^2, r q, r, q^2, q and 1, where r = x - offset - scale * q.
struct LineSums {
  float error = 0, rq = 0, r1 = 0, qq = 0, q1 = 0, w1 = 0;
};
template <int top, int n>
LineSums try_line(const float* x, const float* w, float scale, float offset) {
  const float inverse = scale == 0 ? 0 : 1 / scale;
  Four error{}, rq{}, r1{}, qq{}, q1{}, w1{};
  for (int i = 0; i < n; i += 4) {
    const Four above = four(x + i) - offset, weight = four(w + i);
    const Four q = nearest_code<top>(above * inverse), r = above - scale * q;
    const Four wr = weight * r, wq = weight * q;
    error += wr * r;
    rq += wr * q;
    r1 += wr;
    qq += wq * q;
    q1 += wq;
    w1 += weight;
  }
  return {sum(error), sum(rq), sum(r1), sum(qq), sum(q1), sum(w1)};
}

template <int top, int n, bool low_offset>
LineFit refit_line(const float* x, const float* w, float scale, float offset) {
  const LineSums s = try_line<top, n>(x, w, scale, offset);
  const float determinant = s.qq * s.w1 - s.q1 * s.q1;
  float by = 0, up = 0;  // changes of scale and offset
  if (determinant > 1e-6f * s.qq * s.w1) {
    by = (s.rq * s.w1 - s.r1 * s.q1) / determinant;
    up = (s.r1 * s.qq - s.rq * s.q1) / determinant;
  }
  if (low_offset && offset + up > 0) {
    up = -offset;
    by = s.qq > 0 ? (s.rq - up * s.q1) / s.qq : 0;
  }
  const float error =
      s.error - 2 * (by * s.rq + up * s.r1) + by * by * s.qq + 2 * by * up * s.q1 + up * up * s.w1;
  return {scale + by, offset + up, error};
}

// `grid`: all codes are spread over `first + i * step` times the range of the values.
template <int top, int n, bool low_offset>
LineFit fit_line(const float* x, const float* w, const ScaleGrid& grid) {
  float low = x[0], high = x[0];
  for (int i = 1; i < n; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  if (low_offset && low > 0) low = 0;
  if (high == low) return {0, low, 0};
  LineFit best;
  for (int i = 0; i < grid.count; ++i) {
    const float reach = grid.first + static_cast<float>(i) * grid.step;
    const float scale = (high - low) * reach / static_cast<float>(top);
    for (const float shift :
         {0.0f, 0.5f, 1.0f}) {  // what is cut off or left over lies above, on both sides, or below
      const float offset = low + shift * (high - low) * (1 - reach);
      const LineFit fit = refit_line<top, n, low_offset>(x, w, scale, low_offset && offset > 0 ? 0 : offset);
      if (fit.error < best.error) best = fit;
    }
  }
  for (int round = 0; round < 4 && best.scale != 0; ++round) {
    const LineFit next = refit_line<top, n, low_offset>(x, w, best.scale, best.offset);
    if (!(next.error < best.error)) break;
    best = next;
  }
  return best;
}

}  // namespace rf::encode
