// What every quantised format declares, and the 16-row tile that kernels read. Host and device code.
//
// A format F has
//   id, elements, Block             its number in GGUF, elements of a block, the block as it lies in the file
//   decode(block, y)                the reference: y[elements], bit for bit the format's definition
//   group                           elements that share one scale: 32 or 16
//   zero                            integer taken from every code: value = scale * (code - zero) [+ min]
//   top                             the largest code; over 127, zero is 128
//   has_min, min_sign               a second f16 is added (+1) or subtracted (-1) per group; with min_step it
//   is
//                                   the first f16 times that
//   sub_scales                      groups have scale (and min) codes to multiply with; else the f16 itself
//   is
//                                   the scale
//   step                            if there: the f16 scale is multiplied with it
//   fields                          the parts of a block; field 0 is the f16 scale, then the f16 min if
//                                   has_min
//   codes<V>(tile, s, i)            codes of elements 32 s + 4 i + (0..3) of 16 rows, byte 4 r + j; or
//   codes_of_32<V>(tile, s, out)    out[i] for the eight i at once, which suits tables of points
//   scale_codes<B>(tile, g), min_codes<B>(tile, g)   signed bytes of 16 rows for group g
//   signed_scale_codes<B>(tile, g)  for both: the min's code, whose magnitude is the scale's
//   scale<F, B>(tile, g)            if there: the scale of group g, instead of all the above
//   put(block, k, code)             for formats that can be written: gives element k of a zeroed block its
//   code put_scale(block, g, scale)      likewise group g's scale code, in scale_low..scale_top, or its scale
//   and put_scales(block, g, scale, min)   min codes, both in 0..scale_top arrange(block), restore(block)  if
//   there: puts a block's bits in the order for tiles, and back
//
// Tile: 16 rows are stored field by field; field f of block b starts at 16 * bytes * b and holds, for every
// unit u, that unit of rows 0 to 15 side by side. The bits are those of the file, only their order differs.
//
// V is a vector of four bytes a row, B of one byte a row, F of one f32 a row. V has load, bits (of every
// byte), shl, flip, |, ^, moved_bit (one bit of every byte to another place, alone), lookup (of a byte's low
// four bits, bit 7 being 0, in sixteen(), a table), base3_digit (formats/tq1_0.h), and of its words, the four
// bytes of a row: word_bits (a shift to the right, to the left if negative, and a mask), if_bit (a constant
// where a bit is set, else 0), and fours and eights (four or eight bytes a row from the word of a table that
// an index names). B has load, of_words (bits of words), bits, shl, minus, |, lookup, without (0 in place of
// one value); to_float, f16_of and e8m0 (2^(byte - 127)) make F of it. F has what arithmetic needs.
#pragma once
#include <cstdint>

#include "base/half.h"

namespace rf {

inline constexpr int tile_rows = 16;
inline constexpr int max_fields = 5;

// Adds bits to a byte that has none there yet.
static inline void put_bits(std::uint8_t& byte, int value, int shift) {
  byte = static_cast<std::uint8_t>(byte | value << shift);
}

struct Field {
  int offset;  // in the block, bytes
  int bytes;
  int unit;  // bytes that stay together
};

// What the functions above take as tile: this, or something with fields that can be added to and loaded from.
struct Tile {
  const std::uint8_t* field[max_fields];  // of one block of 16 rows
};
static inline const float* as_floats(const std::uint8_t* p) {
  return reinterpret_cast<const float*>(p);
}

}  // namespace rf
