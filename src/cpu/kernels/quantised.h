// The matmul of quantised formats: included by the files that instantiate it for a list of them, after two
// numbers are defined: RF_UNROLLED_BLOCKS, how many blocks of 32 elements are spelt out, 1 or 8, and
// RF_DIRECT_ROWS, up to which many rows unpacking in registers, for each four of them, beats a panel.
#pragma once
#include "cpu/kernels/dots.h"
#include "tensor/formats/list.h"

namespace rf::RF_ISA {
namespace {

template <class Fmt>
using DotsOf = Dots<Fmt::group, quads_that_fit(Fmt::top), Fmt::has_min>;
template <class Fmt>
inline constexpr int zero_of = Fmt::top > 127 ? wide_zero : Fmt::zero;
template <class Fmt>
concept OwnScale = requires(Tile t) { Fmt::template scale<F, B>(t, 0); };

template <class Fmt>
Tile tile_at(const TiledWeight& w, const std::uint8_t* base, int block, int half) {
  Tile t{};
  int f = 0;
  for (const Field& field : Fmt::fields) {
    t.field[f] = base + w.field_at[f] +
                 16 * static_cast<std::size_t>(field.bytes) * static_cast<std::size_t>(block) +
                 static_cast<std::size_t>(half * lanes * field.unit);
    ++f;
  }
  return t;
}

// The f16 scale and (signed) min of a block; groups may have codes for each.
template <class Fmt>
[[gnu::always_inline]] inline GroupScale block_scale(const Tile& t) {
  GroupScale s{F::zero(), F::zero()};
  if constexpr (!OwnScale<Fmt>) {
    s.scale = F::load_f16(reinterpret_cast<const std::uint16_t*>(t.field[0]));
    if constexpr (requires { Fmt::min_step; })
      s.min = s.scale * F::set1(Fmt::min_sign * Fmt::min_step);
    else if constexpr (Fmt::has_min)
      s.min = F::load_f16(reinterpret_cast<const std::uint16_t*>(t.field[0] + 32)) * F::set1(Fmt::min_sign);
    if constexpr (requires { Fmt::step; }) s.scale = s.scale * F::set1(Fmt::step);
  }
  return s;
}

// Scale and min of group g of a block, in f32. Inlined whatever it costs: where g is known, what finds its
// bits is known as well.
template <class Fmt>
[[gnu::always_inline]] inline GroupScale group_scale(const Tile& t, GroupScale s, int g) {
  if constexpr (OwnScale<Fmt>) {
    s.scale = Fmt::template scale<F, B>(t, g);
  } else if constexpr (requires { Fmt::template signed_scale_codes<B>(t, g); }) {
    const F code = to_float(Fmt::template signed_scale_codes<B>(t, g));
    s = {s.scale * abs(code), s.min * code};
  } else if constexpr (Fmt::sub_scales) {
    s.scale = s.scale * to_float(Fmt::template scale_codes<B>(t, g));
    if constexpr (Fmt::has_min) s.min = s.min * to_float(Fmt::template min_codes<B>(t, g));
  }
  return s;
}

// Codes in two parts, of which one goes with eight elements at once.
template <class Fmt>
concept InParts = requires { Fmt::eight_codes; };

template <class Fmt>
concept Gathered = requires(Tile t, V (&out)[8]) { Fmt::codes_of_32(t, 0, out); };

// Quads [first, first + n) of block s of 32 columns. Points are looked up for the whole block, when its first
// quad is asked for.
template <class Fmt, int n>
[[gnu::always_inline]] inline void load_codes(const Tile& t, int s, int first, V (&codes)[8]) {
  if constexpr (Gathered<Fmt>) {
    if (first == 0) Fmt::codes_of_32(t, s, codes);
  } else {
    RF_UNROLL(8)
    for (int i = first; i < first + n; ++i) codes[i] = Fmt::template codes<V>(t, s, i);
  }
}

// A step reads every weight once. While a tile is multiplied or unpacked, piece by piece the next one, which
// follows it in memory, is asked for into the second-level cache: hardware prefetching alone leaves a third
// of the bandwidth unused, and so do requests in bursts, over shorter distances, or into the first-level
// cache.
template <class Fmt, int parts>
class NextTile {
 public:
  // `parts` of the tile's halves, `half` the first of them, ask for as much of the next.
  NextTile(const TiledWeight& w, const std::uint8_t* tile, int half)
      : at_(tile + w.tile_bytes + w.tile_bytes / halves * static_cast<std::size_t>(half)) {}
  // Once for every 32 columns.
  void fetch_piece() {
    RF_UNROLL(16)
    for (int i = 0; i < piece; i += 64) __builtin_prefetch(at_ + i, 0, 2);
    at_ += piece;
  }

