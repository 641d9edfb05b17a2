// How weights of one tile and activation rows become sums: what the parts of the matmul kernels share.
//
// Canonical order, the same for one row and for many, so that a row's result does not depend on its company:
// for each block of 32 columns in order and each group of it in order, acc = fma(float(integer dot), w_scale
// * a_scale, acc), then acc = fma(w_min, a_scale * a_sum, acc). Integer dots are exact. Float weights: acc =
// fma(w, a, acc) by column.
#pragma once
#include "cpu/kernels/export.h"
#include "cpu/simd/simd.h"

namespace rf::RF_ISA {

constexpr int halves = 16 / lanes;

// How the blocks of 32 of a format are multiplied.
template <int group_, int fits_, bool has_min_>
struct Dots {
  static constexpr int groups = 32 / group_, quads = group_ / 4;
  static constexpr int fits = fits_;  // of simd's dot()
  static constexpr bool has_min = has_min_;
};

// How many quads of codes up to `top` add up in 16 bits: each gives two products with activations up to 127.
constexpr int quads_that_fit(int top) {
  const int most = top > 127 ? 0 : 32767 / (2 * 127 * top);
  return most >= 8 ? 8 : most >= 4 ? 4 : most >= 2 ? 2 : most;
}

struct GroupScale {
  F scale, min;
};

// acc[h] += what a group's integers come to; `at` is the activation row's place in block `b` of its
// PackedRows.
template <class D, int H>
static inline void add_sums(F (&acc)[H], const I (&sum)[H], const GroupScale (&s)[H], I total,
                            const PackedRows& in, std::int64_t at) {
  const float d = in.scale[at];
  RF_UNROLL(2)
  for (int h = 0; h < H; ++h) {
    acc[h] = fma(to_float(sum[h]), s[h].scale * F::set1(d), acc[h]);
    if constexpr (D::has_min) acc[h] = fma(s[h].min, F::set1(d) * to_float(total), acc[h]);
  }
}

// acc[h] += one group's dot; `zero` is what is to be taken from every code. Several parts of a tile share
// what the activations need.
template <class D, int H, class Codes>
static inline void add_group(F (&acc)[H], Codes codes, const GroupScale (&s)[H], int zero,
                             const PackedRows& in, std::int64_t at, std::int64_t sum_at, int g) {
  // In vectors throughout: numbers that go there from general registers are slow to arrive.
  const I total = D::groups == 2 ? I::set1(in.sums[sum_at + g * in.rows])
                                 : I::set1(in.sums[sum_at]) + I::set1(in.sums[sum_at + in.rows]);
  const I shortfall = zero == 0 ? I::zero() : total * I::set1(-zero);
  I sum[H];
  for (int h = 0; h < H; ++h) sum[h] = shortfall;
  dot<D::fits, D::quads>(sum, codes, in.codes + 32 * at + 4 * D::quads * g);
  add_sums<D>(acc, sum, s, total, in, at);
}

// Likewise for one part, whose codes are there.
template <class D>
static inline F add_group(F acc, const V* codes, GroupScale s, int zero, const PackedRows& in,
                          std::int64_t at, std::int64_t sum_at, int g) {
  F one[1] = {acc};
  const GroupScale scale[1] = {s};
  add_group<D>(one, [codes](int, int i) { return codes[i]; }, scale, zero, in, at, sum_at, g);
  return one[0];
}

// Calls body.operator()<N>(first) for pieces of at most `most` that cover rows [0, rows).
template <int most, class Body>
static inline void by_columns(int rows, Body&& body) {
  int first = 0;
  if constexpr (most >= 16)
    for (; rows - first >= 16; first += 16) body.template operator()<16>(first);
  if constexpr (most >= 8)
    for (; rows - first >= 8; first += 8) body.template operator()<8>(first);
  for (; rows - first >= 4; first += 4) body.template operator()<4>(first);
  if (rows - first >= 2) body.template operator()<2>(first), first += 2;
  if (rows - first >= 1) body.template operator()<1>(first);
}

// Many rows: half a tile is unpacked once into a panel of byte codes and f32 scales that stays in the cache.
struct Panel {
  int blocks = 0;                 // of 32 columns
  int group = 32, fits = 0;       // as Dots has them
  int zero = 0;                   // to be taken from every code
  std::uint8_t* codes = nullptr;  // [columns / 4][lanes * 4]
  float* scales = nullptr;        // [groups][lanes]
  float* mins = nullptr;          // likewise, or null
};

// out[r][16], of which `lanes` are written, for rows 0 .. rows of `in`.
void panel_matmul(const Panel& panel, const PackedRows& in, int rows, float* out);

// A tile times rows, for the formats of one list; false if the tile's is not among them.
bool plain_matmul(const TiledWeight& w, int t, const PackedRows& in, int rows, std::uint8_t* scratch,
                  float* out);
bool scaled_matmul(const TiledWeight& w, int t, const PackedRows& in, int rows, std::uint8_t* scratch,
                   float* out);
bool spread_matmul(const TiledWeight& w, int t, const PackedRows& in, int rows, std::uint8_t* scratch,
                   float* out);
bool grid_matmul(const TiledWeight& w, int t, const PackedRows& in, int rows, std::uint8_t* scratch,
                 float* out);

}  // namespace rf::RF_ISA
