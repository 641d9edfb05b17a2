// rf_matmul_FORMAT: products of many rows, in the canonical order of weights.h; grids stand in params.h.
//
// Block 256: 64 weight rows (with gate and up 32 of each) times 64 activation rows. Weights are unpacked to
// bytes in LDS, 128 columns at a time, and multiplied by the matrix unit while the next are on their way;
// each block of 32 columns (or half of it) then goes through its scales. LDS: 18 to 24 KB. Reads weights once
// for every 64 rows, activations once for every 64 weight rows, mostly from the second-level cache, since
// blocks of all rows with the same weights follow each other.
#include "gpu/kernels/activation.h"
#include "gpu/kernels/norm.h"
#include "gpu/kernels/weights.h"

namespace rf::gpu {

inline constexpr int stage = 4;  // blocks of 32 columns unpacked at a time

// What a block of the launch works on.
struct Share {
  int which;        // the first of its matrices, among the step's
  int number;       // of experts and heads
  int first_tile;   // of the block's; those of up have the same numbers as those of gate
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

// `tiles`: that a block has.
RF_DEVICE bool find_share(const MatmulParams& p, int tiles, Share& s) {
  const int group = lane::block_z();
  const int count = p.order != nullptr ? p.starts[group + 1] - p.starts[group] : rows_of(p.count);
  s.first = matmul_rows * lane::block_x();
  s.rows = count - s.first < matmul_rows ? count - s.first : matmul_rows;
  s.number = p.parts > 1 || p.order != nullptr ? group : 0;
  s.which = 0;
  const int together = p.gated != 0 ? tiles / 2 : tiles;
  int y = lane::block_y();
  while (p.gated == 0 && y >= (p.matrix[s.which].tiles + together - 1) / together)
    y -= (p.matrix[s.which++].tiles + together - 1) / together;
  s.first_tile = together * y;
  return s.rows > 0;
}

// Where the block's tile `t` of `tiles` lies.
RF_DEVICE const std::uint8_t* tile_at(const MatmulParams& p, const Share& s, int t, int tiles) {
  const bool up = p.gated != 0 && t >= tiles / 2;
  const Matrix& m = p.matrix[s.which + (up ? 1 : 0)];
  const int tile = s.first_tile + (up ? t - tiles / 2 : t), last = m.tiles - 1;
  return m.data + (static_cast<std::uint64_t>(s.number) * static_cast<std::uint64_t>(m.tiles) +
                   static_cast<std::uint64_t>(tile < last ? tile : last)) *
                      m.tile_bytes;
}

// To the output: activation rows [first, first + rows) of the block's, from LDS [rows][16 * tiles].
template <int tiles, int rows>
RF_DEVICE void store_products(const MatmulParams& p, const Share& s, int first, const float* products) {
  constexpr int width = 16 * tiles, at_once = 4;
  const bool with_up = p.gated != 0;
  const int outputs = with_up ? width / 2 : width, column = lane::thread() % outputs, step = 256 / outputs,
            out = 16 * s.first_tile + column;
  const Matrix &m = p.matrix[s.which], &up = p.matrix[s.which + (with_up ? 1 : 0)];
  const int live = s.rows - first < rows ? s.rows - first : rows;
  if (out >= m.rows) return;
  const std::int64_t bias_at = static_cast<std::int64_t>(s.number) * m.rows + out;
  const float bias = m.bias != nullptr ? m.bias[bias_at] : 0,
              up_bias = up.bias != nullptr ? up.bias[bias_at] : 0;
  const float factor = factor_of(m, s.number), up_factor = factor_of(up, s.number);
  RF_NO_UNROLL
  for (int row = lane::thread() / outputs; row < live; row += at_once * step) {
    // What is read comes first, so that the loads are under way together.
    std::int64_t at[at_once];
    Pair pair[at_once];
    Ends ends[at_once];
    float weight[at_once];
    RF_UNROLL
    for (int n = 0; n < at_once; ++n) {
      const int own = row + n * step < live ? row + n * step : row;
      pair[n] = pair_of(p, s.first + first + own);
      at[n] = pair[n].part * p.part_stride + m.out_column + out;
      weight[n] = p.weigh != 0 ? p.routes[(2 * pair[n].row + 1) * p.parts + pair[n].part] : 1.0f;
      ends[n] = ends_of(p.epilogue, pair[n].row, at[n]);
    }
    RF_UNROLL
    for (int n = 0; n < at_once; ++n) {
      if (row + n * step >= live) break;
      const float* own = products + (row + n * step) * width + column;
      float v = own[0] * factor;
      if (m.bias != nullptr) v += bias;
      if (with_up) {
        const float u = own[width / 2] * up_factor;
        v = gated(p.epilogue.activation, v, up.bias != nullptr ? u + up_bias : u);
      } else {
        if (p.weigh != 0) v *= weight[n];
        v = finished(p.epilogue, v, ends[n]);
      }
      p.out[pair[n].row * p.out_stride + at[n]] = v;
    }
  }
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
  static constexpr int groups = Weights::groups, weight_rows = 16 * matmul_tiles;
  // A wave has one tile and some quarters of the activation rows.
  static constexpr int waves = 256 / lane::wave, quarters = matmul_rows / 16 * matmul_tiles / waves;
  // Words of one block's operands in LDS; those of activations lie apart so that lanes meet in no bank.
  static constexpr int weight_words = 8 * weight_rows, activation_words = 8 * matmul_rows + 8;
  static constexpr int operand_words = stage * (weight_words + activation_words);
  static_assert(stage * weight_rows == 256 && stage * matmul_rows == 256 && run % stage == 0 &&
                operand_words >= weight_rows * matmul_rows);

  const MatmulParams& p;
  const Share& share;
  std::uint32_t *weights, *activations;  // LDS: operands [stage][64]
  float *scales, *mins;                  // [stage][groups][64]
  float *row_scales, *offsets;  // [stage][64], [stage][groups][64]: activations' scales, and times their sums

  // What a thread brings of a stage: 32 columns of a weight row and of an activation row.
  struct Fetched {
    typename Weights::template Coming<1> weights;
    Four halves[2];
    float row_scale;
    std::int32_t sums;
    int block;
  };
  RF_DEVICE static int weight_block() { return lane::thread() / weight_rows; }
  RF_DEVICE static int weight_row() { return lane::thread() % weight_rows; }
  // Four lanes have neighbouring blocks, and eight meet in no bank of LDS.
  RF_DEVICE static int activation_block() { return lane::thread() % stage; }
  RF_DEVICE static int activation_row() {
    const int t = lane::thread() / stage;
    return (t & ~7) + 4 * (t & 1) + (t >> 1 & 3);
  }

  // Blocks that are not there repeat the last one; their activations' scales are 0.
  RF_DEVICE void fetch(const Stage& at, int blocks, const std::uint8_t* tile, int row, Fetched& f) const {
    const auto within = [&](int own) { return at.first + own < blocks ? at.first + own : blocks - 1; };
    const int block = within(weight_block());
    f.weights.load(Weights::at(p.matrix[share.which], tile, block, weight_row() & 15), block);
    f.block = block;
    const std::int64_t from = std::int64_t{row} * p.in.padded + 32 * within(activation_block());
    RF_UNROLL
    for (int h = 0; h < 2; ++h) f.halves[h] = lane::load4(p.in.codes + from + 16 * h);
    f.row_scale = p.in.scales[from / 32];
    if (activation_block() >= at.count || activation_row() >= share.rows) f.row_scale = 0;
    if constexpr (Weights::has_min) f.sums = p.in.sums[from / 32];
  }

  RF_DEVICE void put(Fetched& f) const {
    const auto own = f.weights.taken(f.block);
    RF_UNROLL
    for (int h = 0; h < 2; ++h) {
      Four weight, activation;
      RF_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int quad = Unit::quad_at(4 * h + i);
        weight.w[i] = Weights::centred(own.codes[quad].v[0]);
        activation.w[i] = f.halves[quad / 4].w[quad % 4];
      }
      *reinterpret_cast<Four*>(weights + weight_words * weight_block() + operand_word(weight_row(), 4 * h)) =
          weight;
      *reinterpret_cast<Four*>(activations + activation_words * activation_block() +
                               operand_word(activation_row(), 4 * h)) = activation;
    }
    const int block = activation_block(), row = activation_row();
    row_scales[block * matmul_rows + row] = f.row_scale;
    RF_UNROLL
    for (int g = 0; g < groups; ++g) {
      scales[(weight_block() * groups + g) * weight_rows + weight_row()] = own.scale[g].v[0];
      if constexpr (Weights::has_min) {
        mins[(weight_block() * groups + g) * weight_rows + weight_row()] = own.min[g].v[0];
        const int total = groups == 1 ? low_sum(f.sums) + high_sum(f.sums)
                          : g == 0    ? low_sum(f.sums)
                                      : high_sum(f.sums);
        offsets[(block * groups + g) * matmul_rows + row] = f.row_scale * static_cast<float>(total);
      }
    }
  }

