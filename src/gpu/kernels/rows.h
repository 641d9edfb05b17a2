// The vectors that the formats' headers are written over (tensor/formats/format.h), as one lane holds them: N
// neighbouring rows of a tile.
#pragma once
#include "gpu/kernels/lane.h"
#include "gpu/kernels/params.h"

namespace rf::gpu {

// Stands for a pointer in a tile, for functions that are called twice: once to load, when words are kept in
// the order in which they are asked for, and once to make something of what was kept. Between the two the
// loads are under way.
struct Kept {
  std::uint32_t* words;
  int count;
};
template <bool loads>
struct Reader {
  const std::uint8_t* at;
  Kept* kept;

  RF_DEVICE Reader operator+(int bytes) const { return {at + bytes, kept}; }
  // `load` fills `words` from memory.
  template <int count, class Load>
  RF_DEVICE void read(std::uint32_t (&words)[count], Load load) const {
    if constexpr (loads) load();
    RF_UNROLL
    for (int i = 0; i < count; ++i) {
      std::uint32_t& own = kept->words[kept->count + i];
      if constexpr (loads)
        own = words[i];
      else
        words[i] = own;
    }
    kept->count += count;
  }
};
template <bool loads>
RF_DEVICE Reader<loads> as_floats(const Reader<loads>& r) {
  return r;
}

// An f32 a row.
template <int N>
struct Floats {
  float v[N];

  template <class Each>
  static RF_DEVICE Floats made(Each each) {
    Floats r;
    RF_UNROLL
    for (int i = 0; i < N; ++i) r.v[i] = each(i);
    return r;
  }
  static RF_DEVICE Floats set1(float x) {
    return made([=](int) { return x; });
  }
  static RF_DEVICE Floats load(const float* p) {
    return made([=](int i) { return p[i]; });
  }
  template <bool loads>
  static RF_DEVICE Floats load(const Reader<loads>& r) {
    std::uint32_t words[N];
    r.read(words, [&] {
      const Floats f = load(reinterpret_cast<const float*>(r.at));
      for (int i = 0; i < N; ++i) words[i] = __builtin_bit_cast(std::uint32_t, f.v[i]);
    });
    return made([&](int i) { return __builtin_bit_cast(float, words[i]); });
  }
  // Of f16, two a word.
  static constexpr int halves = (N + 1) / 2;
  static RF_DEVICE void load_halves(const std::uint8_t* p, std::uint32_t (&words)[halves]) {
    if constexpr (N == 4) {
      const Two two = lane::load2_once(p);
      words[0] = two.w[0], words[1] = two.w[1];
    } else if constexpr (N == 2) {
      words[0] = lane::load1_once(p);
    } else {
      const auto* from = reinterpret_cast<const std::uint16_t*>(p);
      RF_UNROLL
      for (int i = 0; i < N; ++i)
        words[i / 2] = i % 2 == 0 ? from[i] : words[i / 2] | std::uint32_t{from[i]} << 16;
    }
  }
  static RF_DEVICE Floats of_halves(const std::uint32_t (&words)[halves]) {
    return made([&](int i) {
      return lane::half_to_float(static_cast<std::uint16_t>(words[i >> 1] >> 16 * (i & 1)));
    });
  }
  static RF_DEVICE Floats load_f16(const std::uint8_t* p) {
    std::uint32_t words[halves];
    load_halves(p, words);
    return of_halves(words);
  }
  template <bool loads>
  static RF_DEVICE Floats load_f16(const Reader<loads>& r) {
    std::uint32_t words[halves];
    r.read(words, [&] { load_halves(r.at, words); });
    return of_halves(words);
  }
};
template <int N>
RF_DEVICE Floats<N> operator-(const Floats<N>& a, const Floats<N>& b) {
  return Floats<N>::made([&](int i) { return a.v[i] - b.v[i]; });
}
template <int N>
RF_DEVICE Floats<N> operator*(const Floats<N>& a, const Floats<N>& b) {
  return Floats<N>::made([&](int i) { return a.v[i] * b.v[i]; });
}

// A byte a row. Four of them share a word, so that what is done to all is done at once.
template <int N>
struct Bytes {
  static constexpr int words = (N + 3) / 4;
  std::uint32_t v[words];

