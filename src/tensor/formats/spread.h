// Spread layouts: what a back end may keep IQ1, IQ2 and IQ3 weights as where memory allows.
//
// Files number the points of a grid, and looking 64 of them up takes longer than what is multiplied takes to
// arrive. Here every element has a code of its own, of two to four bits, that one lookup in a register turns
// into its value: up to half more memory, several times the speed. Values, groups and the order of additions
// are the file's, so that results are the same to the last bit. Each is a format as format.h has them, which
// no file has; the format that it stands for has
//   spread(block, out)              puts a block's codes and scales into a zeroed Spread::Block
#pragma once
#include "tensor/formats/format.h"

namespace rf {

// Their ids lie beyond those of files.
constexpr std::uint32_t spread_id(std::uint32_t file_id) {
  return 0x1000 + file_id;
}

// The scales of IQ2 and IQ3: nibble g of the bytes at `q` is (scale - 1) / 2.
struct OddScales {
  static int scale(const std::uint8_t* q, int g) { return 2 * (q[g >> 1] >> 4 * (g & 1) & 15) + 1; }
  template <class B>
  static B codes(const auto& field, int g) {
    return B::load(field + 16 * (g >> 1)).bits(4 * (g & 1), 15).shl(1).minus(-1);
  }
};

// Two bits a code: bits shift(i) of word i / 4 of 32 elements are quad i's.
struct TwoBits {
  static constexpr int shift(int i) { return 4 * (i & 1) + (i & 2); }
  static int get(const std::uint8_t* q, int k) { return q[4 * (k >> 4) + (k & 3)] >> shift(k >> 2) & 3; }
  static void put(std::uint8_t* q, int k, int code) {
    put_bits(q[4 * (k >> 4) + (k & 3)], code, shift(k >> 2));
  }
};

// Three bits a code: nibbles 0 to 5 of 32 elements, of three words, are quads 0 to 5 and have, at bit n of
// those of word n, a bit of quads 6 and 7 among them. A table for each word tells values by such nibbles, so
// that no bit has to be moved.
struct ThreeBits {
  static int get(const std::uint8_t* q, int k) {
    const std::uint8_t* of_32 = q + 12 * (k >> 5) + (k & 3);
    const int i = k >> 2 & 7, shift = 4 * (i & 1);
    if (i < 6) return code(i >> 1, of_32[4 * (i >> 1)] >> shift & 15);
    int last = 0;
    for (int n = 0; n < 3; ++n) last |= of_32[4 * n] >> shift & 1 << n;
    return last;
  }
  static void put(std::uint8_t* q, int k, int code) {
    std::uint8_t* of_32 = q + 12 * (k >> 5) + (k & 3);
    const int i = k >> 2 & 7, shift = 4 * (i & 1);
    if (i < 6) return put_bits(of_32[4 * (i >> 1)], nibble(i >> 1, code), shift);
    for (int n = 0; n < 3; ++n) put_bits(of_32[4 * n], code & 1 << n, shift);
  }
  // values[code] by the nibbles of each word, and of what quads 6 and 7 are put together to.
  struct Tables {
    alignas(16) std::uint8_t of_word[4][16];
    constexpr explicit Tables(const std::uint8_t (&values)[8]) : of_word() {
      for (int n = 0; n < 4; ++n)
        for (int bits = 0; bits < 16; ++bits) of_word[n][bits] = values[code(n, bits)];
    }
  };
  template <class V>
  static V values(const std::uint8_t* words, int i, const Tables& tables) {
    if (i < 6)
      return V::load(words + 64 * (i >> 1)).bits(4 * (i & 1), 15).lookup(V::sixteen(tables.of_word[i >> 1]));
    const V last =
        V::load(words).bits(0, 0x11) | V::load(words + 64).bits(0, 0x22) | V::load(words + 128).bits(0, 0x44);
    return (i == 6 ? last : last.bits(4, 7)).lookup(V::sixteen(tables.of_word[3]));
  }

 private:
  static constexpr int code(int n, int bits) { return (bits & ((1 << n) - 1)) | (bits >> (n + 1) << n & 7); }
  static constexpr int nibble(int n, int code) { return (code & ((1 << n) - 1)) | code >> n << (n + 1); }
};

}  // namespace rf
