// One tile of 16 weight rows times activation rows: float weights, and the way to the quantised ones.
#include "cpu/kernels/dots.h"

namespace rf::RF_ISA {
namespace {

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
  if (w.type == Type::f32) return floats<FloatKind::f32>(w, t, in, rows, out);
  if (w.type == Type::f16) return floats<FloatKind::f16>(w, t, in, rows, out);
  if (w.type == Type::bf16) return floats<FloatKind::bf16>(w, t, in, rows, out);
  if (plain_matmul(w, t, in, rows, scratch, out)) return;
  if (scaled_matmul(w, t, in, rows, scratch, out)) return;
  if (spread_matmul(w, t, in, rows, scratch, out)) return;
  grid_matmul(w, t, in, rows, scratch, out);
}

std::size_t scratch_bytes(const TiledWeight& w) {
  // Codes, and f32 scales and mins for every 16 columns at most.
  return static_cast<std::size_t>(w.columns) * lanes +
         2 * sizeof(float) * lanes * static_cast<std::size_t>(w.columns / 16 + 1);
}

}  // namespace rf::RF_ISA
