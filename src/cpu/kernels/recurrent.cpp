// Causal convolutions and token shifts: the lanes of a vector are channels.
#include "cpu/kernels/export.h"
#include "cpu/simd/simd.h"

namespace rf::RF_ISA {
namespace {

struct Sixteen {
  alignas(64) float v[16];
};

// The channels of a tile, zero beyond them.
void take(const float* from, int channels, float* to) {
  if (channels == 16) {
    for (int i = 0; i < 16; i += lanes) F::load(from + i).store(to + i);
    return;
  }
  for (int i = 0; i < 16; ++i) to[i] = i < channels ? from[i] : 0;
}

}  // namespace

// The window is a ring: row r of the input lies at r modulo kernel.
void conv(const ConvTile& tile) {
  Sixteen window[max_kernel], gate, bias{}, value;
  const int kernel = tile.kernel;
  if (tile.bias != nullptr) take(tile.bias, tile.channels, bias.v);
  for (int j = 0; j + 1 < kernel; ++j) take(tile.state + 16 * j, 16, window[(j + 1) % kernel].v);
  int now = 0;
  for (int r = 0; r < tile.rows; ++r) {
    const float* x = tile.x + r * tile.x_stride;
    take(x, tile.channels, window[now].v);
    if (tile.gated) {
      take(x + tile.gates, tile.channels, gate.v);
      take(x + tile.values, tile.channels, value.v);
      for (int i = 0; i < 16; i += lanes)
        (F::load(window[now].v + i) * F::load(value.v + i)).store(window[now].v + i);
    }
    float* out = tile.out + r * tile.out_stride;
    float* to = tile.channels == 16 ? out : value.v;
    for (int i = 0; i < 16; i += lanes) {
      F sum = F::load(bias.v + i);
      int at = now;
      for (int j = 0; j < kernel; ++j) {
        at = at + 1 == kernel ? 0 : at + 1;
        sum = fma(F::load(tile.weights + 16 * j + i), F::load(window[at].v + i), sum);
      }
      if (tile.silu) sum = silu(sum);
      if (tile.gated) sum = sum * F::load(gate.v + i);
      sum.store(to + i);
    }
    for (int i = 0; to != out && i < tile.channels; ++i) out[i] = to[i];
    now = now + 1 == kernel ? 0 : now + 1;
  }
  for (int j = 0; j + 1 < kernel; ++j) take(window[(now + 1 + j) % kernel].v, 16, tile.state + 16 * j);
}

void shift(const float* now, const float* before, const float* mix, const float* side, int n, float* out) {
  int i = 0;
  for (; i + lanes <= n; i += lanes) {
    const F x = F::load(now + i);
    F share = F::load(mix + i);
    if (side != nullptr) share = share + F::load(side + i);
    fma(F::load(before + i) - x, share, x).store(out + i);
  }
  for (; i < n; ++i) {
    const float share = side != nullptr ? mix[i] + side[i] : mix[i];
    out[i] = now[i] + (before[i] - now[i]) * share;
  }
}

}  // namespace rf::RF_ISA
