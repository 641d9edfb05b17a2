// rf_matmul_16_FORMAT and rf_matmul_32_FORMAT: products of up to as many rows with quantised weights, in the
// canonical order of weights.h.
//
// Grid (any), block 256 or 512, LDS 45 to 48 KB. The block works on one tile of 16 weight rows at a time and
// has 32 or 64 threads for each strand, so that small matrices too fill the device. Weights are read once, in
// 16- or 8-byte pieces, the next run of blocks while this one is multiplied; activations once for each tile,
// from the caches.
#include <type_traits>

#include "gpu/kernels/norm.h"
#include "gpu/kernels/products.h"

namespace rf::gpu {

template <class Weights, int most>  // activation rows
class Few {
  using Unit = lane::MatrixUnit;
  static constexpr int groups = Weights::groups;
  static constexpr int strand_threads = 2 * most;
  static constexpr int own =
      lane::wave > strand_threads ? lane::wave / strand_threads : 1;  // strands of a wave
  static constexpr int sharing =
      lane::wave < strand_threads ? strand_threads / lane::wave : 1;  // waves of a strand
  static constexpr int quarters = most / 16 / sharing;  // of 16 activation rows, that a wave has
  static constexpr int weight_rows = 128 / strand_threads,
                       row_threads = 16 / weight_rows;  // of a block's 16 rows
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
  static_assert(strand_words >= 16 * most);

  RF_DEVICE Few(const MatvecParams& p, std::uint32_t* lds) : p_(p), walk_(p, 1), lds_(lds) {}

  RF_DEVICE void start() {
    if (!without_unit && walk_.has(0)) next_.load(tile_at({0, 0, 0}), own_block());
  }

  RF_DEVICE void run_all(int rows) {
    if (!walk_.has(0)) return;
    const Share all{0, 0, 0, 1.0f};
    // Each thread adds up one product of a tile.
    const int row = lane::thread() & 15, n = lane::thread() / 16;
    typename Walk::At at{0, 0, 0};
    RF_NO_UNROLL
    for (int turn = 0; walk_.has(turn); ++turn) {
      const Target target = walk_.target(turn);
      const int column = 16 * target.tile + row;
      const bool mine = n < rows && column < p_.matrix[target.which].rows;
      float v = 0;
      RF_NO_UNROLL
      for (int pass = 0; pass < walk_.passes(); ++pass) {
        float sums[own][quarters][Unit::sums] = {};
        RF_NO_UNROLL
        for (int round = 0; round < walk_.rounds(); ++round) {
          if (without_unit)
            put(Weights::template read<weight_rows>(tile_at(at), own_block()));
          else
            put(next_.taken(own_block()));
          at = walk_.after(at);
          if (!without_unit && walk_.has(at.turn)) next_.load(tile_at(at), own_block());
          strand_barrier();
          RF_UNROLL
          for (int s = 0; s < own; ++s) {
            if (most == 16 && Unit::low_rows_first && rows <= 8)
              multiply<Unit::low_rows_first ? Unit::sums / 2 : Unit::sums>(s, round, rows, sums[s]);
            else
              multiply<Unit::sums>(s, round, rows, sums[s]);
          }
          strand_barrier();
        }
        store_strands(sums);
        lane::barrier();
        if (mine) {
          const float product =
              with_bias(p_.matrix[target.which + pass], all, column, sum_of_strands(16 * n + row));
          v = pass == 0 ? product : gated(p_.epilogue.activation, v, product);
        }
        lane::barrier();  // LDS is the next tile's
      }
      if (mine) store(p_, all, target.which, n, column, v, ends_at(p_, all, target.which, n, column));
    }
  }

 private:
  using Loaded = typename Weights::template Block<weight_rows>;
  static RF_DEVICE int own_block() { return lane::thread() / row_threads; }
  static RF_DEVICE int own_row() { return lane::thread() % row_threads * weight_rows; }
  static RF_DEVICE int word_of(int row, int quad) { return 16 * quad + (row ^ (4 * quad & 8)); }
  static RF_DEVICE void strand_barrier() {
    lane::group_barrier<strand_threads>(lane::thread() / strand_threads);
  }
  // The wave's strands and quarters.
  static RF_DEVICE int own_strand(int s) { return lane::thread() / lane::wave / sharing * own + s; }
  static RF_DEVICE int first_row() { return 16 * quarters * (lane::thread() / lane::wave % sharing); }

  RF_DEVICE Tile tile_at(const typename Walk::At& at) const {
    const Target target = walk_.target(at.turn);
    const Matrix& m = p_.matrix[target.which + at.pass];
    // A block that is not there is another one: that of this thread in the tile's first round, if there is
    // one.
    int block = round_blocks * at.round + own_block();
    if (32 * block >= m.columns) block = 32 * own_block() < m.columns ? own_block() : 0;
    return Weights::at(m, walk_.base(target, at.pass, 0), block, own_row());
  }

  // The strand's share of LDS.
  RF_DEVICE std::uint32_t* strand(int number) const { return lds_ + number * strand_words; }

