// Weights of one tile as kernels take them: 32 columns of N neighbouring rows, their codes, scales and mins.
//
// Canonical order of additions, the same wherever a product is computed, so that a row's result does not
// depend on its company. Blocks of 32 columns are dealt out in runs of 8 to 8 strands: block b to strand
// b / 8 % 8. What a block gives is summed from zero, for each of its column groups in order: integer dot *
// (w_scale * a_scale), then fma(w_min, a_scale * a_sum, .); float weights: fma(w, a, .) by column. A strand
// adds up what its blocks give in their order, and the strands' sums are added in theirs.
#pragma once
#include "gpu/kernels/rows.h"

namespace rf::gpu {

inline constexpr int strands = 8, run = 8, round_blocks = strands * run;

// What one group of a block gives on top of `sum`, from its integer dot.
template <bool has_min>
RF_DEVICE float with_group(float sum, bool first, int dot, float scale, float min, float offset) {
  const float x = static_cast<float>(dot);
  sum = first ? x * scale : __builtin_fmaf(x, scale, sum);
  if constexpr (has_min) sum = __builtin_fmaf(min, offset, sum);
  return sum;
}

template <class Fmt>
struct Quantised {
  using Format = Fmt;
  static constexpr int groups = 32 / Fmt::group, quads = Fmt::group / 4, blocks_in_one = Fmt::elements / 32;
  static constexpr bool has_min = Fmt::has_min;
  // Codes are signed bytes here: those over 127 are moved by 128, others are short of `zero`.
  static constexpr int zero = Fmt::top > 127 ? 0 : Fmt::zero;
  // Of four codes, without that shortness.
  static RF_DEVICE std::uint32_t centred(std::uint32_t codes) {
    if constexpr (zero == 0) return codes;
    return ((codes | 0x80808080u) - 0x01010101u * zero) ^ 0x80808080u;
  }

  // Rows [row, ...) of block `block` of 32 columns lie in the format's own block at `tile`.
  static RF_DEVICE Tile at(const Matrix& m, const std::uint8_t* base, int block, int row) {
    Tile t{};
    set_field<0>(t, m, base, static_cast<std::uint64_t>(block / blocks_in_one), row);
    return t;
  }
  // The same rows of the block `blocks` further on, a multiple of blocks_in_one.
  template <int f = 0>
  static RF_DEVICE void advance(Tile& t, int blocks) {
    t.field[f] += 16 * Fmt::fields[f].bytes * (blocks / blocks_in_one);
    if constexpr (f + 1 < sizeof Fmt::fields / sizeof(Field)) advance<f + 1>(t, blocks);
  }
  // What a round of columns takes of a tile's field, of all of the tile, and asks for round `round` of it to
  // come nearer.
  static constexpr std::uint32_t field_round_bytes(int f) {
    return 16 * Fmt::fields[f].bytes * (round_blocks / blocks_in_one);
  }
  static constexpr std::uint32_t round_bytes() {
    std::uint32_t all = 0;
    for (int f = 0; f < static_cast<int>(sizeof Fmt::fields / sizeof(Field)); ++f)
      all += field_round_bytes(f);
    return all;
  }
  template <int f = 0>
  static RF_DEVICE void ask(const Matrix& m, const std::uint8_t* base, int round) {
    constexpr std::uint32_t bytes = field_round_bytes(f);
    const std::uint32_t from = m.field_at[f] + bytes * static_cast<std::uint32_t>(round);
    RF_UNROLL
    for (std::uint32_t at = 0; at < bytes; at += 128 * 256) {
      const std::uint32_t own = at + 128 * static_cast<std::uint32_t>(lane::thread());
      if (own < bytes && from + own < m.tile_bytes) lane::prefetch(base + from + own);
    }
    if constexpr (f + 1 < sizeof Fmt::fields / sizeof(Field)) ask<f + 1>(m, base, round);
  }
  template <int N>
  static RF_DEVICE void codes(const auto& t, int block, Words<N> (&out)[8]) {
    const int s = block % blocks_in_one;
    if constexpr (requires { Fmt::template codes<Words<N>>(t, s, 0); }) {
      RF_UNROLL
      for (int i = 0; i < 8; ++i) out[i] = Fmt::template codes<Words<N>>(t, s, i);
    } else {
      Fmt::codes_of_32(t, s, out);
    }
    if constexpr (Fmt::top > 127) {
      RF_UNROLL
      for (int i = 0; i < 8; ++i) out[i] = out[i].flip(0x80);
    }
  }
  // Scale and (signed) min of group g of block `block`.
  template <int N>
  static RF_DEVICE void scale(const auto& t, int block, int g, Floats<N>& scale, Floats<N>& min) {
    const int group = block % blocks_in_one * groups + g;
    if constexpr (requires { Fmt::template scale<Floats<N>, Bytes<N>>(t, 0); }) {
      scale = Fmt::template scale<Floats<N>, Bytes<N>>(t, group);
    } else {
      scale = Floats<N>::load_f16(t.field[0]);
      if constexpr (requires { Fmt::min_step; })
        min = scale * Floats<N>::set1(Fmt::min_sign * Fmt::min_step);
      else if constexpr (Fmt::has_min)
        min = Floats<N>::load_f16(t.field[0] + 32) * Floats<N>::set1(Fmt::min_sign);
      if constexpr (requires { Fmt::step; }) scale = scale * Floats<N>::set1(Fmt::step);
      if constexpr (Fmt::sub_scales) {
        scale = scale * to_float(Fmt::template scale_codes<Bytes<N>>(t, group));
        if constexpr (Fmt::has_min) min = min * to_float(Fmt::template min_codes<Bytes<N>>(t, group));
      }
    }
  }

