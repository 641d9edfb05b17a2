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
  B without(int n) const {
    return {_mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(static_cast<char>(n))), v)};
  }
  B lookup(const std::uint8_t (&table)[16]) const {
    return {_mm_shuffle_epi8(_mm_load_si128(reinterpret_cast<const __m128i*>(table)), v)};
  }
  static B of_words(const std::uint8_t* p, int shift, int mask) {
    const __m256i words = _mm256_srli_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), shift);
    const __m256i bytes = _mm256_and_si256(words, _mm256_set1_epi32(mask));
    const __m128i low = _mm256_castsi256_si128(bytes), high = _mm256_extracti128_si256(bytes, 1);
    const __m128i both = _mm_packs_epi32(low, high);
    return {_mm_packus_epi16(both, both)};
  }
};
inline B operator|(B a, B b) {
  return {_mm_or_si128(a.v, b.v)};
}
inline F to_float(B a) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(a.v))};
}

// 2^(a - 127); that of 0 has no exponent of its own.
inline F e8m0(B a) {
  const __m256i exponent = _mm256_slli_epi32(_mm256_cvtepu8_epi32(a.v), 23);
  return {_mm256_castsi256_ps(_mm256_max_epi32(exponent, _mm256_set1_epi32(1 << 22)))};
}

// f16 whose bits are those of `a` shifted left.
inline F f16_of(B a, int shift) {
  return {_mm256_cvtph_ps(_mm_slli_epi16(_mm_cvtepu8_epi16(a.v), shift))};
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
  V moved_bit(int from, int to) const {
    const __m256i moved = from >= to ? _mm256_srli_epi16(v, from - to) : _mm256_slli_epi16(v, to - from);
    return {_mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(1 << to)))};
  }
  static V sixteen(const std::uint8_t (&table)[16]) {
    return {_mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table)))};
  }
  V lookup(V table) const { return {_mm256_shuffle_epi8(table.v, v)}; }
  V base3_digit(int n) const {
    __m256i f = v;
    for (int i = 0; i < n; ++i) f = _mm256_add_epi8(f, _mm256_add_epi8(f, f));
    f = _mm256_subs_epu8(f, _mm256_set1_epi8(1));  // then 3 f / 4, rounded up twice, has the digit on top
    return V{_mm256_avg_epu8(f, _mm256_avg_epu8(f, _mm256_setzero_si256()))}.bits(6, 3);
  }
  V word_bits(int shift, std::uint32_t mask) const {
    const __m256i moved = shift >= 0 ? _mm256_srli_epi32(v, shift) : _mm256_slli_epi32(v, -shift);
    return {_mm256_and_si256(moved, _mm256_set1_epi32(static_cast<int>(mask)))};
  }
  V if_bit(int bit, std::uint32_t value) const {
    return {_mm256_and_si256(_mm256_srai_epi32(_mm256_slli_epi32(v, 31 - bit), 31),
                             _mm256_set1_epi32(static_cast<int>(value)))};
  }
  // Entries are loaded one by one: that is twice as fast as gather instructions. Indices go through memory,
  // which the compiler is kept from seeing through: taking them out of a vector costs twice the work.
  static void eights(const std::uint64_t* table, const V (&index)[4], V (&out)[8]) {
    alignas(32) std::uint32_t at[32];
    for (int l = 0; l < 4; ++l) index[l].store(reinterpret_cast<std::uint8_t*>(at + 8 * l));
    asm("" : "+m"(at));
    const auto two = [&](int i) {
      const __m128 first = _mm_castsi128_ps(_mm_cvtsi64_si128(static_cast<long long>(table[at[i]])));
      return _mm_loadh_pi(first, reinterpret_cast<const __m64*>(table + at[i + 1]));
    };
    RF_UNROLL(4)
    for (int l = 0; l < 4; ++l) {
      const __m256 a = _mm256_set_m128(two(8 * l + 4), two(8 * l));
      const __m256 b = _mm256_set_m128(two(8 * l + 6), two(8 * l + 2));
      out[2 * l].v = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88));
      out[2 * l + 1].v = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd));
    }
  }
  static void fours(const std::uint32_t* table, const V (&index)[8], V (&out)[8]) {
    alignas(32) std::uint32_t at[64];
    for (int i = 0; i < 8; ++i) index[i].store(reinterpret_cast<std::uint8_t*>(at + 8 * i));
    asm("" : "+m"(at));
    const auto four = [&](int i) {
      __m128i words = _mm_cvtsi32_si128(static_cast<int>(table[at[i]]));
      words = _mm_insert_epi32(words, static_cast<int>(table[at[i + 1]]), 1);
      words = _mm_insert_epi32(words, static_cast<int>(table[at[i + 2]]), 2);
      return _mm_insert_epi32(words, static_cast<int>(table[at[i + 3]]), 3);
    };
    RF_UNROLL(8)
    for (int i = 0; i < 8; ++i) out[i].v = _mm256_set_m128i(four(8 * i + 4), four(8 * i));
  }
  void store(std::uint8_t* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
};
inline V operator^(V a, V b) {
  return {_mm256_xor_si256(a.v, b.v)};
}
inline V operator|(V a, V b) {
  return {_mm256_or_si256(a.v, b.v)};
}

