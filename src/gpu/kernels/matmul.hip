// rf_matmul_FORMAT: products of many rows, in the canonical order of weights.h; grids stand in params.h.
//
// Block 256: 8 tiles of 16 weight rows times 64 activation rows; a wave has whole tiles. Weights are unpacked
// to bytes in LDS, 128 columns at a time, and multiplied by the matrix unit while the next are on their way;
// each block of 32 columns (or half of it) then goes through its scales. LDS: 28 to 38 KB. Reads weights once
// for every 64 rows, activations once for every 128 weight rows.
#include "gpu/kernels/activation.h"
#include "gpu/kernels/norm.h"
#include "gpu/kernels/weights.h"

namespace rf::gpu {

inline constexpr int weight_rows = 16 * matmul_tiles, stage = 4;  // blocks of 32 columns unpacked at a time

// What a block of the launch works on.
struct Share {
  const Matrix* matrix;
  int which;        // its number among the step's matrices
  int number;       // of experts and heads
  int first_tile;   // of 8
  int first, rows;  // of the group's
};

struct Pair {
  int in, row, part;  // row of `in`, row and part of the output
};
RF_DEVICE Pair pair_of(const MatmulParams& p, int i) {
  const int group = lane::block_z();
  const int pair = p.order != nullptr ? p.order[p.starts[group] + i] : p.parts == 1 ? i : i * p.parts + group;
  const int row = pair / p.parts;
  return {p.in_parts == 1 ? row : pair, row, pair % p.parts};
}

RF_DEVICE bool find_share(const MatmulParams& p, Share& s) {
  const int group = lane::block_z();
  const int count = p.order != nullptr ? p.starts[group + 1] - p.starts[group] : rows_of(p.count);
  s.first = matmul_rows * lane::block_y();
  s.rows = count - s.first < matmul_rows ? count - s.first : matmul_rows;
  s.number = p.parts > 1 || p.order != nullptr ? group : 0;
  s.which = 0;
  int x = lane::block_x();
  while (p.gated == 0 && x >= (p.matrix[s.which].tiles + matmul_tiles - 1) / matmul_tiles)
    x -= (p.matrix[s.which++].tiles + matmul_tiles - 1) / matmul_tiles;
  s.first_tile = matmul_tiles * x;
  return s.rows > 0;
}

RF_DEVICE const std::uint8_t* tile_at(const Matrix& m, int number, int tile) {
  return m.data + (static_cast<std::uint64_t>(number) * static_cast<std::uint64_t>(m.tiles) +
                   static_cast<std::uint64_t>(tile < m.tiles ? tile : m.tiles - 1)) *
                      m.tile_bytes;
}

// One product to the output; with gate and up the gate waits there for the up.
RF_DEVICE void store(const MatmulParams& p, const Matrix& m, const Share& s, int pass, int i, int column,
                     float v) {
  const Pair pair = pair_of(p, s.first + i);
  if (m.bias != nullptr) v += m.bias[static_cast<std::int64_t>(s.number) * m.rows + column];
  const std::int64_t at = pair.part * p.part_stride + p.matrix[s.which].out_column + column;
  float* to = p.out + pair.row * p.out_stride + at;
  if (p.gated == 0) {
    if (p.weigh != 0) v *= p.routes[(2 * pair.row + 1) * p.parts + pair.part];
    *to = finished(p.epilogue, v, pair.row, at);
  } else {
    *to = pass == 0 ? v : gated(p.epilogue.activation, *to, v);
  }
}

// Activation rows [first_row, first_row + 16) of the block's products, from LDS [16][128].
RF_DEVICE void store_rows(const MatmulParams& p, const Matrix& m, const Share& s, int pass, int first_row,
                          const float* products) {
  lane::barrier();
  RF_NO_UNROLL
  for (int i = lane::thread(); i < 16 * weight_rows; i += 256) {
    const int row = first_row + i / weight_rows, column = 16 * s.first_tile + i % weight_rows;
    if (row < s.rows && column < m.rows) store(p, m, s, pass, row, column, products[i]);
  }
  lane::barrier();
}

// The blocks of 32 columns in canonical order, up to `stage` neighbours of one run at a time.
struct Stage {
  int strand, first, count;  // count 0: there are no more
};
RF_DEVICE Stage stage_at(int strand, int first, int blocks) {
  if (first >= blocks) ++strand, first = run * strand;
  if (strand == strands || first >= blocks) return {strand, first, 0};
  return {strand, first, blocks - first < stage ? blocks - first : stage};
}
RF_DEVICE Stage after(const Stage& s, int blocks) {
  const int next = s.first + stage;
  return stage_at(s.strand, next % run == 0 ? next + round_blocks - run : next, blocks);
}

template <class Weights>
struct Matmul {
  using Unit = lane::MatrixUnit;
  static constexpr int waves = 256 / lane::wave, tiles = matmul_tiles / waves;  // of a wave
  static constexpr int quarters = matmul_rows / 16, groups = Weights::groups;
  static_assert(stage * weight_rows / 2 == 256 && run % stage == 0);

