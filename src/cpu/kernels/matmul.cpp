// One tile of 16 weight rows times activation rows.
//
// Canonical order, the same for one row and for many, so that a row's result does not depend on its company:
// for each block of 32 columns in order and each group of it in order, acc = fma(float(integer dot), w_scale
// * a_scale, acc), then acc = fma(w_min, a_scale * a_sum, acc). Integer dots are exact. Float weights: acc =
// fma(w, a, acc) by column.
#include "cpu/kernels/export.h"
#include "cpu/simd/simd.h"
#include "tensor/formats/list.h"

namespace rf::RF_ISA {
namespace {

constexpr int halves = 16 / lanes;

// How the blocks of 32 of a format F are multiplied.
template <class F_>
struct Dots {
  static constexpr int groups = 32 / F_::group, quads = F_::group / 4;
  static constexpr int zero = F_::wide ? wide_zero : F_::zero;
  static constexpr bool wide = F_::wide, has_min = F_::has_min;
};

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

struct GroupScale {
  F scale, min;
};

// Scale (and signed min) of group g of a block, in f32.
template <class Fmt>
GroupScale group_scale(const Tile& t, F d, F m, int g) {
  if constexpr (!Fmt::sub_scales) {
    return {d, m};
  } else if constexpr (!Fmt::has_min) {
    return {d * to_float(Fmt::template scale_codes<B>(t, g)), m};
  } else {
    return {d * to_float(Fmt::template scale_codes<B>(t, g)), m * to_float(Fmt::template min_codes<B>(t, g))};
  }
}

template <class Fmt>
F block_min(const Tile& t) {
  if constexpr (Fmt::has_min)
    return F::load_f16(reinterpret_cast<const std::uint16_t*>(t.field[0] + 32)) * F::set1(Fmt::min_sign);
  else
    return F::zero();
}

template <class Fmt>
F block_scale(const Tile& t) {
  return F::load_f16(reinterpret_cast<const std::uint16_t*>(t.field[0]));
}

// acc += one group's dot; `at` is the activation row's place in block `b` of its PackedRows.
template <class D>
inline F add_group(F acc, const V* codes, GroupScale s, const PackedRows& in, std::int64_t at,
                   std::int64_t sum_at, int g) {
  const std::int8_t* a = in.codes + 32 * at + 4 * D::quads * g;
  std::int32_t total = 0;
  if constexpr (D::zero != 0 || D::has_min)
    total = D::groups == 2 ? in.sums[sum_at + g * in.rows] : in.sums[sum_at] + in.sums[sum_at + in.rows];
  I dot = D::zero != 0 ? I::set1(-D::zero * total) : I::zero();
  for (int i = 0; i < D::quads; ++i) dot = dot4<D::wide>(dot, codes[i], a + 4 * i);
  const float d = in.scale[at];
  acc = fma(to_float(dot), s.scale * F::set1(d), acc);
  if constexpr (D::has_min) acc = fma(s.min, F::set1(d * static_cast<float>(total)), acc);
  return acc;
}

// Decoding reads every weight once. While a tile is multiplied, piece by piece the next one, which follows it
// in memory, is asked for into the second-level cache: hardware prefetching alone leaves a third of the
// bandwidth unused, and so do requests in bursts, over shorter distances, or into the first-level cache.
class NextTile {
 public:
  NextTile(const TiledWeight& w, const std::uint8_t* tile)
      : at_(tile + w.tile_bytes), piece_(static_cast<std::int64_t>(w.tile_bytes) * 32 / w.columns) {}
  // Once for every 32 columns.
  void fetch_piece() {
    for (std::int64_t i = 0; i < piece_; i += 64) __builtin_prefetch(at_ + i, 0, 2);
    at_ += piece_;
  }