struct I {
  __m256i v;
  static I zero() { return {_mm256_setzero_si256()}; }
  static I set1(std::int32_t x) { return {_mm256_set1_epi32(x)}; }
  static I load(const std::int32_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
  // By the low two bits of a lane: the 16-bit halves of `pair` times the two factors that they number, added.
  static I of_pair(std::int32_t pair, const std::int16_t (&factors)[8], V bits) {
    const __m256i all =
        _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(factors)));
    const __m256i sums = _mm256_madd_epi16(_mm256_set1_epi32(pair), all);
    return {_mm256_castps_si256(_mm256_permutevar_ps(_mm256_castsi256_ps(sums), bits.v))};
  }
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

// acc[h] += `times` the products of `quads` quads of unsigned codes a lane, quad i codes(h, i), with the
// signed bytes at `a`; those of the first half of the quads times 2^lift. `fits`: how many quads' products of
// two pairs add up within 16 bits; 0: codes use 8 bits, and not even one pair's do. Then |code - 128| is
// multiplied with the activation that has taken its sign, and nothing is left to take from the codes.
inline constexpr int wide_zero = 0;
template <int fits, int quads, int times = 1, int lift = 0, int H, class Codes>
inline void dot(I (&acc)[H], Codes codes, const std::int8_t* a) {
  static_assert(lift == 0 || fits >= quads);
  constexpr int chunk = fits == 0 ? 1 : fits < quads ? fits : quads;
  RF_UNROLL(8)
  for (int i = 0; i < quads; i += chunk) {
    __m256i sums[H];
    RF_UNROLL(8)
    for (int j = i; j < i + chunk; ++j) {
      const __m256i x = _mm256_set1_epi32(*reinterpret_cast<const std::int32_t*>(a + 4 * j));
      RF_UNROLL(2)
      for (int h = 0; h < H; ++h) {
        __m256i c = codes(h, j).v, signed_x = x;
        if constexpr (fits == 0) {
          c = _mm256_xor_si256(c, _mm256_set1_epi8(static_cast<char>(0x80)));
          signed_x = _mm256_sign_epi8(x, c);
          c = _mm256_abs_epi8(c);
        }
        const __m256i pairs = _mm256_maddubs_epi16(c, signed_x);
        sums[h] = j == i ? pairs : _mm256_add_epi16(sums[h], pairs);
        if (lift > 0 && 2 * (j + 1) == quads) sums[h] = _mm256_slli_epi16(sums[h], lift);
      }
    }
    RF_UNROLL(2)
    for (int h = 0; h < H; ++h)
      acc[h].v = _mm256_add_epi32(acc[h].v, _mm256_madd_epi16(sums[h], _mm256_set1_epi16(times)));
  }
}

}  // namespace rf::RF_ISA