  static constexpr std::uint32_t each_byte(std::uint32_t n) { return 0x01010101u * n; }
  template <class Each>  // of words
  static RF_DEVICE Bytes made(Each each) {
    Bytes r;
    RF_UNROLL
    for (int i = 0; i < words; ++i) r.v[i] = each(i);
    return r;
  }
  template <class Each>  // of rows
  static RF_DEVICE Bytes of_rows(Each each) {
    Bytes r{};
    RF_UNROLL
    for (int i = 0; i < N; ++i) r.v[i / 4] |= each(i) << 8 * (i % 4);
    return r;
  }
  RF_DEVICE std::uint32_t row(int i) const { return v[i / 4] >> 8 * (i % 4) & 255; }

  static RF_DEVICE Bytes load(const std::uint8_t* p) {
    if constexpr (N == 4) return {{lane::load1_once(p)}};
    if constexpr (N == 2) return {{*reinterpret_cast<const std::uint16_t*>(p)}};
    return of_rows([=](int i) { return std::uint32_t{p[i]}; });
  }
  template <bool loads>
  static RF_DEVICE Bytes load(const Reader<loads>& r) {
    Bytes b{};
    r.read(b.v, [&] { b = load(r.at); });
    return b;
  }
  template <bool loads>
  static RF_DEVICE Bytes of_words(const Reader<loads>& r, int shift, std::uint32_t mask) {
    std::uint32_t w[N];
    r.read(w, [&] {
      for (int i = 0; i < N; ++i) w[i] = lane::load1_once(r.at + 4 * i);
    });
    return of_rows([&](int i) { return w[i] >> shift & mask; });
  }
  static RF_DEVICE Bytes of_words(const std::uint8_t* p, int shift, std::uint32_t mask) {
    return of_rows([=](int i) { return lane::load1_once(p + 4 * i) >> shift & mask; });
  }
  RF_DEVICE Bytes bits(int shift, std::uint32_t mask) const {  // of a mask within 255 >> shift
    return made([&](int i) { return v[i] >> shift & each_byte(mask & (255u >> shift)); });
  }
  RF_DEVICE Bytes shl(int n) const {
    return made([&](int i) { return (v[i] & each_byte(255u >> n)) << n; });
  }
  RF_DEVICE Bytes minus(int n) const {
    const std::uint32_t high = each_byte(128), less = each_byte(static_cast<std::uint32_t>(n) & 255);
    return made([&](int i) { return ((v[i] | high) - (less & ~high)) ^ ((v[i] ^ ~less) & high); });
  }
  RF_DEVICE Bytes without(std::uint32_t n) const {
    return of_rows([&](int i) { return row(i) == n ? 0u : row(i); });
  }
  RF_DEVICE Bytes lookup(const std::uint8_t (&table)[16]) const {
    return of_rows([&](int i) { return std::uint32_t{table[row(i)]}; });
  }
};
template <int N>
RF_DEVICE Bytes<N> operator|(const Bytes<N>& a, const Bytes<N>& b) {
  return Bytes<N>::made([&](int i) { return a.v[i] | b.v[i]; });
}
template <int N>
RF_DEVICE Floats<N> to_float(const Bytes<N>& a) {  // of signed bytes
  return Floats<N>::made([&](int i) {
    return static_cast<float>(static_cast<std::int8_t>(static_cast<std::uint8_t>(a.row(i))));
  });
}
template <int N>
RF_DEVICE Floats<N> f16_of(const Bytes<N>& a, int shift) {  // whose bits are those of `a` shifted left
  return Floats<N>::made(
      [&](int i) { return lane::half_to_float(static_cast<std::uint16_t>(a.row(i) << shift)); });
}

template <int N>
RF_DEVICE Floats<N> e8m0(const Bytes<N>& a) {  // 2^(a - 127); that of 0 has no exponent of its own
  return Floats<N>::made([&](int i) {
    const std::uint32_t e = a.row(i);
    return __builtin_bit_cast(float, e == 0 ? 1u << 22 : e << 23);
  });
}

// Four bytes a row: codes of four neighbouring elements.
template <int N>
struct Words {
  std::uint32_t v[N];

  struct Sixteen {
    std::uint32_t w[4];
  };

