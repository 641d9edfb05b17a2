// 8 lanes of AVX2 with FMA and F16C.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace rf::RF_ISA {

inline constexpr int lanes = 8;
inline constexpr int max_columns = 4;

struct F {
  __m256 v;
  static F load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static F zero() { return {_mm256_setzero_ps()}; }
  static F set1(float x) { return {_mm256_set1_ps(x)}; }
  static F load_f16(const std::uint16_t* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
  }
  static F load_bf16(const std::uint16_t* p) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))};
  }
  static F load_i8(const std::int8_t* p) {
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
  }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void store_f16(std::uint16_t* p) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                     _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};
inline F operator+(F a, F b) {
  return {_mm256_add_ps(a.v, b.v)};
}
inline F operator-(F a, F b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
inline F operator*(F a, F b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
inline F operator/(F a, F b) {
  return {_mm256_div_ps(a.v, b.v)};
}
inline F fma(F a, F b, F c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
inline F max(F a, F b) {
  return {_mm256_max_ps(a.v, b.v)};
}
inline F min(F a, F b) {
  return {_mm256_min_ps(a.v, b.v)};
}
inline F abs(F a) {
  return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)};
}
inline F round(F a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// 2^n for whole n in [-126, 127].
inline F exp2_whole(F n) {
  return {_mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127)), 23))};
}
inline float sum(F a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
inline float largest(F a) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
// The first n lanes of a, the others from b.
inline F first_lanes(int n, F a, F b) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(n), index);
  return {_mm256_blendv_ps(b.v, a.v, _mm256_castsi256_ps(mask))};
}
// Rounds to whole numbers and stores them as bytes; the values lie within [-127, 127].
inline void store_i8(std::int8_t* p, F a) {
  const __m256i i = _mm256_cvtps_epi32(a.v);
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}

// A signed or unsigned byte a lane.
struct B {
  __m128i v;  // in the low 8 bytes
  static B load(const std::uint8_t* p) { return {_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))}; }
  B bits(int shift, int mask) const {
    return {_mm_and_si128(_mm_srli_epi16(v, shift), _mm_set1_epi8(static_cast<char>(mask)))};
  }
  B shl(int n) const { return {_mm_slli_epi16(v, n)}; }
  B minus(int n) const { return {_mm_sub_epi8(v, _mm_set1_epi8(static_cast<char>(n)))}; }
};
inline B operator|(B a, B b) {
  return {_mm_or_si128(a.v, b.v)};
}
inline F to_float(B a) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(a.v))};
}

// Four unsigned bytes a lane: codes of four neighbouring elements of a row.
struct V {
  __m256i v;
  static V load(const std::uint8_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
  V bits(int shift, int mask) const {
    return {_mm256_and_si256(_mm256_srli_epi16(v, shift), _mm256_set1_epi8(static_cast<char>(mask)))};
  }
  V shl(int n) const { return {_mm256_slli_epi16(v, n)}; }
  V flip(int mask) const { return {_mm256_xor_si256(v, _mm256_set1_epi8(static_cast<char>(mask)))}; }
  void store(std::uint8_t* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
};
inline V operator|(V a, V b) {
  return {_mm256_or_si256(a.v, b.v)};
}

struct I {
  __m256i v;
  static I zero() { return {_mm256_setzero_si256()}; }
  static I set1(std::int32_t x) { return {_mm256_set1_epi32(x)}; }
  static I load(const std::int32_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
  void store(std::int32_t* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
};
inline I operator+(I a, I b) {
  return {_mm256_add_epi32(a.v, b.v)};
}
inline I operator*(I a, I b) {
  return {_mm256_mullo_epi32(a.v, b.v)};
}
inline F to_float(I a) {
  return {_mm256_cvtepi32_ps(a.v)};
}

// acc + the products of four unsigned codes a lane with the four signed bytes at `quad`.
// wide: codes use 8 bits; pairs of their products overflow 16 bits, so |code - 128| is multiplied with the
// activation that has taken its sign, and nothing is left to take from the codes.
inline constexpr int wide_zero = 0;
template <bool wide>
inline I dot4(I acc, V codes, const std::int8_t* quad) {
  __m256i a = _mm256_set1_epi32(*reinterpret_cast<const std::int32_t*>(quad));
  __m256i c = codes.v;
  if constexpr (wide) {
    c = _mm256_xor_si256(c, _mm256_set1_epi8(static_cast<char>(0x80)));
    a = _mm256_sign_epi8(a, c);
    c = _mm256_abs_epi8(c);
  }
  const __m256i pairs = _mm256_maddubs_epi16(c, a);
  return {_mm256_add_epi32(acc.v, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
}

}  // namespace rf::RF_ISA
