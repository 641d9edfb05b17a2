// Tiles hold exactly the file's bits.
#include "tensor/tiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "tensor/decode.h"

namespace rf {
namespace {

TEST(Tiles, ARowReadBackFromItsTileIsTheFilesRow) {
  std::mt19937 random(std::random_device{}());
  int types = 0;
  for (std::uint32_t id = 0; id < 64; ++id) {
    const TypeInfo* info = find_type(id);
    if (info == nullptr || !can_tile(info->type)) continue;
    ++types;
    Tensor tensor{.type = info->type, .shape = {512, 37, 1, 1}, .row_bytes = row_bytes(info->type, 512)};
    std::vector<std::byte> file(tensor.bytes());
    for (std::byte& byte : file) byte = static_cast<std::byte>(random());
    tensor.data = file.data();
    TiledWeight tiles = tiled(tensor);
    std::vector<std::uint8_t> memory(tiles.bytes());
    tiles.data = memory.data();
    for (int t = 0; t < tiles.tiles(); ++t)
      write_tile(tensor, tiles, t, memory.data() + static_cast<std::size_t>(t) * tiles.tile_bytes);
    std::vector<std::byte> row(row_bytes(tiles.type, 512)), want(row.size());
    for (std::int64_t r = 0; r < tensor.rows(); ++r) {
      read_row(tiles, r, row.data());
      if (tiles.type == tensor.type)
        std::copy_n(tensor.row(r), row.size(), want.begin());
      else  // kept as F32
        decode_row(tensor.type, tensor.row(r), 512, reinterpret_cast<float*>(want.data()));
      ASSERT_EQ(row, want) << info->name << " row " << r;
    }
  }
  EXPECT_EQ(types, 31);
}

// Every point of a grid and every digit, in what takes more room.
TEST(Tiles, ARowReadBackFromASpreadTileHasTheSameValues) {
  std::mt19937 random(std::random_device{}());
  int types = 0;
  for (std::uint32_t id = 0; id < 64; ++id) {
    const TypeInfo* info = find_type(id);
    if (info == nullptr || !can_tile(info->type)) continue;
    Tensor tensor{.type = info->type, .shape = {4096, 37, 1, 1}, .row_bytes = row_bytes(info->type, 4096)};
    TiledWeight tiles = tiled(tensor, Room::spread);
    EXPECT_EQ(tiles.type == tensor.type || info->type == Type::f64,
              tiled(tensor).tile_bytes == tiles.tile_bytes);
    if (tiles.type == tensor.type || info->type == Type::f64) continue;
    ++types;
    EXPECT_LT(tiles.bytes() * 100, tiled(tensor).bytes() * 162) << info->name;
    std::vector<std::byte> file(tensor.bytes());
    for (std::byte& byte : file) byte = static_cast<std::byte>(random());
    tensor.data = file.data();
    std::vector<std::uint8_t> memory(tiles.bytes());
    tiles.data = memory.data();
    for (int t = 0; t < tiles.tiles(); ++t)
      write_tile(tensor, tiles, t, memory.data() + static_cast<std::size_t>(t) * tiles.tile_bytes);
    std::vector<std::byte> row(row_bytes(tiles.type, 4096));
    std::vector<float> values(4096), want(4096);
    for (std::int64_t r = 0; r < tensor.rows(); ++r) {
      read_row(tiles, r, row.data());
      decode_row(tiles.type, row.data(), 4096, values.data());
      decode_row(tensor.type, tensor.row(r), 4096, want.data());
      for (std::size_t k = 0; k < 4096; ++k)
        ASSERT_TRUE(values[k] == want[k] || (std::isnan(values[k]) && std::isnan(want[k])))
            << info->name << " row " << r << " column " << k << ": " << values[k] << ", not " << want[k];
    }
  }
  EXPECT_EQ(types, 8);
}

// What tiles are kept as is no type that a file may name.
TEST(Tiles, LayoutsOfMemoryAreNoTypesOfFiles) {
  const Tensor tensor{.type = Type::iq2_xxs, .shape = {256, 16, 1, 1}, .row_bytes = 66};
  const Type kept = tiled(tensor, Room::spread).type;
  EXPECT_EQ(type_info(kept).block_elements, 256u);
  EXPECT_EQ(find_type(static_cast<std::uint32_t>(kept)), nullptr);
  EXPECT_FALSE(type_by_name(type_info(kept).name));
}

}  // namespace
}  // namespace rf