  RF_DEVICE static int own_tile() { return lane::thread() / lane::wave % matmul_tiles; }
  RF_DEVICE static int own_quarter() { return lane::thread() / lane::wave / matmul_tiles * quarters; }

  // sums += what block b of the stage gives.
  RF_DEVICE void multiply(int b, float (&sums)[quarters][Unit::sums]) const {
    const int lane = lane::thread() % lane::wave;
    std::uint32_t words[Unit::words];
    Unit::load_weights(weights + weight_words * b + 8 * 16 * own_tile(), lane, words);
    RF_UNROLL
    for (int q = 0; q < quarters; ++q) {
      const int first_row = 16 * (own_quarter() + q);
      const auto rows = Unit::load(activations + activation_words * b + 8 * first_row, lane);
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
          const int row = at * weight_rows + 16 * own_tile() + Unit::sum_weight(lane, i);
          const int column = first_row + Unit::sum_activation(lane, i);
          float min = 0, offset = 0;
          if constexpr (Weights::has_min) min = mins[row], offset = offsets[at * matmul_rows + column];
          given[i] = with_group<Weights::has_min>(
              given[i], g == 0, dots[i], scales[row] * row_scales[b * matmul_rows + column], min, offset);
        }
      }
      RF_UNROLL
      for (int i = 0; i < Unit::sums; ++i) sums[q][i] += given[i];
    }
  }

  RF_DEVICE void run_columns() const {
    const int blocks = p.matrix[share.which].columns / 32;
    const std::uint8_t* tile = tile_at(p, share, weight_row() / 16, matmul_tiles);
    const int row = pair_of(p, share.first + (activation_row() < share.rows ? activation_row() : 0)).in;
    float sums[quarters][Unit::sums] = {}, total[quarters][Unit::sums] = {};
    Stage at = stage_at(0, 0, blocks);
    Fetched fetched{};
    fetch(at, blocks, tile, row, fetched);
    RF_NO_UNROLL
    while (at.count > 0) {
      lane::barrier();  // the stage before has been read
      put(fetched);
      lane::barrier();
      const Stage next = after(at, blocks);
      fetch(next, blocks, tile, row, fetched);  // under way while this one is multiplied
      RF_UNROLL_BY(2)
      for (int b = 0; b < stage; ++b) multiply(b, sums);
      if (next.strand != at.strand || next.count == 0) {
        RF_UNROLL
        for (int q = 0; q < quarters; ++q) RF_UNROLL
        for (int i = 0; i < Unit::sums; ++i) total[q][i] += sums[q][i], sums[q][i] = 0;
      }
      at = next;
    }
    const int lane = lane::thread() % lane::wave;
    auto* products = reinterpret_cast<float*>(weights);  // and on, over activations
    lane::barrier();                                     // the last stage has been read
    RF_UNROLL
    for (int q = 0; q < quarters; ++q) RF_UNROLL
    for (int i = 0; i < Unit::sums; ++i)
      products[weight_rows * (16 * (own_quarter() + q) + Unit::sum_activation(lane, i)) + 16 * own_tile() +
               Unit::sum_weight(lane, i)] = total[q][i];
    lane::barrier();
    store_products<matmul_tiles, matmul_rows>(p, share, 0, products);
  }
};

