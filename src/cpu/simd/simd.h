// The vector types of the instruction set that this file is compiled for: RF_ISA names its namespace.
#pragma once
// Before a loop over registers. In plain C++, or with a sanitizer's code inside, unrolling would only take
// the compiler minutes.
#ifdef RF_KEEP_LOOPS
#define RF_UNROLL(n)
#else
#define RF_PRAGMA(x) _Pragma(#x)
#define RF_UNROLL(n) RF_PRAGMA(GCC unroll n)
#endif

#if defined(__AVX512F__)
#include "cpu/simd/avx512.h"
#elif defined(__AVX2__)
#include "cpu/simd/avx2.h"
#else
#include "cpu/simd/scalar.h"
#endif

namespace rf::RF_ISA {

// e^x, relative error under 2e-7; arguments below -87 give a value under 1.7e-38, above 88 are cut there.
// Method: 2^n times a degree-6 polynomial of the remainder, |r| <= ln(2)/2 (Cody and Waite's reduction).
inline F exp(F x) {
  x = min(max(x, F::set1(-87.0f)), F::set1(88.0f));
  const F n = round(x * F::set1(1.44269504f));
  F r = fma(n, F::set1(-0.693359375f), x);
  r = fma(n, F::set1(2.12194440e-4f), r);
  F p = F::set1(1.3888889e-3f);
  p = fma(p, r, F::set1(8.3333333e-3f));
  p = fma(p, r, F::set1(4.16666667e-2f));
  p = fma(p, r, F::set1(0.166666667f));
  p = fma(p, r, F::set1(0.5f));
  p = fma(p, r, F::set1(1.0f));
  p = fma(p, r, F::set1(1.0f));
  return p * exp2_whole(n);
}

// ln(1 + e^x), relative error under 1e-6. Method: ln(1 + u) = 2 artanh(u / (2 + u)), whose argument is at
// most 1/3 for u = e^-|x|, by its series.
inline F softplus(F x) {
  const F u = exp(F::zero() - abs(x));
  const F s = u / (u + F::set1(2)), z = s * s;
  F p = F::set1(1.0f / 15);
  const float series[] = {1.0f / 13, 1.0f / 11, 1.0f / 9, 1.0f / 7, 1.0f / 5, 1.0f / 3, 1.0f};
  for (const float c : series) p = fma(p, z, F::set1(c));
  return max(x, F::zero()) + F::set1(2) * s * p;
}

inline F sigmoid(F x) {
  return F::set1(1) / (F::set1(1) + exp(F::zero() - x));
}

inline F silu(F x) {
  return x / (F::set1(1) + exp(F::zero() - x));
}

// Relative error under 1e-6. Method: the part of x within 0.6 by its Taylor-like polynomial (Cephes' tanhf),
// the rest by e^2x, both joined by tanh(a + b) = (tanh a + tanh b) / (1 + tanh a tanh b).
inline F tanh(F x) {
  const F one = F::set1(1), a = max(min(x, F::set1(0.6f)), F::set1(-0.6f)), z = a * a;
  F p = F::set1(-5.70498872745e-3f);
  const float series[] = {2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f, -3.33332819422e-1f};
  for (const float c : series) p = fma(p, z, F::set1(c));
  const F near = fma(p * z, a, a);
  const F far = one - F::set1(2) / (exp(F::set1(2) * (x - a)) + one);
  return (near + far) / (one + near * far);
}

// cap * tanh(x / cap).
inline F capped(F x, float cap) {
  const F e = exp(x * F::set1(2 / cap));
  return F::set1(cap) * (F::set1(1) - F::set1(2) / (e + F::set1(1)));
}

}  // namespace rf::RF_ISA
