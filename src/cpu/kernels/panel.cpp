// Panels times many rows. Formats that differ only in how they are unpacked share a kernel.
#include "cpu/kernels/dots.h"

namespace rf::RF_ISA {
namespace {

template <class D, int N>
void panel_columns(const Panel& panel, const PackedRows& in, int first, float* out) {
  F acc[N];
  RF_UNROLL(16)
  for (int c = 0; c < N; ++c) acc[c] = F::zero();
  for (int b = 0; b < panel.blocks; ++b) {
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
      for (int c = 0; c < N; ++c)
        acc[c] = add_group<D>(acc[c], codes, scale, panel.zero, in, at + c, sum_at + c, g);
    }
  }
  RF_UNROLL(16)
  for (int c = 0; c < N; ++c) acc[c].store(out + 16 * c);
}

template <class D>
void columns(const Panel& panel, const PackedRows& in, int rows, float* out) {
  by_columns<max_columns>(rows,
                          [&]<int N>(int first) { panel_columns<D, N>(panel, in, first, out + 16 * first); });
}

// Few kernels are enough: what fits less often is also right where it would fit more often.
template <int group>
void of_group(const Panel& panel, const PackedRows& in, int rows, float* out) {
  if (panel.mins != nullptr) return columns<Dots<group, 4, true>>(panel, in, rows, out);
  if (panel.fits >= 4) return columns<Dots<group, 4, false>>(panel, in, rows, out);
  if (panel.fits >= 1) return columns<Dots<group, 1, false>>(panel, in, rows, out);
  if constexpr (group == 32) columns<Dots<group, 0, false>>(panel, in, rows, out);
}

}  // namespace

void panel_matmul(const Panel& panel, const PackedRows& in, int rows, float* out) {
  return panel.group == 16 ? of_group<16>(panel, in, rows, out) : of_group<32>(panel, in, rows, out);
}

}  // namespace rf::RF_ISA
