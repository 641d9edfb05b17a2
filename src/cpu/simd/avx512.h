// 16 lanes of AVX-512 (F, BW, DQ, VL); dot4 uses VNNI where the file is compiled for it.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace rf::RF_ISA {

inline constexpr int lanes = 16;
inline constexpr int max_columns =
    16;  // activation rows of one matmul micro-kernel: 8 codes + 16 sums fit in registers

struct F {
  __m512 v;
  static F load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static F zero() { return {_mm512_setzero_ps()}; }
  static F set1(float x) { return {_mm512_set1_ps(x)}; }
  static F load_f16(const std::uint16_t* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  static F load_bf16(const std::uint16_t* p) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
  }
  static F load_i8(const std::int8_t* p) {
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
  }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store_f16(std::uint16_t* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};
inline F operator+(F a, F b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline F operator-(F a, F b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline F operator*(F a, F b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline F operator/(F a, F b) {
  return {_mm512_div_ps(a.v, b.v)};
}
inline F fma(F a, F b, F c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
inline F max(F a, F b) {
  return {_mm512_max_ps(a.v, b.v)};
}
inline F min(F a, F b) {
  return {_mm512_min_ps(a.v, b.v)};
}
inline F abs(F a) {
  return {_mm512_abs_ps(a.v)};
}
inline F round(F a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// 2^n for whole n in [-126, 127].
inline F exp2_whole(F n) {
  return {_mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127)), 23))};
}
inline float sum(F a) {
  return _mm512_reduce_add_ps(a.v);
}
inline float largest(F a) {
  return _mm512_reduce_max_ps(a.v);
}
// The first n lanes of a, the others from b.
inline F first_lanes(int n, F a, F b) {
  return {_mm512_mask_blend_ps(static_cast<__mmask16>((1u << n) - 1u), b.v, a.v)};
}
// Rounds to whole numbers and stores them as bytes; the values lie within [-127, 127].
inline void store_i8(std::int8_t* p, F a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a.v)));
}

// A signed or unsigned byte a lane.
struct B {
  __m128i v;
  static B load(const std::uint8_t* p) { return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))}; }
  B bits(int shift, int mask) const {
    return {_mm_and_si128(_mm_srli_epi16(v, shift), _mm_set1_epi8(static_cast<char>(mask)))};
  }
  B shl(int n) const { return {_mm_slli_epi16(v, n)}; }
  B minus(int n) const { return {_mm_sub_epi8(v, _mm_set1_epi8(static_cast<char>(n)))}; }
  B without(int n) const {
    return {_mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(static_cast<char>(n))), v)};
  }
  B lookup(const std::uint8_t (&table)[16]) const {
    return {_mm_shuffle_epi8(_mm_load_si128(reinterpret_cast<const __m128i*>(table)), v)};
  }
  static B of_words(const std::uint8_t* p, int shift, int mask) {
    const __m512i words = _mm512_srli_epi32(_mm512_loadu_si512(p), static_cast<unsigned>(shift));
    return {_mm_and_si128(_mm512_cvtepi32_epi8(words), _mm_set1_epi8(static_cast<char>(mask)))};
  }
};
inline B operator|(B a, B b) {
  return {_mm_or_si128(a.v, b.v)};
}
inline F to_float(B a) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(a.v))};
}

// 2^(a - 127); that of 0 has no exponent of its own.
inline F e8m0(B a) {
  const __m512i exponent = _mm512_slli_epi32(_mm512_cvtepu8_epi32(a.v), 23);
  return {_mm512_castsi512_ps(_mm512_max_epi32(exponent, _mm512_set1_epi32(1 << 22)))};
}

// f16 whose bits are those of `a` shifted left.
inline F f16_of(B a, int shift) {
  return {_mm512_cvtph_ps(_mm256_slli_epi16(_mm256_cvtepu8_epi16(a.v), shift))};
}

// Four unsigned bytes a lane: codes of four neighbouring elements of a row.
struct V {
  __m512i v;
  static V load(const std::uint8_t* p) { return {_mm512_loadu_si512(p)}; }
  V bits(int shift, int mask) const {
    return {_mm512_and_si512(_mm512_srli_epi16(v, static_cast<unsigned>(shift)),
                             _mm512_set1_epi8(static_cast<char>(mask)))};
  }
  V shl(int n) const { return {_mm512_slli_epi16(v, static_cast<unsigned>(n))}; }
  V flip(int mask) const { return {_mm512_xor_si512(v, _mm512_set1_epi8(static_cast<char>(mask)))}; }
  V moved_bit(int from, int to) const {
    const __m512i moved = from >= to ? _mm512_srli_epi16(v, static_cast<unsigned>(from - to))
                                     : _mm512_slli_epi16(v, static_cast<unsigned>(to - from));
    return {_mm512_and_si512(moved, _mm512_set1_epi8(static_cast<char>(1 << to)))};
  }
  static V sixteen(const std::uint8_t (&table)[16]) {
    return {_mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(table)))};
  }
  V lookup(V table) const { return {_mm512_shuffle_epi8(table.v, v)}; }
  V base3_digit(int n) const {
    __m512i f = v;
    for (int i = 0; i < n; ++i) f = _mm512_add_epi8(f, _mm512_add_epi8(f, f));
    f = _mm512_subs_epu8(f, _mm512_set1_epi8(1));  // then 3 f / 4, rounded up twice, has the digit on top
    return V{_mm512_avg_epu8(f, _mm512_avg_epu8(f, _mm512_setzero_si512()))}.bits(6, 3);
  }
  V word_bits(int shift, std::uint32_t mask) const {
    const __m512i moved = shift >= 0 ? _mm512_srli_epi32(v, static_cast<unsigned>(shift))
                                     : _mm512_slli_epi32(v, static_cast<unsigned>(-shift));
    return {_mm512_and_si512(moved, _mm512_set1_epi32(static_cast<int>(mask)))};
  }
  V if_bit(int bit, std::uint32_t value) const {
    const __mmask16 set = _mm512_test_epi32_mask(v, _mm512_set1_epi32(static_cast<int>(1u << bit)));
    return {_mm512_maskz_mov_epi32(set, _mm512_set1_epi32(static_cast<int>(value)))};
  }
  static void eights(const std::uint64_t* table, const V (&index)[4], V (&out)[8]) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    RF_UNROLL(4)
    for (int l = 0; l < 4; ++l) {
      const __m512i a = _mm512_i32gather_epi64(_mm512_castsi512_si256(index[l].v), table, 8);
      const __m512i b = _mm512_i32gather_epi64(_mm512_extracti64x4_epi64(index[l].v, 1), table, 8);
      out[2 * l].v = _mm512_permutex2var_epi32(a, even, b);
      out[2 * l + 1].v = _mm512_permutex2var_epi32(a, odd, b);
    }
  }
  static void fours(const std::uint32_t* table, const V (&index)[8], V (&out)[8]) {
    RF_UNROLL(8)
    for (int i = 0; i < 8; ++i) out[i].v = _mm512_i32gather_epi32(index[i].v, table, 4);
  }
  void store(std::uint8_t* p) const { _mm512_storeu_si512(p, v); }
};
inline V operator^(V a, V b) {
  return {_mm512_xor_si512(a.v, b.v)};
}
inline V operator|(V a, V b) {
  return {_mm512_or_si512(a.v, b.v)};
}

