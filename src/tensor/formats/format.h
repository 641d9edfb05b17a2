// What every quantised format declares, and the 16-row tile that kernels read. Host and device code.
//
// A format F has
//   id, elements, Block             its number in GGUF, elements of a block, the block as it lies in the file
//   decode(block, y)                the reference: y[elements], bit for bit the format's definition
//   group                           elements that share one scale: 32 or 16
//   zero                            integer taken from every code: value = scale * (code - zero) [+ min]
//   wide                            codes use all 8 bits (else they stay under 128)
//   has_min, min_sign               a second f16, times the min codes, is added (+1) or subtracted (-1) per
//   group sub_scales                      groups have scale (and min) codes; else the f16 itself is the scale
//   fields                          the parts of a block; field 0 is the f16 scale, then the f16 min if
//   has_min codes<V>(tile, s, i)            codes of elements 32 s + 4 i + (0..3) of 16 rows, byte 4 r + j
//   scale_codes<B>(tile, g), min_codes<B>(tile, g)   signed bytes of 16 rows for group g
//
// Tile: 16 rows are stored field by field; field f of block b starts at 16 * bytes * b and holds, for every
// unit u, that unit of rows 0 to 15 side by side. The bits are those of the file, only their order differs.
#pragma once
#include <cstdint>

#include "base/half.h"

namespace rf {

inline constexpr int tile_rows = 16;

struct Field {
  int offset;  // in the block, bytes
  int bytes;
  int unit;  // bytes that stay together
};

struct Tile {
  const std::uint8_t* field[4];  // of one block of 16 rows
};

}  // namespace rf
