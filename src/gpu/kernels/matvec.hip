// Products of few rows, in the canonical order of weights.h.
//
// rf_matvec_FORMAT       one row; grid (any, rows * parts), block 256, LDS matvec_lds(columns) + 16,672 B.
// Weights
//                        are read once, in 16-byte pieces; the row is normed and quantised into LDS by each
//                        block.
// rf_matvec_rows_FORMAT  8 rows a block, from memory; grid (any, ceil(rows / 8) or rows * parts), block 256,
// LDS
//                        33,280 B. Weights are read once for each 8 rows.
//
// Four lanes share a tile of 16 rows, four rows each; 64 such groups of lanes have a slice of the columns
// each.
#include "gpu/kernels/activation.h"
#include "gpu/kernels/norm.h"
#include "gpu/kernels/weights.h"

namespace rf::gpu {

inline constexpr int sum_stride = slices * 16 + 16;  // floats of LDS between two rows' partial sums

// Activation rows, quantised or as they are, `padded` columns each.
struct Rows {
  const std::int8_t* codes;
  const float* scales;
  const std::int32_t* sums;
  const float* values;
  int padded;
};

// 32 columns of four rows of a tile.
template <class Weights>
struct Loaded {
  Words<4> codes[8];
  Floats<4> scale[Weights::groups], min[Weights::groups];
};
template <class Weights>
RF_DEVICE Loaded<Weights> load_block(const Matrix& m, const std::uint8_t* base, int block, int row) {
  Loaded<Weights> w;
  const Tile t = Weights::at(m, base, block, row);
  Weights::codes(t, block, w.codes);
  RF_UNROLL
  for (int g = 0; g < Weights::groups; ++g) Weights::scale(t, block, g, w.scale[g], w.min[g]);
  return w;
}

// acc[n][i] += block `block` of 32 columns: four rows of the tile times N activation rows.
template <class Weights, int N>
RF_DEVICE void add_block(const Loaded<Weights>& w, int block, const Rows& in, int rows, float (&acc)[N][4]) {
  RF_UNROLL
  for (int n = 0; n < N; ++n) {
    if (N > 1 && n >= rows) continue;
    const int at = n * in.padded + 32 * block;
    const Four low = lane::load4(in.codes + at), high = lane::load4(in.codes + at + 16);
    const float d = in.scales[at / 32];
    const std::int32_t both = in.sums[at / 32];
    RF_UNROLL
    for (int g = 0; g < Weights::groups; ++g) {
      const int total = Weights::groups == 1 ? low_sum(both) + high_sum(both)
                        : g == 0             ? low_sum(both)
                                             : high_sum(both);
      RF_UNROLL
      for (int i = 0; i < 4; ++i) {
        int sum = -Weights::zero * total;
        RF_UNROLL
        for (int q = 0; q < Weights::quads; ++q) {
          const int quad = g * Weights::quads + q;
          const std::uint32_t x = quad < 4 ? low.w[quad & 3] : high.w[quad & 3];
          sum = lane::dot4(static_cast<int>(w.codes[quad].v[i]), static_cast<int>(x), sum);
        }
        acc[n][i] = __builtin_fmaf(static_cast<float>(sum), w.scale[g].v[i] * d, acc[n][i]);
        if constexpr (Weights::has_min)
          acc[n][i] = __builtin_fmaf(w.min[g].v[i], d * static_cast<float>(total), acc[n][i]);
      }
    }
  }
}

template <class Weights, int N>
RF_DEVICE void add_columns(const Matrix& m, const std::uint8_t* base, int block, int row, const Rows& in,
                           int rows, float (&acc)[N][4]) {
  const int end = m.columns < 32 * block + 32 ? m.columns : 32 * block + 32;
  const auto add = [&](int k) {
    const Floats<4> w = Weights::template column<4>(base, k, row);
    RF_UNROLL
    for (int n = 0; n < N; ++n)
      if (n < rows) {
        const float x = in.values[n * in.padded + k];
        RF_UNROLL
        for (int i = 0; i < 4; ++i) acc[n][i] = __builtin_fmaf(w.v[i], x, acc[n][i]);
      }
  };
  int k = 32 * block;
  for (; k + 8 <= end; k += 8) {
    RF_UNROLL
    for (int i = 0; i < 8; ++i) add(k + i);
  }
  RF_NO_UNROLL
  for (; k < end; ++k) add(k);
}

// Partial sums of one tile, slice by slice, to LDS [N][sum_stride].
template <class Weights, int N>
RF_DEVICE void partial_sums(const Matrix& m, const std::uint8_t* base, const Rows& in, int rows,
                            float* sums) {
  const int blocks = (m.columns + 31) / 32, slice = lane::thread() / 4, row = lane::thread() % 4 * 4;
  float acc[N][4] = {};
  if constexpr (FloatWeights<Weights>) {
    RF_NO_UNROLL
    for (int b = slice; b < blocks; b += slices) add_columns<Weights, N>(m, base, b, row, in, rows, acc);
  } else if constexpr (N == 1) {
    // The next block's loads are under way while this one is multiplied.
    if (slice < blocks) {
      Loaded<Weights> now = load_block<Weights>(m, base, slice, row);
      RF_NO_UNROLL
      for (int b = slice;; b += slices) {
        const bool more = b + slices < blocks;
        const Loaded<Weights> next = load_block<Weights>(m, base, more ? b + slices : b, row);
        add_block<Weights, N>(now, b, in, rows, acc);
        if (!more) break;
        now = next;
      }
    }
  } else {
    RF_NO_UNROLL
    for (int b = slice; b < blocks; b += slices)
      add_block<Weights, N>(load_block<Weights>(m, base, b, row), b, in, rows, acc);
  }
  RF_UNROLL
  for (int n = 0; n < N; ++n)
    if (n < rows) {
      RF_UNROLL
      for (int i = 0; i < 4; ++i) sums[n * sum_stride + 16 * slice + row + i] = acc[n][i];
    }
}

RF_DEVICE float slice_sum(const float* sums, int n, int row) {
  float sum = 0;
  RF_UNROLL
  for (int s = 0; s < slices; ++s) sum += sums[n * sum_stride + 16 * s + row];
  return sum;
}

// What one block of the launch works on.
struct Share {
  int row, part;  // first row, and which of its parts
  int matrix;     // number, of experts and heads
  float weight;   // of products
};
RF_DEVICE Share share_of(const MatvecParams& p, int y) {
  Share s{y, 0, 0, 1.0f};
  if (p.parts == 1 && p.routes == nullptr) return s;
  s.row = y / p.parts;
  s.part = s.matrix = y % p.parts;
  if (p.routes == nullptr) return s;
  const float* routes = p.routes + 2 * p.parts * s.row;
  s.matrix = static_cast<int>(routes[s.part]);
  if (p.weigh != 0) s.weight = routes[p.parts + s.part];
  return s;
}

RF_DEVICE float with_bias(const Matrix& m, const Share& share, int column, float v) {
  return m.bias != nullptr ? v + m.bias[static_cast<std::int64_t>(share.matrix) * m.rows + column] : v;
}

// 32 outputs of one row, a lane each, quantised as block `block` of the packed row by those who are to store.
RF_DEVICE void pack_outputs(const Packed& out, std::int64_t row, int block, float v, bool stores) {
  const float top = lane::largest_of_lanes(v < 0 ? -v : v, 32);
  const int code = code_of(v, inverse_scale(top)), in_block = lane::thread() & 31;
  int sum = code;
  for (int m = 1; m < 16; m *= 2) sum += lane::shuffle_xor(sum, m);
  const int other = lane::shuffle_xor(sum, 16);
  if (!stores) return;
  out.codes[row * out.padded + 32 * block + in_block] = static_cast<std::int8_t>(code);
  if (in_block != 0) return;
  out.scales[row * (out.padded / 32) + block] = scale_of(top);
  out.sums[row * (out.padded / 32) + block] = sums_of(sum, other);
}

// Where a tile's products come from and go to.
struct Target {
  int which, tile;  // matrix, and tile of it
};
RF_DEVICE Target target_of(const MatvecParams& p, int tile) {
  int which = 0;
  while (p.gated == 0 && which + 1 < p.matrices && tile >= p.matrix[which].tiles)
    tile -= p.matrix[which++].tiles;
  return {which, tile};
}

// Column `column` of row `row` of the output.
RF_DEVICE float store(const MatvecParams& p, const Share& share, int which, int row, int column, float v) {
  const std::int64_t to = share.part * p.part_stride + p.matrix[which].out_column + column;
  if (p.gated == 0) v = finished(p.epilogue, v * share.weight, row, to);
  p.out[row * p.out_stride + to] = v;
  return v;
}

// The block's tiles, of gate and up both, to the output; `rows` rows of `in`. sums: with N = 1 four times
// [sum_stride], so that the sums of a tile are read while those of the next are made, else [N][sum_stride].
// Where the output is packed, a block takes two neighbouring tiles after each other, which one wave reads.
template <class Weights, int N>
RF_DEVICE void all_tiles(const MatvecParams& p, const Share& share, int tiles, const Rows& in, int rows,
                         float* sums) {
  const int passes = p.gated != 0 ? 2 : 1, together = N == 1 && p.packed.codes != nullptr ? 2 : 1;
  const int end = (tiles + together - 1) / together * together;
  float kept = 0;  // of the first of two tiles; of the second its own
  RF_NO_UNROLL
  for (int turn = 0;; ++turn) {
    const int number = (lane::block_x() + turn / together * p.blocks) * together + turn % together;
    if (number >= end) break;
    const Target target = target_of(p, number < tiles ? number : tiles - 1);
    // 16 threads for each row add up; with one row, waves take turns.
    const int reader =
        N == 1 ? lane::thread() - 32 * (turn / together % 8) - 16 * (turn % together) : lane::thread();
    const int n = reader / 16, row = reader & 15, column = 16 * target.tile + row;
    const bool mine = reader >= 0 && n < rows && column < p.matrix[target.which].rows && number < tiles;
    float v = 0;
    RF_NO_UNROLL
    for (int pass = 0; pass < passes; ++pass) {
      const Matrix& m = p.matrix[target.which + pass];
      const auto at = static_cast<std::uint64_t>(share.matrix) * static_cast<std::uint64_t>(m.tiles) +
                      static_cast<std::uint64_t>(target.tile);
      float* own = N == 1 ? sums + (2 * (turn & 1) + pass) * sum_stride : sums;
      if (N > 1) lane::barrier();  // the sums before have been read
      partial_sums<Weights, N>(m, m.data + at * m.tile_bytes, in, rows, own);
      lane::barrier();
      if (!mine) continue;
      const float product = with_bias(m, share, column, slice_sum(own, n, row));
      v = pass == 0 ? product : gated(p.epilogue.activation, v, product);
    }
    if (mine) v = store(p, share, target.which, share.row + n, column, v);
    if (together == 1) continue;
    if (turn % 2 == 0 || mine) kept = v;
    if (turn % 2 == 1)
      pack_outputs(p.packed, std::int64_t{share.row} * p.parts + share.part, number / 2, kept,
                   lane::thread() / 32 == turn / 2 % 8);
  }
}

RF_DEVICE int tiles_of(const MatvecParams& p) {
  int tiles = p.matrix[0].tiles;
  for (int i = 1; p.gated == 0 && i < p.matrices; ++i) tiles += p.matrix[i].tiles;
  return tiles;
}

// Asks for the first tile, which depends on nothing that the launch before does.
RF_DEVICE void ask_for_first_tile(const MatvecParams& p) {
  if (p.parts != 1 || p.routes != nullptr) return;
  const Target target = target_of(p, lane::block_x());
  for (int i = 0; i <= (p.gated != 0 ? 1 : 0); ++i) {
    const Matrix& m = p.matrix[target.which + i];
    const std::uint8_t* base = m.data + static_cast<std::uint64_t>(target.tile) * m.tile_bytes;
    for (int n = 0, at = 128 * lane::thread(); n < 4 && static_cast<std::uint32_t>(at) < m.tile_bytes;
         ++n, at += 128 * 256)
      lane::prefetch(base + at);
  }
}

template <class Weights>
RF_DEVICE void matvec(const MatvecParams& p) {
  RF_SHARED(float, sums, 4 * sum_stride);
  RF_SHARED(float, scratch, 8);
  const int tiles = tiles_of(p);
  if (lane::block_x() < tiles) ask_for_first_tile(p);
  NormedRow row(p.norm, p.matrix[0].columns);
  lane::wait_for_previous();
  lane::let_next_start();
  const Share share = share_of(p, lane::block_y());
  if (share.row >= rows_of(p.count)) return;
  const int padded = (p.matrix[0].columns + 31) / 32 * 32;
  auto* codes = reinterpret_cast<std::int8_t*>(lane::dynamic_shared());
  auto* scales = reinterpret_cast<float*>(codes + padded);
  auto* block_sums = reinterpret_cast<std::int32_t*>(scales + padded / 32);
  if (p.in.codes != nullptr) {
    const std::int64_t packed = p.in_parts == 1 ? share.row : share.row * p.parts + share.part;
    const std::int8_t* from = p.in.codes + packed * padded;
    for (int k = 16 * lane::thread(); k < padded; k += 16 * 256)
      *reinterpret_cast<Four*>(codes + k) = lane::load4(from + k);
    for (int b = lane::thread(); b < padded / 32; b += 256) {
      scales[b] = p.in.scales[packed * (padded / 32) + b];
      block_sums[b] = p.in.sums[packed * (padded / 32) + b];
    }
  } else {
    const float* x = p.x + (p.from != nullptr ? p.from[share.row] : share.row) * p.x_stride;
    row.load(x, 1.0f, scratch);
    quantise(row, padded, codes, scales, block_sums);
  }
  const Rows in{codes, scales, block_sums, nullptr, padded};
  lane::barrier();
  all_tiles<Weights, 1>(p, share, tiles, in, 1, sums);
}

template <class Weights>
RF_DEVICE void matvec_of_rows(const MatvecParams& p) {
  RF_SHARED(float, sums, matvec_rows* sum_stride);
  const int tiles = tiles_of(p);
  if (lane::block_x() < tiles) ask_for_first_tile(p);
  lane::wait_for_previous();
  lane::let_next_start();
  const bool by_part = p.parts > 1 || p.routes != nullptr;
  const Share share = share_of(p, by_part ? lane::block_y() : matvec_rows * lane::block_y());
  const int live = rows_of(p.count) - share.row;
  if (live <= 0) return;
  const int rows = by_part ? 1 : live < matvec_rows ? live : matvec_rows;
  const std::int64_t first = p.in_parts == 1 ? share.row : share.row * p.parts + share.part;
  const std::int64_t at = first * p.in.padded;
  const Rows in{p.in.codes + at, p.in.scales + at / 32, p.in.sums + at / 32, p.in.values + at, p.in.padded};
  all_tiles<Weights, matvec_rows>(p, share, tiles, in, rows, sums);
}

#define RF_MATVEC(Fmt)                                    \
  RF_KERNEL(rf_matvec_##Fmt, MatvecParams, 256, 2) {      \
    matvec<Quantised<Fmt>>(p);                            \
  }                                                       \
  RF_KERNEL(rf_matvec_rows_##Fmt, MatvecParams, 256, 2) { \
    matvec_of_rows<Quantised<Fmt>>(p);                    \
  }
RF_FORMATS(RF_MATVEC)
RF_KERNEL(rf_matvec_rows_F32, MatvecParams, 256, 2) {
  matvec_of_rows<F32>(p);
}
RF_KERNEL(rf_matvec_rows_F16, MatvecParams, 256, 2) {
  matvec_of_rows<F16>(p);
}
RF_KERNEL(rf_matvec_rows_BF16, MatvecParams, 256, 2) {
  matvec_of_rows<BF16>(p);
}

}  // namespace rf::gpu