 private:
  static constexpr int piece =
      static_cast<int>(sizeof(typename Fmt::Block)) * 16 * 32 / Fmt::elements * parts / halves;
  const std::uint8_t* at_;
};

// One row, all of a tile: codes are unpacked where they are multiplied.
template <class Fmt>
void one_row(const TiledWeight& w, const std::uint8_t* base, const PackedRows& in, int row, float* out) {
  using D = DotsOf<Fmt>;
  constexpr int subs = Fmt::elements / 32;
  const int blocks = static_cast<int>(w.columns / Fmt::elements);
  F acc[halves];
  for (int h = 0; h < halves; ++h) acc[h] = F::zero();
  NextTile<Fmt, halves> next(w, base, 0);
  std::int64_t at = row, sum_at = row;  // in the activations' blocks and their sums
  for (int block = 0; block < blocks; ++block) {
    Tile t[halves];
    GroupScale whole[halves], scale[halves];
    for (int h = 0; h < halves; ++h) {
      t[h] = tile_at<Fmt>(w, base, block, h);
      whole[h] = block_scale<Fmt>(t[h]);
    }
    RF_UNROLL(RF_UNROLLED_BLOCKS)
    for (int s = 0; s < subs; ++s) {
      next.fetch_piece();
      if constexpr (InParts<Fmt>) {
        RF_UNROLL(2)
        for (int g = 0; g < D::groups; ++g) {
          I sum[halves];
          for (int h = 0; h < halves; ++h) sum[h] = I::zero();
          dot<quads_that_fit(Fmt::coarse_top), D::quads, Fmt::coarse_times, Fmt::coarse_lift>(
              sum, [&](int h, int i) { return Fmt::template coarse_codes<V>(t[h], s, g * D::quads + i); },
              in.codes + 32 * at + 4 * D::quads * g);
          for (int h = 0; h < halves; ++h) {
            const V plus = Fmt::template plus_bits<V>(t[h], s * D::groups + g);
            sum[h] = sum[h] + I::of_pair(in.eights[sum_at + g * in.rows], Fmt::eight_codes, plus);
            scale[h] = group_scale<Fmt>(t[h], whole[h], s * D::groups + g);
          }
          add_sums<D>(acc, sum, scale, I::zero(), in, at);
        }
      } else {
        RF_UNROLL(2)
        for (int g = 0; g < D::groups; ++g) {
          for (int h = 0; h < halves; ++h) scale[h] = group_scale<Fmt>(t[h], whole[h], s * D::groups + g);
          add_group<D>(
              acc, [&](int h, int i) { return Fmt::template codes<V>(t[h], s, g * D::quads + i); }, scale,
              zero_of<Fmt>, in, at, sum_at, g);
        }
      }
      at += in.rows;
      sum_at += 2 * std::int64_t{in.rows};
    }
  }
  for (int h = 0; h < halves; ++h) acc[h].store(out + h * lanes);
}

// Few rows: codes are unpacked in registers and used at once for all of them.
template <class Fmt, int N>
void direct(const TiledWeight& w, const std::uint8_t* base, int half, const PackedRows& in, int first,
            float* out) {
  using D = DotsOf<Fmt>;
  constexpr int subs = Fmt::elements / 32;
  const int blocks = static_cast<int>(w.columns / Fmt::elements);
  F acc[N];
  for (int c = 0; c < N; ++c) acc[c] = F::zero();
  NextTile<Fmt, 1> next(w, base, half);
  for (int block = 0; block < blocks; ++block) {
    const Tile t = tile_at<Fmt>(w, base, block, half);
    const GroupScale whole = block_scale<Fmt>(t);
    RF_UNROLL(RF_UNROLLED_BLOCKS)
    for (int s = 0; s < subs; ++s) {
      next.fetch_piece();
      const std::int64_t at = static_cast<std::int64_t>(block * subs + s) * in.rows + first;
      const std::int64_t sum_at = 2 * static_cast<std::int64_t>(block * subs + s) * in.rows + first;
      V codes[8];
      RF_UNROLL(2)
      for (int g = 0; g < D::groups; ++g) {
        load_codes<Fmt, D::quads>(t, s, g * D::quads, codes);
        const GroupScale scale = group_scale<Fmt>(t, whole, s * D::groups + g);
        RF_UNROLL(4)
        for (int c = 0; c < N; ++c)
          acc[c] = add_group<D>(acc[c], codes + g * D::quads, scale, zero_of<Fmt>, in, at + c, sum_at + c, g);
      }
    }
  }
  for (int c = 0; c < N; ++c) acc[c].store(out + 16 * c);
}

template <class Fmt>
Panel unpack(const TiledWeight& w, const std::uint8_t* base, int half, std::uint8_t* scratch) {
  using D = DotsOf<Fmt>;
  constexpr int subs = Fmt::elements / 32;
  const int blocks = static_cast<int>(w.columns / Fmt::elements);
  auto* floats = reinterpret_cast<float*>(scratch + w.columns * lanes);
  const Panel panel{.blocks = blocks * subs,
                    .group = Fmt::group,
                    .fits = D::fits,
                    .zero = zero_of<Fmt>,
                    .codes = scratch,
                    .scales = floats,
                    .mins = Fmt::has_min ? floats + w.columns / Fmt::group * lanes : nullptr};
  int line = 0, group = 0;
  NextTile<Fmt, 1> next(w, base, half);
  for (int block = 0; block < blocks; ++block) {
    const Tile t = tile_at<Fmt>(w, base, block, half);
    const GroupScale whole = block_scale<Fmt>(t);
    RF_UNROLL(RF_UNROLLED_BLOCKS)
    for (int s = 0; s < subs; ++s) {
      next.fetch_piece();
      V codes[8];  // all of them before any is stored: what two quads have in common is then computed once
      load_codes<Fmt, 8>(t, s, 0, codes);
      RF_UNROLL(8)
      for (int i = 0; i < 8; ++i, ++line) codes[i].store(panel.codes + 4 * lanes * line);
      RF_UNROLL(2)
      for (int g = 0; g < D::groups; ++g, ++group) {
        const GroupScale scale = group_scale<Fmt>(t, whole, s * D::groups + g);
        scale.scale.store(panel.scales + lanes * group);
        if constexpr (D::has_min) scale.min.store(panel.mins + lanes * group);
      }
    }
  }
  return panel;
}

template <class Fmt>
void quantised(const TiledWeight& w, int t, const PackedRows& in, int rows, std::uint8_t* scratch,
               float* out) {
  const std::uint8_t* base = w.tile(t);
  if (rows <= RF_DIRECT_ROWS)
    by_columns<4>(rows, [&]<int N>(int first) {
      if constexpr (N == 1 && !Gathered<Fmt>)
        one_row<Fmt>(w, base, in, first, out + 16 * first);
      else
        for (int half = 0; half < halves; ++half)
          direct<Fmt, N>(w, base, half, in, first, out + half * lanes + 16 * first);
    });
  else
    for (int half = 0; half < halves; ++half)
      panel_matmul(unpack<Fmt>(w, base, half, scratch), in, rows, out + half * lanes);
}

}  // namespace
}  // namespace rf::RF_ISA

// Defines NAME of dots.h over a list of formats.
#define RF_MATMUL_CASE(Fmt) \
  case Fmt::id:             \
    return quantised<Fmt>(w, t, in, rows, scratch, out), true;
#define RF_DEFINE_MATMUL(name, formats)                                                             \
  namespace rf::RF_ISA {                                                                            \
  bool name(const TiledWeight& w, int t, const PackedRows& in, int rows, std::uint8_t* scratch,     \
            float* out) {                                                                           \
    switch (static_cast<std::uint32_t>(w.type)) { formats(RF_MATMUL_CASE) default : return false; } \
  }                                                                                                 \
  }
