// Products of one row, or of few by float weights, in the canonical order of weights.h.
//
// rf_matvec_FORMAT       one row of quantised weights; grid (any, rows * parts), block 256, LDS
// matvec_lds(columns)
//                        + 10.3 KB. Weights are read once, in 16-byte pieces; the row is normed and quantised
//                        into LDS by each block.
// rf_matvec_rows_FORMAT  8 rows a block of float weights, from memory; grid (any, ceil(rows / 8) or rows *
// parts),
//                        block 256, LDS 40 KB. Weights are read once for each 8 rows.
//
// Four lanes share a block of 32 columns of a tile, four rows each; a strand has 32 lanes, for a run of 8
// blocks.
#include "gpu/kernels/norm.h"
#include "gpu/kernels/products.h"

namespace rf::gpu {

// The block of each round of columns that this thread has, and its rows of a tile.
RF_DEVICE int own_block() {
  return lane::thread() / 4;
}
RF_DEVICE int own_row() {
  return lane::thread() % 4 * 4;
}

// A strand's sums of a tile with N activation rows: what the 32 lanes find out for a run of blocks goes
// through LDS, and 16 of them for each row add it up.
template <int N>
class Strand {
 public:
  static constexpr int halves = N == 1 ? 2 : 1;                                       // of the exchange
  static constexpr int exchange_floats = halves * run * N * 16, sum_floats = N * 16;  // of LDS, a strand

  // `exchange` of all strands, of 16 bytes' alignment.
  explicit RF_DEVICE Strand(float* exchange) : own_(exchange + lane::thread() / 32 * exchange_floats) {}

  RF_DEVICE void begin() {
    RF_UNROLL
    for (int i = 0; i < most; ++i) sums_[i] = 0;
  }
  // `given` by this lane's block to four rows; zeros where there is no such block.
  RF_DEVICE void add(const float (&given)[N][4]) {
    float* to = own_ + turn_ * (run * N * 16);
    if constexpr (halves == 2)
      turn_ ^= 1;  // while others still read
    else
      lane::wave_barrier();
    const int in_strand = lane::thread() % 32;
    RF_UNROLL
    for (int n = 0; n < N; ++n) {
      Four four;
      RF_UNROLL
      for (int i = 0; i < 4; ++i) four.w[i] = __builtin_bit_cast(std::uint32_t, given[n][i]);
      *reinterpret_cast<Four*>(to + (in_strand / 4 * N + n) * 16 + own_row()) = four;
    }
    lane::wave_barrier();
    RF_UNROLL
    for (int i = 0; i < most; ++i) {
      const int n = in_strand / 16 + 2 * i;
      if (n >= N) continue;
      RF_UNROLL
      for (int block = 0; block < run; ++block) sums_[i] += to[(block * N + n) * 16 + in_strand % 16];
    }
  }
  // To LDS [strands][N][16].
  RF_DEVICE void store(float* sums) const {
    const int in_strand = lane::thread() % 32;
    RF_UNROLL
    for (int i = 0; i < most; ++i) {
      const int n = in_strand / 16 + 2 * i;
      if (n < N) sums[(lane::thread() / 32 * N + n) * 16 + in_strand % 16] = sums_[i];
    }
  }

 private:
  static constexpr int most = (N + 1) / 2;  // sums of a lane
  float* own_;
  int turn_ = 0;
  float sums_[most] = {};
};

template <int N>
RF_DEVICE float sum_of_strands(const float* sums, int n, int row) {
  float sum = sums[n * 16 + row];
  RF_UNROLL
  for (int s = 1; s < strands; ++s) sum += sums[(s * N + n) * 16 + row];
  return sum;
}

// One quantised row in LDS.
struct Row {
  const std::int8_t* codes;
  const float* scales;
  const std::int32_t* sums;
};

template <class Weights>
RF_DEVICE void given_by_block(const typename Weights::template Block<4>& w, int block, const Row& in,
                              float (&given)[1][4]) {
  const Four low = lane::load4(in.codes + 32 * block), high = lane::load4(in.codes + 32 * block + 16);
  const float d = in.scales[block];
  const std::int32_t both = in.sums[block];
  RF_UNROLL
  for (int g = 0; g < Weights::groups; ++g) {
    const int total = Weights::groups == 1 ? low_sum(both) + high_sum(both)
                      : g == 0             ? low_sum(both)
                                           : high_sum(both);
    const float offset = d * static_cast<float>(total);
    RF_UNROLL
    for (int i = 0; i < 4; ++i) {
      int dot = -Weights::zero * total;
      RF_UNROLL
      for (int q = 0; q < Weights::quads; ++q) {
        const int quad = g * Weights::quads + q;
        const std::uint32_t x = quad < 4 ? low.w[quad & 3] : high.w[quad & 3];
        dot = lane::dot4(static_cast<int>(w.codes[quad].v[i]), static_cast<int>(x), dot);
      }
      given[0][i] =
          with_group<Weights::has_min>(given[0][i], g == 0, dot, w.scale[g].v[i] * d, w.min[g].v[i], offset);
    }
  }
}

// Asks for the block's first tile, of gate and up both, to come as near as the second-level cache.
RF_DEVICE void ask_for_first_tile(const MatvecParams& p, const Walk& walk, int number_of_matrix) {
  const Target target = walk.target(0);
  for (int pass = 0; pass < walk.passes(); ++pass)
    for (int n = 0, at = 128 * lane::thread();
         n < 4 && static_cast<std::uint32_t>(at) < p.matrix[target.which + pass].tile_bytes;
         ++n, at += 128 * 256)
      lane::prefetch(walk.base(target, pass, number_of_matrix) + at);
}

template <class Weights>
class Matvec {
 public:
  // Memory is asked for what is loaded one round later, so that it works while a block's loads are waited
  // for. More at once would not find room in the second-level cache. Where a round is few bytes the first
  // tile is enough, and registers are short.
  static constexpr bool by_rounds = Weights::round_bytes() >= 32 << 10;