  std::uint32_t *weights, *activations;  // LDS: operands [stage][128 and 64 rows]
  float *scales, *mins;                  // [stage][groups][128]
  float *row_scales, *offsets;  // [stage][64], [stage][groups][64]: activations' scales, and times their sums

  // What a thread brings of a stage: two weight rows of a block, and twice half a block of an activation row.
  struct Fetched {
    Words<2> codes[8];
    Floats<2> scale[groups], min[groups];
    Four halves[2];
    float row_scale[2];
    std::int32_t sums[2];
  };
  RF_DEVICE static int own_block() { return lane::thread() / (weight_rows / 2); }
  RF_DEVICE static int own_row() { return lane::thread() % (weight_rows / 2) * 2; }
  // Of half a block of activations: half, block of the stage, row.
  RF_DEVICE static int half_of(int) { return lane::thread() & 1; }
  RF_DEVICE static int block_of(int) { return (lane::thread() >> 1) % stage; }
  RF_DEVICE static int row_of(int n) { return (lane::thread() >> 1) / stage + n * (128 / stage); }

  RF_DEVICE void fetch(const MatmulParams& p, const Matrix& m, const Share& s, const Stage& at,
                       const std::uint8_t* tile, const int (&rows)[2], Fetched& f) const {
    if (own_block() < at.count) {
      const int block = at.first + own_block();
      const Tile t = Weights::at(m, tile, block, own_row() & 15);
      Weights::codes(t, block, f.codes);
      RF_UNROLL
      for (int g = 0; g < groups; ++g) Weights::scale(t, block, g, f.scale[g], f.min[g]);
    }
    RF_UNROLL
    for (int n = 0; n < 2; ++n) {
      f.halves[n] = {};
      f.row_scale[n] = 0;
      f.sums[n] = 0;
      if (block_of(n) >= at.count || row_of(n) >= s.rows) continue;
      const std::int64_t from = std::int64_t{rows[n]} * p.in.padded + 32 * (at.first + block_of(n));
      f.halves[n] = lane::load4(p.in.codes + from + 16 * half_of(n));
      f.row_scale[n] = p.in.scales[from / 32];
      if constexpr (Weights::has_min) f.sums[n] = p.in.sums[from / 32];
    }
  }

  RF_DEVICE void put(const Fetched& f) const {
    const int b = own_block(), row = own_row();
    RF_UNROLL
    for (int n = 0; n < 2; ++n) RF_UNROLL
    for (int h = 0; h < 2; ++h) {
      Four four;
      RF_UNROLL
      for (int i = 0; i < 4; ++i) four.w[i] = Weights::centred(f.codes[4 * h + i].v[n]);
      *reinterpret_cast<Four*>(weights + 8 * weight_rows * b + operand_word(row + n, 4 * h)) = four;
    }
    RF_UNROLL
    for (int g = 0; g < groups; ++g) RF_UNROLL
    for (int n = 0; n < 2; ++n) {
      scales[(b * groups + g) * weight_rows + row + n] = f.scale[g].v[n];
      if constexpr (Weights::has_min) mins[(b * groups + g) * weight_rows + row + n] = f.min[g].v[n];
    }
    RF_UNROLL
    for (int n = 0; n < 2; ++n) {
      const int block = block_of(n), r = row_of(n);
      *reinterpret_cast<Four*>(activations + 8 * matmul_rows * block + operand_word(r, 4 * half_of(n))) =
          f.halves[n];
      if (half_of(n) != 0) continue;
      row_scales[block * matmul_rows + r] = f.row_scale[n];
      if constexpr (Weights::has_min) {
        RF_UNROLL
        for (int g = 0; g < groups; ++g) {
          const int total = groups == 1 ? low_sum(f.sums[n]) + high_sum(f.sums[n])
                            : g == 0    ? low_sum(f.sums[n])
                                        : high_sum(f.sums[n]);
          offsets[(block * groups + g) * matmul_rows + r] = f.row_scale[n] * static_cast<float>(total);
        }
      }
    }
  }

