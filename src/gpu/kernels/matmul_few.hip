// rf_matmul_few_FORMAT: products of 2 to 32 rows with quantised weights, in the canonical order of weights.h.
//
// Grid (any, ceil(rows / 32) or rows * parts), block 256, LDS 45 to 48 KB. The block works on one tile of 16
// weight rows at a time and has 32 threads for each strand, so that small matrices too fill the device.
// Weights are read once for each 32 rows, in 16-byte pieces, the next run of blocks while this one is
// multiplied; activations once for each tile, from the caches.
#include "gpu/kernels/norm.h"
#include "gpu/kernels/products.h"

namespace rf::gpu {

template <class Weights>
class Few {
  using Unit = lane::MatrixUnit;
  static constexpr int groups = Weights::groups, own = lane::wave / 32;  // strands of a wave
  static constexpr int quarters = matmul_few_rows / 16;                  // of 16 activation rows
  // Activations are read a block ahead, but where a lane of the matrix unit has whole rows: registers do not
  // reach.
  static constexpr bool ahead = Unit::words < 8;
  // Nor do they for the next weights where lanes multiply by themselves.
  static constexpr bool without_unit = lane::without_matrix_unit;
  // Words of LDS: a block's codes lie as [8 quads][16 rows]; where LDS allows, blocks lie apart so that lanes
  // meet in no bank.
  static constexpr int block_words = groups == 2 && Weights::has_min ? 128 : 144;
  static constexpr int scale_words = groups * 16;  // of a block, and as many of mins
  static constexpr int block_floats = scale_words * (Weights::has_min ? 2 : 1);

 public:
  static constexpr int strand_words = run * (block_words + block_floats);

  RF_DEVICE Few(const MatvecParams& p, std::uint32_t* lds) : p_(p), walk_(p, 1), lds_(lds) {}

  RF_DEVICE void start(int number_of_matrix) {
    if (!without_unit && walk_.has(0)) next_.load(tile_at({0, 0, 0}, number_of_matrix), own_block());
  }

  // `in`: of the first of `rows` rows.
  RF_DEVICE void run_all(const Share& share, const Packed& in, int rows) {
    if (!walk_.has(0)) return;
    typename Walk::At at{0, 0, 0};
    RF_NO_UNROLL
    for (int turn = 0; walk_.has(turn); ++turn) {
      const Target target = walk_.target(turn);
      float v[quarters] = {};
      RF_NO_UNROLL
      for (int pass = 0; pass < walk_.passes(); ++pass) {
        float sums[own][quarters][Unit::sums] = {};
        RF_NO_UNROLL
        for (int round = 0; round < walk_.rounds(); ++round) {
          if (without_unit)
            put(Weights::template read<4>(tile_at(at, share.matrix), own_block()));
          else
            put(next_.taken(own_block()));
          at = walk_.after(at);
          if (!without_unit && walk_.has(at.turn)) next_.load(tile_at(at, share.matrix), own_block());
          lane::wave_barrier();
          RF_UNROLL
          for (int s = 0; s < own; ++s) {
            if (Unit::low_rows_first && rows <= 8)
              multiply<1, Unit::low_rows_first ? Unit::sums / 2 : Unit::sums>(s, round, in, rows, sums[s]);
            else
              multiply<quarters, Unit::sums>(s, round, in, rows, sums[s]);
          }
          lane::wave_barrier();
        }
        store_strands(sums);
        lane::barrier();
        // Each thread adds up one product of each 16 rows.
        const int row = lane::thread() & 15, n = lane::thread() / 16, column = 16 * target.tile + row;
        const Matrix& m = p_.matrix[target.which + pass];
        RF_UNROLL
        for (int q = 0; q < quarters; ++q) {
          if (16 * q + n >= rows || column >= m.rows) continue;
          const float product = with_bias(m, share, column, sum_of_strands(16 * (16 * q + n) + row));
          v[q] = pass == 0 ? product : gated(p_.epilogue.activation, v[q], product);
          if (pass + 1 == walk_.passes())
            store(p_, share, target.which, share.row + 16 * q + n, column, v[q]);
        }
        lane::barrier();  // LDS is the next tile's
      }
    }
  }

 private:
  using Loaded = typename Weights::template Block<4>;
  static RF_DEVICE int own_block() { return lane::thread() / 4; }
  static RF_DEVICE int own_row() { return lane::thread() % 4 * 4; }
  static RF_DEVICE int word_of(int row, int quad) { return 16 * quad + (row ^ (4 * quad & 8)); }