template <class Fmt>
RF_DEVICE void matmul(const MatmulParams& p) {
  using Weights = Quantised<Fmt>;
  using Work = Matmul<Weights>;
  constexpr int scale_floats = stage * Weights::groups * Work::weight_rows;
  RF_SHARED(Four, operands, Work::operand_words / 4);
  RF_SHARED(float, scales, scale_floats);
  RF_SHARED(float, mins, Weights::has_min ? scale_floats : 1);
  RF_SHARED(float, row_scales, stage* matmul_rows);
  RF_SHARED(float, offsets, Weights::has_min ? stage* Weights::groups* matmul_rows : 1);
  lane::wait_for_previous();
  lane::let_next_start();
  Share s;
  if (!find_share(p, matmul_tiles, s)) return;
  auto* weights = reinterpret_cast<std::uint32_t*>(operands);
  Work{p, s, weights, weights + stage * Work::weight_words, scales, mins, row_scales, offsets}.run_columns();
}

// Float weights, by plain multiply and add, 128 rows of them: a thread has 8 of 4 activation rows.
template <class Weights>
RF_DEVICE void float_matmul(const MatmulParams& p) {
  constexpr int weight_rows = 16 * float_matmul_tiles;
  RF_SHARED(float, weights, 32 * weight_rows);
  RF_SHARED(float, values, 32 * matmul_rows);
  lane::wait_for_previous();
  lane::let_next_start();
  Share s;
  if (!find_share(p, float_matmul_tiles, s)) return;
  const int row = lane::thread() / 16 * 8,
            column = lane::thread() % 16 * 4;  // of this thread's 8 x 4 products
  const int columns = p.matrix[s.which].columns, blocks = (columns + 31) / 32;
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
        if (32 * block + k < columns)
          w = Weights::template column<4>(tile_at(p, s, r / 16, float_matmul_tiles), 32 * block + k, r & 15);
        RF_UNROLL
        for (int n = 0; n < 4; ++n) weights[k * weight_rows + r + n] = w.v[n];
      }
      for (int i = lane::thread(); i < 32 * matmul_rows; i += 256) {
        const int k = i % 32, r = i / 32;
        values[k * matmul_rows + r] =
            r < s.rows && 32 * block + k < columns
                ? p.in.values[std::int64_t{pair_of(p, s.first + r).in} * p.in.padded + 32 * block + k]
                : 0.0f;
      }
      lane::barrier();
      const int end = columns - 32 * block < 32 ? columns - 32 * block : 32;
      float given[8][4] = {};
      RF_UNROLL_BY(4)
      for (int k = 0; k < end; ++k) RF_UNROLL
      for (int i = 0; i < 8; ++i) RF_UNROLL
      for (int n = 0; n < 4; ++n)
        given[i][n] = __builtin_fmaf(weights[k * weight_rows + row + i], values[k * matmul_rows + column + n],
                                     given[i][n]);
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
  RF_UNROLL
  for (int q = 0; q < matmul_rows / 16; ++q) {
    lane::barrier();  // what was in LDS has been read
    if (column / 16 == q) {
      RF_UNROLL
      for (int i = 0; i < 8; ++i) RF_UNROLL
      for (int n = 0; n < 4; ++n) weights[weight_rows * (column % 16 + n) + row + i] = total[i][n];
    }
    lane::barrier();
    store_products<float_matmul_tiles, 16>(p, s, 16 * q, weights);
  }
}

#define RF_MATMUL(Fmt)                               \
  RF_KERNEL(rf_matmul_##Fmt, MatmulParams, 256, 2) { \
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