  RF_DEVICE void put(const Loaded& w) const {
    const int block = own_block() % run, row = own_row();
    std::uint32_t* codes = strand(own_block() / run) + block * block_words;
    std::uint32_t* scales = strand(own_block() / run) + run * block_words + block * block_floats;
    RF_UNROLL
    for (int q = 0; q < 8; ++q)
      put_rows(codes + word_of(row, q), [&](int i) { return Weights::centred(w.codes[q].v[i]); });
    const auto put_floats = [&](std::uint32_t* to, const Floats<weight_rows>& f) RF_INLINE {
      put_rows(to, [&](int i) { return __builtin_bit_cast(std::uint32_t, f.v[i]); });
    };
    RF_UNROLL
    for (int g = 0; g < groups; ++g) {
      put_floats(scales + 16 * g + row, w.scale[g]);
      if constexpr (Weights::has_min) put_floats(scales + scale_words + 16 * g + row, w.min[g]);
    }
  }
  template <class Each>
  static RF_DEVICE void put_rows(std::uint32_t* to, Each each) {
    using Together = std::conditional_t<weight_rows == 4, Four, Two>;
    Together words;
    RF_UNROLL
    for (int i = 0; i < weight_rows; ++i) words.w[i] = each(i);
    *reinterpret_cast<Together*>(to) = words;
  }

  // 32 columns of the activation rows.
  struct In {
    typename Unit::Activations rows[quarters];
    float scales[quarters][Unit::sums];
    std::int32_t totals[quarters][Unit::sums];
  };
  // They lie as [blocks][matmul_few_rows][32].
  template <int used>
  RF_DEVICE void read_quarter(int block, int q, In& to) const {
    const int lane = lane::thread() % lane::wave;
    const std::int64_t at = std::int64_t{block} * matmul_few_rows + first_row() + 16 * q;
    to.rows[q] = Unit::read(p_.in.codes + 32 * at, 32, lane);
    const auto* scales = static_cast<const float*>(__builtin_assume_aligned(p_.in.scales, 16)) + at;
    const auto* totals = static_cast<const std::int32_t*>(__builtin_assume_aligned(p_.in.sums, 16)) + at;
    RF_UNROLL
    for (int i = 0; i < used; ++i) {
      to.scales[q][i] = scales[Unit::sum_activation(lane, i)];
      if constexpr (Weights::has_min) to.totals[q][i] = totals[Unit::sum_activation(lane, i)];
    }
  }
  template <int used>
  RF_DEVICE void read(int block, int rows, In& to) const {
    RF_UNROLL
    for (int q = 0; q < quarters; ++q)
      if (first_row() + 16 * q < rows) read_quarter<used>(block, q, to);
  }

  // sums += what the strand's run of this round gives: the first `used` sums of each quarter.
  template <int used>
  RF_DEVICE void multiply(int s, int round, int rows, float (&sums)[quarters][Unit::sums]) const {
    const int lane = lane::thread() % lane::wave, number = own_strand(s);
    const int first = round_blocks * round + run * number, blocks = p_.matrix[0].columns / 32;
    const int live = blocks - first < run ? blocks - first : run;
    const std::uint32_t* codes = strand(number);
    const auto* scales = reinterpret_cast<const float*>(codes + run * block_words);
    if (live <= 0 || first_row() >= rows) return;
    In next{};
    if (ahead) read<used>(first, rows, next);
    RF_NO_UNROLL
    for (int b = 0; b < live; ++b, codes += block_words, scales += block_floats) {
      In now = next;
      if (ahead && b + 1 < live) read<used>(first + b + 1, rows, next);
      std::uint32_t words[Unit::words];
      RF_UNROLL
      for (int w = 0; w < Unit::words; ++w)
        words[w] = codes[word_of(Unit::weight_row(lane, w), Unit::weight_quad(lane, w))];
      RF_UNROLL
      for (int q = 0; q < quarters; ++q)
        if (first_row() + 16 * q < rows) {
          if (!ahead) read_quarter<used>(first + b, q, now);
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

  // To LDS, strand by strand: [activation rows][16 weight rows].
  RF_DEVICE void store_strands(const float (&sums)[own][quarters][Unit::sums]) const {
    const int lane = lane::thread() % lane::wave;
    RF_UNROLL
    for (int s = 0; s < own; ++s) {
      auto* to = reinterpret_cast<float*>(strand(own_strand(s))) + 16 * first_row();
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
  typename Weights::template Coming<weight_rows> next_;
};

template <class Fmt, int most>
RF_DEVICE void matmul_few(const MatvecParams& p) {
  using Work = Few<Quantised<Fmt>, most>;
  RF_SHARED(Four, lds, strands * Work::strand_words / 4);
  Work work(p, reinterpret_cast<std::uint32_t*>(lds));
  const Turn turn(p.beside != 0);
  work.start();  // weights are asked for before the launch before has ended
  turn.begin();
  const int rows = rows_of(p.count);
  if (rows > 0) work.run_all(rows);
}

#define RF_MATMUL_FEW(Fmt)                              \
  RF_KERNEL(rf_matmul_16_##Fmt, MatvecParams, 256, 2) { \
    matmul_few<Fmt, 16>(p);                             \
  }                                                     \
  RF_KERNEL(rf_matmul_32_##Fmt, MatvecParams, 512, 1) { \
    matmul_few<Fmt, 32>(p);                             \
  }
RF_FORMATS(RF_MATMUL_FEW)

}  // namespace rf::gpu
