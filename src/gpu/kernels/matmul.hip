// rf_matmul_FORMAT: products of many rows, in the canonical order of weights.h; grids stand in params.h.
//
// Block 256: 8 tiles of 16 weight rows times 64 activation rows; a wave has whole tiles. Weights are unpacked
// to bytes in LDS, 128 columns at a time, and multiplied by the matrix unit; each block of 32 columns (or
// half of it) then goes through its scales. LDS: 28 to 38 KB. Reads weights once for every 64 rows,
// activations once for every 128 weight rows.
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

template <class Weights>
struct Matmul {
  using Unit = lane::MatrixUnit;
  static constexpr int waves = 256 / lane::wave, tiles = matmul_tiles / waves;  // of a wave
  static constexpr int quarters = matmul_rows / 16, groups = Weights::groups;

  std::uint32_t *weights, *activations;  // LDS: operands [stage][128 and 64 rows]
  float *scales, *mins;                  // [stage][groups][128]
  float* row_scales;                     // [stage][64]
  int* totals;                           // [stage][groups][64], of activation codes
  float* offsets;                        // likewise, times their scales

  RF_DEVICE void load_weights(const Matrix& m, const Share& s, int first, int blocks) const {
    for (int i = lane::thread(); i < stage * weight_rows / 2; i += 256) {
      const int b = i / (weight_rows / 2), row = i % (weight_rows / 2) * 2;
      if (first + b >= blocks) continue;
      const int block = block_of_turn(blocks, first + b).block;
      const Tile t = Weights::at(m, tile_at(m, s.number, s.first_tile + row / 16), block, row & 15);
      Words<2> codes[8];
      Weights::codes(t, block, codes);
      RF_UNROLL
      for (int n = 0; n < 2; ++n) RF_UNROLL
      for (int h = 0; h < 2; ++h)
        *reinterpret_cast<Four*>(weights + 8 * weight_rows * b + operand_word(row + n, 4 * h)) = {
            {codes[4 * h].v[n], codes[4 * h + 1].v[n], codes[4 * h + 2].v[n], codes[4 * h + 3].v[n]}};
      RF_UNROLL
      for (int g = 0; g < groups; ++g) {
        Floats<2> scale{}, min{};
        Weights::scale(t, block, g, scale, min);
        RF_UNROLL
        for (int n = 0; n < 2; ++n) {
          scales[(b * groups + g) * weight_rows + row + n] = scale.v[n];
          if constexpr (Weights::has_min) mins[(b * groups + g) * weight_rows + row + n] = min.v[n];
        }
      }
    }
  }

  RF_DEVICE void load_activations(const MatmulParams& p, const Share& s, int first, int blocks) const {
    for (int i = lane::thread(); i < stage * matmul_rows * 2; i += 256) {
      const int half = i & 1, b = (i >> 1) % stage, row = (i >> 1) / stage;
      if (first + b >= blocks) continue;
      const int block = block_of_turn(blocks, first + b).block;
      Four codes{};
      float scale = 0;
      std::int32_t sums = 0;
      if (row < s.rows) {
        const std::int64_t at = std::int64_t{pair_of(p, s.first + row).in} * p.in.padded + 32 * block;
        codes = lane::load4(p.in.codes + at + 16 * half);
        scale = p.in.scales[at / 32];
        sums = p.in.sums[at / 32];
      }
      *reinterpret_cast<Four*>(activations + 8 * matmul_rows * b + operand_word(row, 4 * half)) = codes;
      if (half != 0) continue;
      row_scales[b * matmul_rows + row] = scale;
      RF_UNROLL
      for (int g = 0; g < groups; ++g) {
        const int total = groups == 1 ? low_sum(sums) + high_sum(sums)
                          : g == 0    ? low_sum(sums)
                                      : high_sum(sums);
        totals[(b * groups + g) * matmul_rows + row] = total;
        if constexpr (Weights::has_min)
          offsets[(b * groups + g) * matmul_rows + row] = scale * static_cast<float>(total);
      }
    }
  }

