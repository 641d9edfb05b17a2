// 4 lanes in plain C++, for processors without any of the other instruction sets.
#pragma once
#include <cstdint>
#include <cstring>

#include "base/half.h"

namespace rf::RF_ISA {

inline constexpr int lanes = 4;
inline constexpr int max_columns = 4;

struct F {
  float v[lanes];
  static F set1(float x) { return {{x, x, x, x}}; }
  static F zero() { return set1(0); }
  static F load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
  static F load_f16(const std::uint16_t* p) {
    return {{f16_to_f32(p[0]), f16_to_f32(p[1]), f16_to_f32(p[2]), f16_to_f32(p[3])}};
  }
  static F load_bf16(const std::uint16_t* p) {
    return {{bf16_to_f32(p[0]), bf16_to_f32(p[1]), bf16_to_f32(p[2]), bf16_to_f32(p[3])}};
  }
  static F load_i8(const std::int8_t* p) {
    F r;
    for (int i = 0; i < lanes; ++i) r.v[i] = static_cast<float>(p[i]);
    return r;
  }
  void store(float* p) const { std::memcpy(p, v, sizeof v); }
  void store_f16(std::uint16_t* p) const {
    for (int i = 0; i < lanes; ++i) p[i] = f32_to_f16(v[i]);
  }
};

template <class Each>
inline F each(Each f) {
  F r;
  for (int i = 0; i < lanes; ++i) r.v[i] = f(i);
  return r;
}
inline F operator+(F a, F b) {
  return each([&](int i) { return a.v[i] + b.v[i]; });
}
inline F operator-(F a, F b) {
  return each([&](int i) { return a.v[i] - b.v[i]; });
}
inline F operator*(F a, F b) {
  return each([&](int i) { return a.v[i] * b.v[i]; });
}
inline F operator/(F a, F b) {
  return each([&](int i) { return a.v[i] / b.v[i]; });
}
inline F fma(F a, F b, F c) {
  return a * b + c;
}
inline F max(F a, F b) {
  return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline F min(F a, F b) {
  return each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline F abs(F a) {
  return each([&](int i) { return a.v[i] < 0 ? -a.v[i] : a.v[i]; });
}
// Nearest whole number, ties to even, for |x| < 2^22.
inline F round(F a) {
  return each([&](int i) { return (a.v[i] + 0x1.8p23f) - 0x1.8p23f; });
}
// 2^n for whole n in [-126, 127].
inline F exp2_whole(F n) {
  return each(
      [&](int i) { return float_of_bits(static_cast<std::uint32_t>(static_cast<int>(n.v[i]) + 127) << 23); });
}
inline float sum(F a) {
  return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]);
}
inline float largest(F a) {
  float m = a.v[0];
  for (int i = 1; i < lanes; ++i) m = a.v[i] > m ? a.v[i] : m;
  return m;
}
// The first n lanes of a, the others from b.
inline F first_lanes(int n, F a, F b) {
  return each([&](int i) { return i < n ? a.v[i] : b.v[i]; });
}
// Rounds to whole numbers and stores them as bytes; the values lie within [-127, 127].
inline void store_i8(std::int8_t* p, F a) {
  const F whole = round(a);
  for (int i = 0; i < lanes; ++i) p[i] = static_cast<std::int8_t>(whole.v[i]);
}

// A signed or unsigned byte a lane.
struct B {
  std::uint8_t v[lanes];
  static B load(const std::uint8_t* p) {
    B r;
    std::memcpy(r.v, p, sizeof r.v);
    return r;
  }
  template <class Each>
  B map(Each f) const {
    B r;
    for (int i = 0; i < lanes; ++i) r.v[i] = static_cast<std::uint8_t>(f(v[i]));
    return r;
  }
  B bits(int shift, int mask) const {
    return map([=](int x) { return x >> shift & mask; });
  }
  B shl(int n) const {
    return map([=](int x) { return x << n; });
  }
  B minus(int n) const {
    return map([=](int x) { return x - n; });
  }
  B without(int n) const {
    return map([=](int x) { return x == n ? 0 : x; });
  }
  B lookup(const std::uint8_t (&table)[16]) const {
    return map([&](int x) { return table[x]; });
  }
  static B of_words(const std::uint8_t* p, int shift, int mask) {
    B r;
    for (int i = 0; i < lanes; ++i) {
      std::uint32_t word;
      std::memcpy(&word, p + 4 * i, sizeof word);
      r.v[i] = static_cast<std::uint8_t>(word >> shift & static_cast<std::uint32_t>(mask));
    }
    return r;
  }
};
inline B operator|(B a, B b) {
  for (int i = 0; i < lanes; ++i) a.v[i] = static_cast<std::uint8_t>(a.v[i] | b.v[i]);
  return a;
}
inline F to_float(B a) {
  return each([&](int i) { return static_cast<float>(static_cast<std::int8_t>(a.v[i])); });
}

// 2^(a - 127); that of 0 has no exponent of its own.
inline F e8m0(B a) {
  return each([&](int i) { return float_of_bits(a.v[i] == 0 ? 1u << 22 : std::uint32_t{a.v[i]} << 23); });
}

// f16 whose bits are those of `a` shifted left.
inline F f16_of(B a, int shift) {
  return each([&](int i) { return f16_to_f32(static_cast<std::uint16_t>(a.v[i] << shift)); });
}

// Four unsigned bytes a lane: codes of four neighbouring elements of a row.
struct V {
  std::uint8_t v[4 * lanes];
  static V load(const std::uint8_t* p) {
    V r;
    std::memcpy(r.v, p, sizeof r.v);
    return r;
  }
  template <class Each>
  V map(Each f) const {
    V r;
    for (int i = 0; i < 4 * lanes; ++i) r.v[i] = static_cast<std::uint8_t>(f(v[i]));
    return r;
  }
  V bits(int shift, int mask) const {
    return map([=](int x) { return x >> shift & mask; });
  }
  V shl(int n) const {
    return map([=](int x) { return x << n; });
  }
  V flip(int mask) const {
    return map([=](int x) { return x ^ mask; });
  }
  V moved_bit(int from, int to) const {
    return map([=](int x) { return (x >> from & 1) << to; });
  }
  static V sixteen(const std::uint8_t (&table)[16]) {
    static_assert(sizeof(V) == sizeof table);
    return load(table);
  }
  V lookup(V table) const {
    return map([&](int x) { return table.v[x & 15]; });
  }
  V base3_digit(int n) const {
    return map([=](int x) {
      for (int i = 0; i < n; ++i) x = 3 * x & 255;
      return 3 * x >> 8;
    });
  }
  template <class Each>
  V map_words(Each f) const {
    V r;
    for (int i = 0; i < lanes; ++i) {
      std::uint32_t word;
      std::memcpy(&word, v + 4 * i, sizeof word);
      word = f(word);
      std::memcpy(r.v + 4 * i, &word, sizeof word);
    }
    return r;
  }
  V word_bits(int shift, std::uint32_t mask) const {
    return map_words([=](std::uint32_t x) { return (shift >= 0 ? x >> shift : x << -shift) & mask; });
  }
  V if_bit(int bit, std::uint32_t value) const {
    return map_words([=](std::uint32_t x) { return x >> bit & 1 ? value : 0; });
  }
  static void eights(const std::uint64_t* table, const V (&index)[4], V (&out)[8]) {
    for (int i = 0; i < 8; ++i)
      out[i] = index[i >> 1].map_words(
          [=](std::uint32_t x) { return static_cast<std::uint32_t>(table[x] >> 32 * (i & 1)); });
  }
  static void fours(const std::uint32_t* table, const V (&index)[8], V (&out)[8]) {
    for (int i = 0; i < 8; ++i) out[i] = index[i].map_words([=](std::uint32_t x) { return table[x]; });
  }
  void store(std::uint8_t* p) const { std::memcpy(p, v, sizeof v); }
};
inline V operator^(V a, V b) {
  for (int i = 0; i < 4 * lanes; ++i) a.v[i] = static_cast<std::uint8_t>(a.v[i] ^ b.v[i]);
  return a;
}
inline V operator|(V a, V b) {
  for (int i = 0; i < 4 * lanes; ++i) a.v[i] = static_cast<std::uint8_t>(a.v[i] | b.v[i]);
  return a;
}

struct I {
  std::int32_t v[lanes];
  static I set1(std::int32_t x) { return {{x, x, x, x}}; }
  static I zero() { return set1(0); }
  static I load(const std::int32_t* p) { return {{p[0], p[1], p[2], p[3]}}; }
  // By the low two bits of a lane: the 16-bit halves of `pair` times the two factors that they number, added.
  static I of_pair(std::int32_t pair, const std::int16_t (&factors)[8], V bits) {
    I r;
    for (int i = 0; i < lanes; ++i) {
      const std::int16_t* two = factors + 2 * (bits.v[4 * i] & 3);
      r.v[i] = static_cast<std::int16_t>(pair) * two[0] + (pair >> 16) * two[1];
    }
    return r;
  }
  void store(std::int32_t* p) const { std::memcpy(p, v, sizeof v); }
};
inline I operator+(I a, I b) {
  for (int i = 0; i < lanes; ++i) a.v[i] += b.v[i];
  return a;
}
inline I operator*(I a, I b) {
  for (int i = 0; i < lanes; ++i) a.v[i] *= b.v[i];
  return a;
}
inline F to_float(I a) {
  return each([&](int i) { return static_cast<float>(a.v[i]); });
}

// acc[h] += `times` the products of `quads` quads of unsigned codes a lane, quad i codes(h, i), with the
// signed bytes at `a`; those of the first half of the quads times 2^lift.
inline constexpr int wide_zero = 128;
template <int fits, int quads, int times = 1, int lift = 0, int H, class Codes>
inline void dot(I (&acc)[H], Codes codes, const std::int8_t* a) {
  for (int q = 0; q < quads; ++q)
    for (int h = 0; h < H; ++h) {
      const V c = codes(h, q);
      for (int i = 0; i < lanes; ++i)
        for (int j = 0; j < 4; ++j)
          acc[h].v[i] += (2 * q < quads ? times << lift : times) * c.v[4 * i + j] * a[4 * q + j];
    }
}

}  // namespace rf::RF_ISA
