// rf_embed_FORMAT: rows of a table that lies in tiles.
// Grid (ceil(columns / 2048), rows), block 64: a lane decodes 32 columns of one row. Reads the row once in
// 4-byte pieces 64 bytes apart, writes 4 bytes a column.
#include "gpu/kernels/norm.h"
#include "gpu/kernels/weights.h"

namespace rf::gpu {

template <class Weights>
RF_DEVICE void decode_block(const Matrix& m, const std::uint8_t* base, int block, int row, float (&out)[32]) {
  if constexpr (FloatWeights<Weights>) {
    for (int k = 0; k < 32; ++k)
      out[k] =
          32 * block + k < m.columns ? Weights::template column<1>(base, 32 * block + k, row).v[0] : 0.0f;
  } else {
    const Tile t = Weights::at(m, base, block, row);
    Words<1> codes[8];
    Weights::codes(t, block, codes);
    RF_UNROLL
    for (int g = 0; g < Weights::groups; ++g) {
      Floats<1> scale{}, min{};
      Weights::scale(t, block, g, scale, min);
      RF_UNROLL
      for (int k = 0; k < 4 * Weights::quads; ++k) {
        const int at = 4 * Weights::quads * g + k;
        const int code = static_cast<std::int8_t>(codes[at >> 2].v[0] >> 8 * (at & 3) & 255);
        out[at] = static_cast<float>(code - Weights::zero) * scale.v[0] + min.v[0];
      }
    }
  }
}

template <class Weights>
RF_DEVICE void embed(const EmbedParams& p) {
  const int row = lane::block_y(), block = lane::block_x() * 64 + lane::thread();
  lane::wait_for_previous();
  lane::let_next_start();
  if (row >= rows_of(p.count) || 32 * block >= p.table.columns) return;
  const int index = p.index != nullptr ? p.index[row] : 0;
  float values[32];
  decode_block<Weights>(p.table, p.table.data + static_cast<std::uint64_t>(index >> 4) * p.table.tile_bytes,
                        block, index & 15, values);
  float* out = p.out + std::int64_t{row} * p.table.columns + 32 * block;
  RF_UNROLL
  for (int k = 0; k < 32; ++k) {
    const float v = values[k] * p.scale;
    if (32 * block + k < p.table.columns) out[k] = p.accumulate != 0 ? out[k] + v : v;
  }
}

#define RF_EMBED(Fmt)                             \
  RF_KERNEL(rf_embed_##Fmt, EmbedParams, 64, 8) { \
    embed<Quantised<Fmt>>(p);                     \
  }
RF_FORMATS(RF_EMBED)
RF_KERNEL(rf_embed_F32, EmbedParams, 64, 8) {
  embed<F32>(p);
}
RF_KERNEL(rf_embed_F16, EmbedParams, 64, 8) {
  embed<F16>(p);
}
RF_KERNEL(rf_embed_BF16, EmbedParams, 64, 8) {
  embed<BF16>(p);
}

}  // namespace rf::gpu