  // 32 columns of N rows.
  template <int N>
  struct Block {
    Words<N> codes[8];
    Floats<N> scale[groups], min[groups];
  };
  // Those of block `block`, from memory where `tile` is a Tile.
  template <int N>
  static RF_DEVICE Block<N> read(const auto& tile, int block) {
    Block<N> b;
    codes(tile, block, b.codes);
    RF_UNROLL
    for (int g = 0; g < groups; ++g) scale(tile, block, g, b.scale[g], b.min[g]);
    return b;
  }
  // A block on its way from memory: nothing waits for it before it is taken. Registers do not reach for codes
  // in two parts of more than two rows: these set out when they are taken.
  template <int N>
  class Coming {
    static constexpr bool late = N > 2 && sizeof Fmt::fields / sizeof(Field) > (Fmt::sub_scales ? 3 : 2) &&
                                 requires(const Tile& t) { Fmt::template codes<Words<N>>(t, 0, 0); };
    static constexpr int most = late ? 1 : 16 * N + groups * (4 * N + 8);

   public:
    RF_DEVICE void load(const Tile& t, int block) {
      if constexpr (late)
        tile_ = t;
      else
        read<N, true>(t, block, words_);
    }
    RF_DEVICE Block<N> taken(int block) {
      if constexpr (late) return read<N>(tile_, block);
      return read<N, false>(Tile{}, block, words_);
    }

   private:
    std::uint32_t words_[most];
    Tile tile_;
  };

 private:
  template <bool loads>
  struct ReadTile {
    Reader<loads> field[max_fields];
  };
  template <int N, bool loads>
  static RF_DEVICE Block<N> read(const Tile& t, int block, std::uint32_t* words) {
    Kept kept{words, 0};
    ReadTile<loads> tile;
    RF_UNROLL
    for (int f = 0; f < max_fields; ++f) tile.field[f] = {t.field[f], &kept};
    return read<N>(tile, block);
  }
  // What a field is has to be known while compiling: a loop would read the list from memory.
  template <int f>
  static RF_DEVICE void set_field(Tile& t, const Matrix& m, const std::uint8_t* base, std::uint64_t own,
                                  int row) {
    constexpr Field field = Fmt::fields[f];
    t.field[f] = base + m.field_at[f] + static_cast<std::uint64_t>(16 * field.bytes) * own +
                 static_cast<std::uint64_t>(field.unit * row);
    if constexpr (f + 1 < sizeof Fmt::fields / sizeof(Field)) set_field<f + 1>(t, m, base, own, row);
  }
};

// Float types are tiled with blocks of one element: [columns][16 rows].
struct F32 {
  template <int N>
  static RF_DEVICE Floats<N> column(const std::uint8_t* base, int k, int row) {
    const auto* from = reinterpret_cast<const float*>(base) + 16 * static_cast<std::int64_t>(k) + row;
    if constexpr (N == 4) {
      const Four four = lane::load4_once(from);
      return Floats<N>::made([=](int i) { return __builtin_bit_cast(float, four.w[i]); });
    } else {
      return Floats<N>::load(from);
    }
  }
};
struct F16 {
  template <int N>
  static RF_DEVICE Floats<N> column(const std::uint8_t* base, int k, int row) {
    return Floats<N>::load_f16(base + 2 * (16 * static_cast<std::int64_t>(k) + row));
  }
};
struct BF16 {
  template <int N>
  static RF_DEVICE Floats<N> column(const std::uint8_t* base, int k, int row) {
    const auto* from = reinterpret_cast<const std::uint16_t*>(base) + 16 * static_cast<std::int64_t>(k) + row;
    if constexpr (N == 4) {
      const Two two = lane::load2_once(from);
      return Floats<N>::made(
          [=](int i) { return __builtin_bit_cast(float, (two.w[i >> 1] >> 16 * (i & 1) & 0xffffu) << 16); });
    } else {
      return Floats<N>::made([=](int i) { return __builtin_bit_cast(float, std::uint32_t{from[i]} << 16); });
    }
  }
};
template <class Weights>
concept FloatWeights = requires(const std::uint8_t* base) { Weights::template column<1>(base, 0, 0); };

RF_DEVICE float factor_of(const Matrix& m, int number) {
  return m.factors != nullptr ? m.factors[number] : 1.0f;
}

}  // namespace rf::gpu
