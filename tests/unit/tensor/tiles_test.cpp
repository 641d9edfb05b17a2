// Tiles hold exactly the file's bits.
#include "tensor/tiles.h"

#include <gtest/gtest.h>

#include <algorithm>
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

}  // namespace
}  // namespace rf