  RF_DEVICE Matvec(const MatvecParams& p) : p_(p), walk_(p, p.packed.codes != nullptr ? 2 : 1) {}

  // Loads the first block, and asks for what follows.
  RF_DEVICE void start(int number_of_matrix) {
    if (!walk_.has(0)) return;
    if constexpr (!by_rounds) ask_for_first_tile(p_, walk_, number_of_matrix);
    begin(0, 0, number_of_matrix);
    load();
    if constexpr (!by_rounds) return;
    asked_ = walk_.after({});
    asked_base_ = walk_.base(walk_.target(0), 0, number_of_matrix);
    ask(number_of_matrix);
  }

  // sums: LDS [4][strands][16], so that those of a tile are read while the next are made.
  RF_DEVICE void run(const Share& share, const Row& in, float* sums, float* exchange) {
    if (!walk_.has(0)) return;
    Strand<1> strand(exchange);
    const int together = p_.packed.codes != nullptr ? 2 : 1;
    float kept = 0;  // of the first of two tiles; of the second its own
    RF_NO_UNROLL
    for (int turn = 0; walk_.has(turn); ++turn) {
      const Target target = walk_.target(turn);
      // 16 threads add up; waves take turns.
      const int reader = lane::thread() - 32 * (turn / together % 8) - 16 * (turn % together),
                row = reader & 15;
      const int column = 16 * target.tile + row;
      const bool mine = reader >= 0 && reader < 16 && column < p_.matrix[target.which].rows &&
                        walk_.number(turn) < walk_.tiles();
      // Early, so that they are there when the products are.
      const Ends ends = mine ? ends_at(p_, share, target.which, share.row, column) : Ends{};
      float v = 0;
      RF_NO_UNROLL
      for (int pass = 0; pass < walk_.passes(); ++pass) {
        strand.begin();
        RF_NO_UNROLL
        for (int round = 0; round < walk_.rounds(); ++round) {
          const int block = round_blocks * round + own_block();
          const auto now = coming_.taken(own_block());
          step(turn, pass, round, share.matrix);
          load();  // under way while this is multiplied
          if constexpr (by_rounds) ask(share.matrix);
          float given[1][4] = {};
          if (32 * block < p_.matrix[0].columns) given_by_block<Weights>(now, block, in, given);
          strand.add(given);
        }
        float* own = sums + (2 * (turn & 1) + pass) * strands * 16;
        strand.store(own);
        lane::barrier();
        if (!mine) continue;
        const float product =
            with_bias(p_.matrix[target.which + pass], share, column, sum_of_strands<1>(own, 0, row));
        v = pass == 0 ? product : gated(p_.epilogue.activation, v, product);
      }
      if (mine) v = store(p_, share, target.which, share.row, column, v, ends);
      if (together == 1) continue;
      if (turn % 2 == 0 || mine) kept = v;
      if (turn % 2 == 1)
        pack_outputs(p_.packed, std::int64_t{share.row} * p_.parts + share.part, walk_.number(turn) / 2, kept,
                     lane::thread() / 32 == turn / 2 % 8);
    }
  }

 private:
  // The thread's first block of a tile; one that there is not is another one, whose products no one takes.
  RF_DEVICE void begin(int turn, int pass, int number_of_matrix) {
    const Target target = walk_.target(turn);
    const Matrix& m = p_.matrix[target.which + pass];
    at_ = Weights::at(m, walk_.base(target, pass, number_of_matrix),
                      32 * own_block() < m.columns ? own_block() : 0, own_row());
  }
  // To what follows a round; after the last one it stays, since a load that is not always there would have to
  // be waited for.
  RF_DEVICE void step(int turn, int pass, int round, int number_of_matrix) {
    if (round + 1 < walk_.rounds()) {
      if (32 * (round_blocks * (round + 1) + own_block()) < p_.matrix[0].columns)
        Weights::advance(at_, round_blocks);
    } else if (pass + 1 < walk_.passes()) {
      begin(turn, pass + 1, number_of_matrix);
    } else if (walk_.has(turn + 1)) {
      begin(turn + 1, 0, number_of_matrix);
    }
  }
  RF_DEVICE void load() { coming_.load(at_, own_block()); }
  // For the round after the one that it was asked for last.
  RF_DEVICE void ask(int number_of_matrix) {
    if (!walk_.has(asked_.turn)) return;
    if (asked_.round == 0) asked_base_ = walk_.base(walk_.target(asked_.turn), asked_.pass, number_of_matrix);
    Weights::ask(p_.matrix[0], asked_base_, asked_.round);
    asked_ = walk_.after(asked_);
  }