  RF_DEVICE Tile tile_at(const typename Walk::At& at, int number_of_matrix) const {
    const Target target = walk_.target(at.turn);
    const Matrix& m = p_.matrix[target.which + at.pass];
    // A block that is not there is another one: that of this thread in the tile's first round, if there is
    // one.
    int block = round_blocks * at.round + own_block();
    if (32 * block >= m.columns) block = 32 * own_block() < m.columns ? own_block() : 0;
    return Weights::at(m, walk_.base(target, at.pass, number_of_matrix), block, own_row());
  }

  // The strand's share of LDS.
  RF_DEVICE std::uint32_t* strand(int number) const { return lds_ + number * strand_words; }

  RF_DEVICE void put(const Loaded& w) const {
    const int block = own_block() % run, row = own_row();
    std::uint32_t* codes = strand(own_block() / run) + block * block_words;
    std::uint32_t* scales = strand(own_block() / run) + run * block_words + block * block_floats;
    RF_UNROLL
    for (int q = 0; q < 8; ++q) {
      Four four;
      RF_UNROLL
      for (int i = 0; i < 4; ++i) four.w[i] = Weights::centred(w.codes[q].v[i]);
      *reinterpret_cast<Four*>(codes + word_of(row, q)) = four;
    }
    RF_UNROLL
    for (int g = 0; g < groups; ++g) {
      put_four(scales + 16 * g + row, w.scale[g]);
      if constexpr (Weights::has_min) put_four(scales + scale_words + 16 * g + row, w.min[g]);
    }
  }
  static RF_DEVICE void put_four(std::uint32_t* to, const Floats<4>& f) {
    Four four;
    RF_UNROLL
    for (int i = 0; i < 4; ++i) four.w[i] = __builtin_bit_cast(std::uint32_t, f.v[i]);
    *reinterpret_cast<Four*>(to) = four;
  }

  // 32 columns of the activation rows.
  struct In {
    typename Unit::Activations rows[quarters];
    float scales[quarters][Unit::sums];
    std::int32_t totals[quarters][Unit::sums];
  };
  template <int used>
  static RF_DEVICE void read_quarter(const Packed& in, int block, int q, In& to) {
    const int lane = lane::thread() % lane::wave;
    const std::int64_t at = std::int64_t{block} * in.block_stride + 16 * q * in.row_stride;
    to.rows[q] = Unit::read(in.codes + at, in.row_stride, lane);
    RF_UNROLL
    for (int i = 0; i < used; ++i) {
      const int n = Unit::sum_activation(lane, i) * in.row_stride / 32;
      to.scales[q][i] = in.scales[at / 32 + n];
      if constexpr (Weights::has_min) to.totals[q][i] = in.sums[at / 32 + n];
    }
  }
  template <int used_quarters, int used>
  static RF_DEVICE void read(const Packed& in, int block, int rows, In& to) {
    RF_UNROLL
    for (int q = 0; q < used_quarters; ++q)
      if (16 * q < rows) read_quarter<used>(in, block, q, to);
  }

  // sums += what the strand's run of this round gives: the first `used` sums of so many quarters, which have
  // all rows.
  template <int used_quarters, int used>
  RF_DEVICE void multiply(int s, int round, const Packed& in, int rows,
                          float (&sums)[quarters][Unit::sums]) const {
    const int lane = lane::thread() % lane::wave, number = lane::thread() / lane::wave * own + s;
    const int first = round_blocks * round + run * number, blocks = p_.matrix[0].columns / 32;
    const int live = blocks - first < run ? blocks - first : run;
    const std::uint32_t* codes = strand(number);
    const auto* scales = reinterpret_cast<const float*>(codes + run * block_words);
    if (live <= 0) return;
    In next{};
    if (ahead) read<used_quarters, used>(in, first, rows, next);
    RF_NO_UNROLL
    for (int b = 0; b < live; ++b, codes += block_words, scales += block_floats) {
      In now = next;
      if (ahead && b + 1 < live) read<used_quarters, used>(in, first + b + 1, rows, next);
      std::uint32_t words[Unit::words];
      RF_UNROLL
      for (int w = 0; w < Unit::words; ++w)
        words[w] = codes[word_of(Unit::weight_row(lane, w), Unit::weight_quad(lane, w))];
      RF_UNROLL
      for (int q = 0; q < used_quarters; ++q)
        if (16 * q < rows) {
          if (!ahead) read_quarter<used>(in, first + b, q, now);
          add_block<used>(now, q, words, scales, sums[q]);
        }
    }
  }