  template <class Each>
  static RF_DEVICE Words made(Each each) {
    Words r;
    RF_UNROLL
    for (int i = 0; i < N; ++i) r.v[i] = each(i);
    return r;
  }
  static RF_DEVICE Words load(const std::uint8_t* p) {
    if constexpr (N == 4) {
      const Four four = lane::load4_once(p);
      return made([=](int i) { return four.w[i]; });
    } else if constexpr (N == 2) {
      const Two two = lane::load2_once(p);
      return made([=](int i) { return two.w[i]; });
    } else {
      return made([=](int i) { return lane::load1_once(p + 4 * i); });
    }
  }
  template <bool loads>
  static RF_DEVICE Words load(const Reader<loads>& r) {
    Words w;
    r.read(w.v, [&] { w = load(r.at); });
    return w;
  }
  static constexpr std::uint32_t each_byte(int n) { return 0x01010101u * static_cast<std::uint32_t>(n); }
  RF_DEVICE Words bits(int shift, int mask) const { return word_bits(shift, each_byte(mask)); }
  RF_DEVICE Words shl(int n) const { return word_bits(-n, ~0u); }  // of bytes that stay bytes
  RF_DEVICE Words flip(int mask) const {
    return made([&](int i) { return v[i] ^ each_byte(mask); });
  }
  RF_DEVICE Words moved_bit(int from, int to) const {
    return made([&](int i) { return (v[i] >> from & 0x01010101u) << to; });
  }
  static RF_DEVICE Sixteen sixteen(const std::uint8_t (&table)[16]) {
    Sixteen t;
    __builtin_memcpy(t.w, __builtin_assume_aligned(table, 16), 16);
    return t;
  }
  RF_DEVICE Words lookup(const Sixteen& t) const {
    return made([&](int i) {
      const std::uint32_t index = v[i] & 0x07070707u, upper = (v[i] >> 3 & 0x01010101u) * 255u;
      return (lane::select_bytes(t.w[0], t.w[1], index) & ~upper) |
             (lane::select_bytes(t.w[2], t.w[3], index) & upper);
    });
  }
  // Digit n of bytes in base 3 (formats/tq1_0.h), two bytes of a word at a time.
  RF_DEVICE Words base3_digit(int n) const {
    std::uint32_t power = 1;
    for (int i = 0; i < n; ++i) power *= 3;
    const auto digits = [=](std::uint32_t two) {
      return ((two * power & 0x00ff00ffu) * 3 >> 8) & 0x00ff00ffu;
    };
    return made([&](int i) { return digits(v[i] & 0x00ff00ffu) | digits(v[i] >> 8 & 0x00ff00ffu) << 8; });
  }
  RF_DEVICE Words word_bits(int shift, std::uint32_t mask) const {
    return made([&](int i) { return (shift >= 0 ? v[i] >> shift : v[i] << -shift) & mask; });
  }
  RF_DEVICE Words if_bit(int bit, std::uint32_t value) const {
    return made([&](int i) { return (v[i] >> bit & 1) != 0 ? value : 0u; });
  }
  static RF_DEVICE void eights(const std::uint64_t* table, const Words (&index)[4], Words (&out)[8]) {
    RF_UNROLL
    for (int l = 0; l < 4; ++l) RF_UNROLL
    for (int i = 0; i < N; ++i) {
      const std::uint64_t eight = table[index[l].v[i]];
      out[2 * l].v[i] = static_cast<std::uint32_t>(eight);
      out[2 * l + 1].v[i] = static_cast<std::uint32_t>(eight >> 32);
    }
  }
  static RF_DEVICE void fours(const std::uint32_t* table, const Words (&index)[8], Words (&out)[8]) {
    RF_UNROLL
    for (int l = 0; l < 8; ++l) out[l] = made([&](int i) { return table[index[l].v[i]]; });
  }
};
template <int N>
RF_DEVICE Words<N> operator^(const Words<N>& a, const Words<N>& b) {
  return Words<N>::made([&](int i) { return a.v[i] ^ b.v[i]; });
}
template <int N>
RF_DEVICE Words<N> operator|(const Words<N>& a, const Words<N>& b) {
  return Words<N>::made([&](int i) { return a.v[i] | b.v[i]; });
}

}  // namespace rf::gpu