  const MatvecParams& p_;
  Walk walk_;
  Walk::At asked_{};
  const std::uint8_t* asked_base_ = nullptr;
  Tile at_{};
  typename Weights::template Coming<4> coming_;
};

template <class Weights>
RF_DEVICE void matvec(const MatvecParams& p) {
  RF_SHARED(float, sums, 4 * strands * 16);
  RF_SHARED(Four, exchange, strands * Strand<1>::exchange_floats / 4);
  RF_SHARED(float, scratch, row_strands / 32);
  Matvec<Weights> work(p);
  const Turn turn(p.beside != 0);
  // Weights that no route chooses are asked for before the launch before has ended.
  const bool early = p.parts == 1 && p.routes == nullptr;
  if (!early) turn.begin();
  const Share share = share_of(p, lane::block_y());
  work.start(share.matrix);
  if (early) turn.begin();
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
    NormedRow<256> row(p.norm, p.matrix[0].columns, x, 1.0f);
    if (!row.is_factor()) row.find_moments(scratch);
    constexpr int together = Matvec<Weights>::by_rounds ? 4 : 2;
    const auto squares = quantise<together>(row, padded, 32, 1.0f, codes, scales, block_sums);
    if (row.is_factor() && p.norm.kind != NormKind::off) {
      row.take(squares, scratch);
      for (int b = lane::thread(); b < padded / 32; b += 256) scales[b] *= row.factor();
    }
  }
  lane::barrier();
  work.run(share, {codes, scales, block_sums}, sums, reinterpret_cast<float*>(exchange));
}

// What a block of 32 columns gives to four rows of a tile, of N activation rows.
template <class Weights, int N>
RF_DEVICE void given_by_columns(const Matrix& m, const std::uint8_t* base, int block, const float* in,
                                int padded, int rows, float (&given)[N][4]) {
  const int end = m.columns < 32 * block + 32 ? m.columns : 32 * block + 32;
  const auto add = [&](int k) {
    const Floats<4> w = Weights::template column<4>(base, k, own_row());
    RF_UNROLL
    for (int n = 0; n < N; ++n)
      if (n < rows) {
        const float x = in[n * padded + k];
        RF_UNROLL
        for (int i = 0; i < 4; ++i) given[n][i] = __builtin_fmaf(w.v[i], x, given[n][i]);
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

template <class Weights>
RF_DEVICE void matvec_of_rows(const MatvecParams& p) {
  constexpr int N = matvec_rows;
  RF_SHARED(Four, exchange, strands * Strand<N>::exchange_floats / 4);
  RF_SHARED(float, sums, strands* Strand<N>::sum_floats);
  const Walk walk(p, 1);
  const Turn turn(p.beside != 0);
  turn.begin();
  const bool by_part = p.parts > 1 || p.routes != nullptr;
  const Share share = share_of(p, by_part ? lane::block_y() : N * lane::block_y());
  const int live = rows_of(p.count) - share.row;
  if (live <= 0) return;
  const int rows = by_part ? 1 : live < N ? live : N;
  const std::int64_t first = p.in_parts == 1 ? share.row : share.row * p.parts + share.part;
  const float* in = p.in.values + first * p.in.padded;
  Strand<N> strand(reinterpret_cast<float*>(exchange));
  const int n = lane::thread() / 16, row = lane::thread() & 15;  // 16 threads for each row add up
  RF_NO_UNROLL
  for (int i = 0; walk.has(i); ++i) {
    const Target target = walk.target(i);
    const int column = 16 * target.tile + row;
    const bool mine = n < rows && column < p.matrix[target.which].rows;
    float v = 0;
    RF_NO_UNROLL
    for (int pass = 0; pass < walk.passes(); ++pass) {
      const Matrix& m = p.matrix[target.which + pass];
      const std::uint8_t* base = walk.base(target, pass, share.matrix);
      strand.begin();
      RF_NO_UNROLL
      for (int round = 0; round < walk.rounds(); ++round) {
        const int block = round_blocks * round + own_block();
        float given[N][4] = {};
        if (32 * block < m.columns)
          given_by_columns<Weights, N>(m, base, block, in, p.in.padded, rows, given);
        strand.add(given);
      }
      lane::barrier();  // the sums before have been read
      strand.store(sums);
      lane::barrier();
      if (!mine) continue;
      const float product = with_bias(m, share, column, sum_of_strands<N>(sums, n, row));
      v = pass == 0 ? product : gated(p.epilogue.activation, v, product);
    }
    if (mine)
      store(p, share, target.which, share.row + n, column, v,
            ends_at(p, share, target.which, share.row + n, column));
  }
}

#define RF_MATVEC(Fmt)                               \
  RF_KERNEL(rf_matvec_##Fmt, MatvecParams, 256, 2) { \
    matvec<Quantised<Fmt>>(p);                       \
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