  // acc += block b of the stage.
  RF_DEVICE void multiply(int b, float (&acc)[tiles][quarters][Unit::sums]) const {
    const int lane = lane::thread() % lane::wave, wave = lane::thread() / lane::wave;
    std::uint32_t words[tiles][Unit::words];
    RF_UNROLL
    for (int t = 0; t < tiles; ++t) RF_UNROLL
    for (int w = 0; w < Unit::words; ++w)
      words[t][w] =
          weights[8 * weight_rows * b + operand_word(16 * (wave * tiles + t) + Unit::weight_row(lane, w),
                                                     Unit::weight_quad(lane, w))];
    RF_UNROLL
    for (int q = 0; q < quarters; ++q) {
      const auto rows = Unit::load(activations + 8 * (matmul_rows * b + 16 * q), lane);
      RF_UNROLL
      for (int t = 0; t < tiles; ++t) RF_UNROLL
      for (int g = 0; g < groups; ++g) {
        const int at = b * groups + g;
        int sums[Unit::sums];
        RF_UNROLL
        for (int i = 0; i < Unit::sums; ++i)
          sums[i] = Weights::zero == 0
                        ? 0
                        : -Weights::zero * totals[at * matmul_rows + 16 * q + Unit::sum_activation(lane, i)];
        if constexpr (groups == 1)
          Unit::multiply(sums, words[t], rows);
        else if (g == 0)
          Unit::template multiply_half<0>(sums, words[t], rows);
        else
          Unit::template multiply_half<1>(sums, words[t], rows);
        RF_UNROLL
        for (int i = 0; i < Unit::sums; ++i) {
          const int row = 16 * (wave * tiles + t) + Unit::sum_weight(lane, i);
          const int column = 16 * q + Unit::sum_activation(lane, i);
          const float d = row_scales[b * matmul_rows + column];
          float& v = acc[t][q][i];
          v = __builtin_fmaf(static_cast<float>(sums[i]), scales[at * weight_rows + row] * d, v);
          if constexpr (Weights::has_min)
            v = __builtin_fmaf(mins[at * weight_rows + row],
                               d * static_cast<float>(totals[at * matmul_rows + column]), v);
        }
      }
    }
  }

  RF_DEVICE void run(const MatmulParams& p, const Share& s, int pass) const {
    const Matrix& m = p.matrix[s.which + pass];
    const int blocks = m.columns / 32;
    float acc[tiles][quarters][Unit::sums] = {}, total[tiles][quarters][Unit::sums] = {};
    const auto end_slice = [&] {
      RF_UNROLL
      for (int t = 0; t < tiles; ++t) RF_UNROLL
      for (int q = 0; q < quarters; ++q) RF_UNROLL
      for (int i = 0; i < Unit::sums; ++i) total[t][q][i] += acc[t][q][i], acc[t][q][i] = 0;
    };
    RF_NO_UNROLL
    for (int first = 0; first < blocks; first += stage) {
      lane::barrier();  // the stage before has been read
      load_weights(m, s, first, blocks);
      load_activations(p, s, first, blocks);
      lane::barrier();
      const int end = blocks - first < stage ? blocks - first : stage;
      RF_NO_UNROLL
      for (int b = 0; b < end; ++b) {
        multiply(b, acc);
        if (block_of_turn(blocks, first + b).last) end_slice();
      }
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
  RF_SHARED(int, totals, stage* Weights::groups* matmul_rows);
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
                                totals,
                                offsets};
  RF_NO_UNROLL
  for (int pass = 0; pass <= (p.gated != 0 ? 1 : 0); ++pass) product.run(p, s, pass);
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
    float total[8][4] = {}, acc[8][4] = {};
    RF_NO_UNROLL
    for (int turn = 0; turn < blocks; ++turn) {
      const int block = block_of_turn(blocks, turn).block;
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
      RF_UNROLL_BY(4)
      for (int k = 0; k < end; ++k) RF_UNROLL
      for (int i = 0; i < 8; ++i) RF_UNROLL
      for (int n = 0; n < 4; ++n)
        acc[i][n] = __builtin_fmaf(weights[k * weight_rows + row + i], values[k * matmul_rows + column + n],
                                   acc[i][n]);
      if (!block_of_turn(blocks, turn).last) continue;
      RF_UNROLL
      for (int i = 0; i < 8; ++i) RF_UNROLL
      for (int n = 0; n < 4; ++n) total[i][n] += acc[i][n], acc[i][n] = 0;
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