  template <int used>
  static RF_DEVICE void add_block(const In& in, int q, const std::uint32_t (&words)[Unit::words],
                                  const float* scales, float (&sums)[Unit::sums]) {
    const int lane = lane::thread() % lane::wave;
    float given[Unit::sums];
    RF_UNROLL
    for (int g = 0; g < groups; ++g) {
      int dots[Unit::sums] = {};
      if constexpr (groups == 1)
        Unit::multiply(dots, words, in.rows[q]);
      else if (g == 0)
        Unit::template multiply_half<0>(dots, words, in.rows[q]);
      else
        Unit::template multiply_half<1>(dots, words, in.rows[q]);
      RF_UNROLL
      for (int i = 0; i < used; ++i) {
        const int row = 16 * g + Unit::sum_weight(lane, i);
        const float d = in.scales[q][i];
        float min = 0, offset = 0;
        if constexpr (Weights::has_min) {
          const std::int32_t both = in.totals[q][i];
          const int total = groups == 1 ? low_sum(both) + high_sum(both)
                            : g == 0    ? low_sum(both)
                                        : high_sum(both);
          min = scales[scale_words + row];
          offset = d * static_cast<float>(total);
        }
        given[i] = with_group<Weights::has_min>(given[i], g == 0, dots[i], scales[row] * d, min, offset);
      }
    }
    RF_UNROLL
    for (int i = 0; i < used; ++i) sums[i] += given[i];
  }

  // To LDS, strand by strand: [32 activation rows][16 weight rows].
  RF_DEVICE void store_strands(const float (&sums)[own][quarters][Unit::sums]) const {
    const int lane = lane::thread() % lane::wave;
    RF_UNROLL
    for (int s = 0; s < own; ++s) {
      auto* to = reinterpret_cast<float*>(strand(lane::thread() / lane::wave * own + s));
      RF_UNROLL
      for (int q = 0; q < quarters; ++q) RF_UNROLL
      for (int i = 0; i < Unit::sums; ++i)
        to[16 * (16 * q + Unit::sum_activation(lane, i)) + Unit::sum_weight(lane, i)] = sums[s][q][i];
    }
  }
  RF_DEVICE float sum_of_strands(int at) const {
    float sum = reinterpret_cast<const float*>(lds_)[at];
    RF_UNROLL
    for (int s = 1; s < strands; ++s) sum += reinterpret_cast<const float*>(strand(s))[at];
    return sum;
  }

  const MatvecParams& p_;
  Walk walk_;
  std::uint32_t* lds_;
  typename Weights::template Coming<4> next_;
};

template <class Fmt>
RF_DEVICE void matmul_few(const MatvecParams& p) {
  using Work = Few<Quantised<Fmt>>;
  RF_SHARED(Four, lds, strands * Work::strand_words / 4);
  Work work(p, reinterpret_cast<std::uint32_t*>(lds));
  const Turn turn(p.beside != 0);
  // Weights that no route chooses are asked for before the launch before has ended.
  const bool by_part = p.parts > 1 || p.routes != nullptr;
  if (by_part) turn.begin();
  const Share share = share_of(p, by_part ? lane::block_y() : matmul_few_rows * lane::block_y());
  work.start(share.matrix);
  if (!by_part) turn.begin();
  const int live = rows_of(p.count) - share.row;
  if (live <= 0) return;
  const std::int64_t first = p.in_parts == 1 ? share.row : share.row * p.parts + share.part;
  Packed in = p.in;
  in.codes += first * in.row_stride;
  in.scales += first * (in.row_stride / 32);
  in.sums += first * (in.row_stride / 32);
  if (by_part) in.row_stride = 0;  // all rows are the same one
  work.run_all(share, in, by_part ? 1 : live < matmul_few_rows ? live : matmul_few_rows);
}

#define RF_MATMUL_FEW(Fmt)                               \
  RF_KERNEL(rf_matmul_few_##Fmt, MatvecParams, 256, 1) { \
    matmul_few<Fmt>(p);                                  \
  }
RF_FORMATS(RF_MATMUL_FEW)

}  // namespace rf::gpu