struct I {
  __m512i v;
  static I zero() { return {_mm512_setzero_si512()}; }
  static I set1(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
  static I load(const std::int32_t* p) { return {_mm512_loadu_si512(p)}; }
  // By the low two bits of a lane: the 16-bit halves of `pair` times the two factors that they number, added.
  static I of_pair(std::int32_t pair, const std::int16_t (&factors)[8], V bits) {
    const __m512i all = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(factors)));
    const __m512i sums = _mm512_madd_epi16(_mm512_set1_epi32(pair), all);
    return {_mm512_castps_si512(_mm512_permutevar_ps(_mm512_castsi512_ps(sums), bits.v))};
  }
  void store(std::int32_t* p) const { _mm512_storeu_si512(p, v); }
};
inline I operator+(I a, I b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
inline I operator*(I a, I b) {
  return {_mm512_mullo_epi32(a.v, b.v)};
}
inline F to_float(I a) {
  return {_mm512_cvtepi32_ps(a.v)};
}

// acc[h] += `times` the products of `quads` quads of unsigned codes a lane, quad i codes(h, i), with the
// signed bytes at `a`; those of the first half of the quads times 2^lift. `fits`: how many quads' products of
// two pairs add up within 16 bits; 0: codes use 8 bits, and not even one pair's do. What is then to be taken
// from every code is `wide_zero`.
#ifdef __AVX512VNNI__
inline constexpr int wide_zero = 128;
template <int fits, int quads, int times = 1, int lift = 0, int H, class Codes>
inline void dot(I (&acc)[H], Codes codes, const std::int8_t* a) {
  static_assert(lift == 0 || times > 1);
  I sum[H];
  for (int h = 0; h < H; ++h) sum[h] = times == 1 ? acc[h] : I::zero();
  RF_UNROLL(8)
  for (int i = 0; i < quads; ++i) {
    const __m512i x = _mm512_set1_epi32(*reinterpret_cast<const std::int32_t*>(a + 4 * i));
    for (int h = 0; h < H; ++h) {
      sum[h].v = _mm512_dpbusd_epi32(sum[h].v, codes(h, i).v, x);
      if (lift > 0 && 2 * (i + 1) == quads) sum[h].v = _mm512_slli_epi32(sum[h].v, lift);
    }
  }
  for (int h = 0; h < H; ++h) acc[h] = times == 1 ? sum[h] : acc[h] + sum[h] * I::set1(times);
}
#else
inline constexpr int wide_zero = 0;
template <int fits, int quads, int times = 1, int lift = 0, int H, class Codes>
inline void dot(I (&acc)[H], Codes codes, const std::int8_t* a) {
  static_assert(lift == 0 || fits >= quads);
  constexpr int chunk = fits == 0 ? 1 : fits < quads ? fits : quads;
  RF_UNROLL(8)
  for (int i = 0; i < quads; i += chunk) {
    __m512i sums[H];
    RF_UNROLL(8)
    for (int j = i; j < i + chunk; ++j) {
      const __m512i x = _mm512_set1_epi32(*reinterpret_cast<const std::int32_t*>(a + 4 * j));
      for (int h = 0; h < H; ++h) {
        __m512i c = codes(h, j).v, signed_x = x;
        if constexpr (fits == 0) {  // |code - 128| times the activation with its sign
          c = _mm512_xor_si512(c, _mm512_set1_epi8(static_cast<char>(0x80)));
          signed_x = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(c), _mm512_setzero_si512(), x);
          c = _mm512_abs_epi8(c);
        }
        const __m512i pairs = _mm512_maddubs_epi16(c, signed_x);
        sums[h] = j == i ? pairs : _mm512_add_epi16(sums[h], pairs);
        if (lift > 0 && 2 * (j + 1) == quads) sums[h] = _mm512_slli_epi16(sums[h], lift);
      }
    }
    for (int h = 0; h < H; ++h)
      acc[h].v = _mm512_add_epi32(acc[h].v, _mm512_madd_epi16(sums[h], _mm512_set1_epi16(times)));
  }
}
#endif

}  // namespace rf::RF_ISA