  // sums += what block b of the stage gives.
  RF_DEVICE void multiply(int b, float (&sums)[tiles][quarters][Unit::sums]) const {
    const int lane = lane::thread() % lane::wave, wave = lane::thread() / lane::wave;
    RF_UNROLL
    for (int t = 0; t < tiles; ++t) {
      const int first_row = 16 * (wave * tiles + t);
      std::uint32_t words[Unit::words];
      RF_UNROLL
      for (int w = 0; w < Unit::words; ++w)
        words[w] = weights[8 * weight_rows * b +
                           operand_word(first_row + Unit::weight_row(lane, w), Unit::weight_quad(lane, w))];
      RF_UNROLL
      for (int q = 0; q < quarters; ++q) {
        const auto rows = Unit::load(activations + 8 * (matmul_rows * b + 16 * q), lane);
        float given[Unit::sums];
        RF_UNROLL
        for (int g = 0; g < groups; ++g) {
          const int at = b * groups + g;
          int dots[Unit::sums] = {};
          if constexpr (groups == 1)
            Unit::multiply(dots, words, rows);
          else if (g == 0)
            Unit::template multiply_half<0>(dots, words, rows);
          else
            Unit::template multiply_half<1>(dots, words, rows);
          RF_UNROLL
          for (int i = 0; i < Unit::sums; ++i) {
            const int row = at * weight_rows + first_row + Unit::sum_weight(lane, i);
            const int column = 16 * q + Unit::sum_activation(lane, i);
            float min = 0, offset = 0;
            if constexpr (Weights::has_min) min = mins[row], offset = offsets[at * matmul_rows + column];
            given[i] = with_group<Weights::has_min>(
                given[i], g == 0, dots[i], scales[row] * row_scales[b * matmul_rows + column], min, offset);
          }
        }
        RF_UNROLL
        for (int i = 0; i < Unit::sums; ++i) sums[t][q][i] += given[i];
      }
    }
  }

