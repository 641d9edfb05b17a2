// Tiles: how back ends keep matrices in memory: 16 rows side by side, as a rule with the bits of the file.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tensor/formats/format.h"
#include "tensor/tensor.h"

namespace rf {

// How much memory tiles take: the file's bits, or for formats that number points of a grid, or digits, codes
// that are quicker to unpack (tensor/formats/spread.h): up to 1.55 times as much. Values are the same.
enum class Room { file, spread };

// A matrix [columns, rows] in tiles of 16 rows (tensor/formats/format.h). Float types are tiled with blocks
// of one element; F64 becomes F32. The last tile's missing rows are zero blocks. Every field starts
// on 64 bytes.
struct TiledWeight {
  Type type = Type::f32;               // of what is kept: not the file's where that is converted or spread
  std::int64_t columns = 0, rows = 0;  // rows of all matrices
  int matrices = 1;                    // each begins with a tile of its own
  std::size_t tile_bytes = 0;
  std::size_t field_at[max_fields] = {};  // offset of each field in a tile
  const std::uint8_t* data = nullptr;

  int tiles_of_one() const { return static_cast<int>((rows / matrices + 15) / 16); }
  int tiles() const { return matrices * tiles_of_one(); }
  // The rows that a tile holds.
  std::int64_t first_row(int t) const {
    return t / tiles_of_one() * (rows / matrices) + t % tiles_of_one() * 16;
  }
  int rows_in(int t) const {
    const std::int64_t left = rows / matrices - std::int64_t{16} * (t % tiles_of_one());
    return static_cast<int>(left < 16 ? left : 16);
  }
  std::size_t bytes() const { return static_cast<std::size_t>(tiles()) * tile_bytes; }
  const std::uint8_t* tile(int t) const { return data + static_cast<std::size_t>(t) * tile_bytes; }
};

// The layout of a tensor's tiles, data not yet set. can_tile() says which types have one.
bool can_tile(Type type);
TiledWeight tiled(const Tensor& tensor, Room room = Room::file);
// Writes tile `t` of `tensor` to `out` (layout.tile_bytes).
void write_tile(const Tensor& tensor, const TiledWeight& layout, int t, std::uint8_t* out);
// The inverse, for one row: its blocks of weight.type, as they lie in the file if that is their type there.
void read_row(const TiledWeight& weight, std::int64_t row, std::byte* out);

}  // namespace rf
