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

// Two bits a code: bits 2 (i % 4) of word i / 4 of 32 elements are quad i's.
struct TwoBits {
  static int get(const std::uint8_t* q, int k) { return q[4 * (k >> 4) + (k & 3)] >> 2 * (k >> 2 & 3) & 3; }
  static void put(std::uint8_t* q, int k, int code) {
    put_bits(q[4 * (k >> 4) + (k & 3)], code, 2 * (k >> 2 & 3));
  }
};

// Three bits a code: quads 0 to 5 of 32 elements are the low three bits of the nibbles of three words; bit n
// of quads 6 and 7 is the top bit of the nibbles of word n.
struct ThreeBits {
  static int get(const std::uint8_t* q, int k) {
    const std::uint8_t* of_32 = q + 12 * (k >> 5) + (k & 3);
    const int i = k >> 2 & 7;
    if (i < 6) return of_32[4 * (i >> 1)] >> 4 * (i & 1) & 7;
    const int bit = 3 + 4 * (i & 1);
    return (of_32[0] >> bit & 1) | (of_32[4] >> bit & 1) << 1 | (of_32[8] >> bit & 1) << 2;
  }
  static void put(std::uint8_t* q, int k, int code) {
    std::uint8_t* of_32 = q + 12 * (k >> 5) + (k & 3);
    const int i = k >> 2 & 7;
    if (i < 6) return put_bits(of_32[4 * (i >> 1)], code, 4 * (i & 1));
    for (int n = 0; n < 3; ++n) put_bits(of_32[4 * n], code >> n & 1, 3 + 4 * (i & 1));
  }
  template <class V>
  static V codes(const std::uint8_t* words, int i) {
    if (i < 6) return V::load(words + 64 * (i >> 1)).bits(4 * (i & 1), 7);
    const V last =
        V::load(words).bits(3, 0x11) | V::load(words + 64).bits(2, 0x22) | V::load(words + 128).bits(1, 0x44);
    return last.bits(4 * (i & 1), 7);
  }
};

}  // namespace rf