  RF_DEVICE void run_columns(const MatmulParams& p, const Share& s, int pass) const {
    const Matrix& m = p.matrix[s.which + pass];
    const int blocks = m.columns / 32;
    const std::uint8_t* tile = tile_at(m, s.number, s.first_tile + own_row() / 16);
    int rows[2];
    RF_UNROLL
    for (int n = 0; n < 2; ++n) rows[n] = row_of(n) < s.rows ? pair_of(p, s.first + row_of(n)).in : 0;
    float sums[tiles][quarters][Unit::sums] = {}, total[tiles][quarters][Unit::sums] = {};
    Stage at = stage_at(0, 0, blocks);
    Fetched fetched{};
    fetch(p, m, s, at, tile, rows, fetched);
    RF_NO_UNROLL
    while (at.count > 0) {
      lane::barrier();  // the stage before has been read
      put(fetched);
      lane::barrier();
      const Stage next = after(at, blocks);
      fetch(p, m, s, next, tile, rows, fetched);  // under way while this one is multiplied
      RF_NO_UNROLL
      for (int b = 0; b < at.count; ++b) multiply(b, sums);
      if (next.strand != at.strand || next.count == 0) {
        RF_UNROLL
        for (int t = 0; t < tiles; ++t) RF_UNROLL
        for (int q = 0; q < quarters; ++q) RF_UNROLL
        for (int i = 0; i < Unit::sums; ++i) total[t][q][i] += sums[t][q][i], sums[t][q][i] = 0;
      }
      at = next;
    }
    const int lane = lane::thread() % lane::wave, wave = lane::thread() / lane::wave;
    auto* products = reinterpret_cast<float*>(weights);
    lane::barrier();  // the last stage has been read
    RF_UNROLL
    for (int q = 0; q < quarters; ++q) {
      RF_UNROLL
      for (int t = 0; t < tiles; ++t) RF_UNROLL
      for (int i = 0; i < Unit::sums; ++i)
        products[weight_rows * Unit::sum_activation(lane, i) + 16 * (wave * tiles + t) +
                 Unit::sum_weight(lane, i)] = total[t][q][i];
      store_rows(p, m, s, pass, 16 * q, products);
    }
  }
};

template <class Fmt>
RF_DEVICE void matmul(const MatmulParams& p) {
  using Weights = Quantised<Fmt>;
  RF_SHARED(Four, weights, stage * weight_rows * 2);
  RF_SHARED(Four, activations, stage * matmul_rows * 2);
  RF_SHARED(float, scales, stage* Weights::groups* weight_rows);
  RF_SHARED(float, mins, Weights::has_min ? stage* Weights::groups* weight_rows : 1);
  RF_SHARED(float, row_scales, stage* matmul_rows);
  RF_SHARED(float, offsets, Weights::has_min ? stage* Weights::groups* matmul_rows : 1);
  lane::wait_for_previous();
  lane::let_next_start();
  Share s;
  if (!find_share(p, s)) return;
  const Matmul<Weights> product{reinterpret_cast<std::uint32_t*>(weights),
                                reinterpret_cast<std::uint32_t*>(activations),
                                scales,
                                mins,
                                row_scales,
                                offsets};
  RF_NO_UNROLL
  for (int pass = 0; pass <= (p.gated != 0 ? 1 : 0); ++pass) product.run_columns(p, s, pass);
}

// Float weights, by plain multiply and add: a thread has 8 weight rows of 4 activation rows.
template <class Weights>
RF_DEVICE void float_matmul(const MatmulParams& p) {
  RF_SHARED(float, weights, 32 * weight_rows);
  RF_SHARED(float, values, 32 * matmul_rows);
  lane::wait_for_previous();
  lane::let_next_start();
  Share s;
  if (!find_share(p, s)) return;
  const int row = lane::thread() / 16 * 8,
            column = lane::thread() % 16 * 4;  // of this thread's 8 x 4 products
  RF_NO_UNROLL
  for (int pass = 0; pass <= (p.gated != 0 ? 1 : 0); ++pass) {
    const Matrix& m = p.matrix[s.which + pass];
    const int blocks = (m.columns + 31) / 32;
    float total[8][4] = {}, sums[8][4] = {};
    Stage at = stage_at(0, 0, blocks);
    RF_NO_UNROLL
    while (at.count > 0) {
      RF_NO_UNROLL
      for (int block = at.first; block < at.first + at.count; ++block) {
        lane::barrier();
        for (int i = lane::thread(); i < 32 * weight_rows / 4; i += 256) {
          const int k = i / (weight_rows / 4), r = i % (weight_rows / 4) * 4;
          Floats<4> w{};
          if (32 * block + k < m.columns)
            w = Weights::template column<4>(tile_at(m, s.number, s.first_tile + r / 16), 32 * block + k,
                                            r & 15);
          RF_UNROLL
          for (int n = 0; n < 4; ++n) weights[k * weight_rows + r + n] = w.v[n];
        }
        for (int i = lane::thread(); i < 32 * matmul_rows; i += 256) {
          const int k = i % 32, r = i / 32;
          values[k * matmul_rows + r] =
              r < s.rows && 32 * block + k < m.columns
                  ? p.in.values[std::int64_t{pair_of(p, s.first + r).in} * p.in.padded + 32 * block + k]
                  : 0.0f;
        }
        lane::barrier();
        const int end = m.columns - 32 * block < 32 ? m.columns - 32 * block : 32;
        float given[8][4] = {};
        RF_UNROLL_BY(4)
        for (int k = 0; k < end; ++k) RF_UNROLL
        for (int i = 0; i < 8; ++i) RF_UNROLL
        for (int n = 0; n < 4; ++n)
          given[i][n] = __builtin_fmaf(weights[k * weight_rows + row + i],
                                       values[k * matmul_rows + column + n], given[i][n]);
        RF_UNROLL
        for (int i = 0; i < 8; ++i) RF_UNROLL
        for (int n = 0; n < 4; ++n) sums[i][n] += given[i][n];
      }
      const Stage next = after(at, blocks);
      if (next.strand != at.strand || next.count == 0) {
        RF_UNROLL
        for (int i = 0; i < 8; ++i) RF_UNROLL
        for (int n = 0; n < 4; ++n) total[i][n] += sums[i][n], sums[i][n] = 0;
      }
      at = next;
    }
    lane::barrier();
    RF_UNROLL
    for (int q = 0; q < matmul_rows / 16; ++q) {
      if (column / 16 == q) {
        RF_UNROLL
        for (int i = 0; i < 8; ++i) RF_UNROLL
        for (int n = 0; n < 4; ++n) weights[weight_rows * (column % 16 + n) + row + i] = total[i][n];
      }
      store_rows(p, m, s, pass, 16 * q, weights);
    }
  }
}

#define RF_MATMUL(Fmt)                               \
  RF_KERNEL(rf_matmul_##Fmt, MatmulParams, 256, 1) { \
    matmul<Fmt>(p);                                  \
  }
RF_FORMATS(RF_MATMUL)
RF_KERNEL(rf_matmul_F32, MatmulParams, 256, 2) {
  float_matmul<F32>(p);
}
RF_KERNEL(rf_matmul_F16, MatmulParams, 256, 2) {
  float_matmul<F16>(p);
}
RF_KERNEL(rf_matmul_BF16, MatmulParams, 256, 2) {
  float_matmul<BF16>(p);
}

}  // namespace rf::gpu