 private:
  const std::uint8_t* at_;
  std::int64_t piece_;
};

// Few rows: codes are unpacked in registers and used at once for all of them.
template <class Fmt, int N>
void direct(const TiledWeight& w, const std::uint8_t* base, int half, const PackedRows& in, int first,
            float* out) {
  using D = Dots<Fmt>;
  constexpr int subs = Fmt::elements / 32;
  const int blocks = static_cast<int>(w.columns / Fmt::elements);
  F acc[N];
  for (int c = 0; c < N; ++c) acc[c] = F::zero();
  NextTile next(w, base);
  for (int block = 0; block < blocks; ++block) {
    const Tile t = tile_at<Fmt>(w, base, block, half);
    const F d = block_scale<Fmt>(t), m = block_min<Fmt>(t);
    RF_UNROLL(8)
    for (int s = 0; s < subs; ++s) {
      next.fetch_piece();
      const std::int64_t at = static_cast<std::int64_t>(block * subs + s) * in.rows + first;
      const std::int64_t sum_at = 2 * static_cast<std::int64_t>(block * subs + s) * in.rows + first;
      RF_UNROLL(2)
      for (int g = 0; g < D::groups; ++g) {
        V codes[D::quads];
        RF_UNROLL(8)
        for (int i = 0; i < D::quads; ++i) codes[i] = Fmt::template codes<V>(t, s, g * D::quads + i);
        const GroupScale scale = group_scale<Fmt>(t, d, m, s * D::groups + g);
        RF_UNROLL(4)
        for (int c = 0; c < N; ++c) acc[c] = add_group<D>(acc[c], codes, scale, in, at + c, sum_at + c, g);
      }
    }
  }
  for (int c = 0; c < N; ++c) acc[c].store(out + 16 * c);
}

// Many rows: the half tile is unpacked once into a panel of byte codes and f32 scales that stays in the
// cache.
struct Panel {
  std::uint8_t* codes;  // [columns / 4][lanes * 4]
  float* scales;        // [groups][lanes], then mins likewise
  float* mins;
};

template <class Fmt>
Panel unpack(const TiledWeight& w, const std::uint8_t* base, int half, std::uint8_t* scratch) {
  using D = Dots<Fmt>;
  constexpr int subs = Fmt::elements / 32;
  const int blocks = static_cast<int>(w.columns / Fmt::elements);
  auto* floats = reinterpret_cast<float*>(scratch + w.columns * lanes);
  const Panel panel{scratch, floats, floats + w.columns / Fmt::group * lanes};
  int line = 0, group = 0;
  for (int block = 0; block < blocks; ++block) {
    const Tile t = tile_at<Fmt>(w, base, block, half);
    const F d = block_scale<Fmt>(t), m = block_min<Fmt>(t);
    RF_UNROLL(8)
    for (int s = 0; s < subs; ++s) {
      RF_UNROLL(8)
      for (int i = 0; i < 8; ++i, ++line)
        Fmt::template codes<V>(t, s, i).store(panel.codes + 4 * lanes * line);
      RF_UNROLL(2)
      for (int g = 0; g < D::groups; ++g, ++group) {
        const GroupScale scale = group_scale<Fmt>(t, d, m, s * D::groups + g);
        scale.scale.store(panel.scales + lanes * group);
        if constexpr (D::has_min) scale.min.store(panel.mins + lanes * group);
      }
    }
  }
  return panel;
}

template <class D, int N>
void panel_columns(const Panel& panel, int blocks, const PackedRows& in, int first, float* out) {
  F acc[N];
  RF_UNROLL(16)
  for (int c = 0; c < N; ++c) acc[c] = F::zero();
  for (int b = 0; b < blocks; ++b) {
    const std::int64_t at = static_cast<std::int64_t>(b) * in.rows + first;
    const std::int64_t sum_at = 2 * static_cast<std::int64_t>(b) * in.rows + first;
    RF_UNROLL(2)
    for (int g = 0; g < D::groups; ++g) {
      V codes[D::quads];
      RF_UNROLL(8)
      for (int i = 0; i < D::quads; ++i)
        codes[i] = V::load(panel.codes + 4 * lanes * (8 * b + g * D::quads + i));
      const int group = b * D::groups + g;
      GroupScale scale{F::load(panel.scales + lanes * group), F::zero()};
      if constexpr (D::has_min) scale.min = F::load(panel.mins + lanes * group);
      RF_UNROLL(16)
      for (int c = 0; c < N; ++c) acc[c] = add_group<D>(acc[c], codes, scale, in, at + c, sum_at + c, g);
    }
  }
  RF_UNROLL(16)
  for (int c = 0; c < N; ++c) acc[c].store(out + 16 * c);
}

// Calls body.operator()<N>(first) for pieces of at most `most` that cover rows [0, rows).
template <int most, class Body>
inline void by_columns(int rows, Body&& body) {
  int first = 0;
  if constexpr (most >= 16)
    for (; rows - first >= 16; first += 16) body.template operator()<16>(first);
  if constexpr (most >= 8)
    for (; rows - first >= 8; first += 8) body.template operator()<8>(first);
  for (; rows - first >= 4; first += 4) body.template operator()<4>(first);
  if (rows - first >= 2) body.template operator()<2>(first), first += 2;
  if (rows - first >= 1) body.template operator()<1>(first);
}

constexpr int direct_rows = 4;  // up to here unpacking in registers beats a panel

template <class Fmt>
void quantised(const TiledWeight& w, int t, const PackedRows& in, int rows, std::uint8_t* scratch,
               float* out) {
  const std::uint8_t* base = w.tile(t);
  for (int half = 0; half < halves; ++half) {
    float* to = out + half * lanes;
    if (rows <= direct_rows) {
      by_columns<4>(rows,
                    [&]<int N>(int first) { direct<Fmt, N>(w, base, half, in, first, to + 16 * first); });
      continue;
    }
    const Panel panel = unpack<Fmt>(w, base, half, scratch);
    const int blocks = static_cast<int>(w.columns / 32);
    by_columns<max_columns>(rows, [&]<int N>(int first) {
      panel_columns<Dots<Fmt>, N>(panel, blocks, in, first, to + 16 * first);
    });
  }
}

enum class FloatKind { f32, f16, bf16 };

template <FloatKind kind>
F load_weights(const std::uint8_t* base, std::int64_t at) {
  if constexpr (kind == FloatKind::f32) return F::load(reinterpret_cast<const float*>(base) + at);
  const auto* halves16 = reinterpret_cast<const std::uint16_t*>(base) + at;
  return kind == FloatKind::f16 ? F::load_f16(halves16) : F::load_bf16(halves16);
}

template <FloatKind kind, int N>
void float_columns(const TiledWeight& w, const std::uint8_t* base, int half, const PackedRows& in, int first,
                   float* out) {
  F acc[N];
  RF_UNROLL(16)
  for (int c = 0; c < N; ++c) acc[c] = F::zero();
  const int columns = static_cast<int>(w.columns);
  for (int k = 0; k < columns; ++k) {
    const F weight = load_weights<kind>(base, 16 * static_cast<std::int64_t>(k) + half * lanes);
    const float* a = in.values + 32 * (static_cast<std::int64_t>(k >> 5) * in.rows + first) + (k & 31);
    RF_UNROLL(16)
    for (int c = 0; c < N; ++c) acc[c] = fma(weight, F::set1(a[32 * c]), acc[c]);
  }
  RF_UNROLL(16)
  for (int c = 0; c < N; ++c) acc[c].store(out + 16 * c);
}

template <FloatKind kind>
void floats(const TiledWeight& w, int t, const PackedRows& in, int rows, float* out) {
  for (int half = 0; half < halves; ++half)
    by_columns<max_columns>(rows, [&]<int N>(int first) {
      float_columns<kind, N>(w, w.tile(t), half, in, first, out + half * lanes + 16 * first);
    });
}

}  // namespace

void tile_matmul(const TiledWeight& w, int t, const PackedRows& in, int rows, std::uint8_t* scratch,
                 float* out) {
  switch (static_cast<std::uint32_t>(w.type)) {
    case static_cast<std::uint32_t>(Type::f32):
      return floats<FloatKind::f32>(w, t, in, rows, out);
    case static_cast<std::uint32_t>(Type::f16):
      return floats<FloatKind::f16>(w, t, in, rows, out);
    case static_cast<std::uint32_t>(Type::bf16):
      return floats<FloatKind::bf16>(w, t, in, rows, out);
#define RF_CASE(Fmt) \
  case Fmt::id:      \
    return quantised<Fmt>(w, t, in, rows, scratch, out);
      RF_FORMATS(RF_CASE)
#undef RF_CASE
    default:
      break;
  }
}

std::size_t scratch_bytes(const TiledWeight& w) {
  // Codes, and f32 scales and mins for every 16 columns at most.
  return static_cast<std::size_t>(w.columns) * lanes +
         2 * sizeof(float) * lanes * static_cast<std::size_t>(w.columns / 16 + 1);
}

}  // namespace rf::RF_ISA
