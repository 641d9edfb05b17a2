// Rows of activations: norms and quantisation, by a block of 256 threads. Whoever does it, a row's result is
// the same to the bit.
#pragma once
#include "gpu/kernels/lane.h"
#include "gpu/kernels/params.h"

namespace rf::gpu {

// The sum over the block's `threads` threads, for all of them. `scratch`: threads / 32 floats of LDS.
template <int threads>
RF_DEVICE float block_sum(float v, float* scratch) {
  v = lane::sum_of_lanes(v, 32);
  lane::barrier();
  if (lane::thread() % 32 == 0) scratch[lane::thread() / 32] = v;
  lane::barrier();
  float sum = 0;
  for (int i = 0; i < threads / 32; ++i) sum += scratch[i];
  return sum;
}

struct Moments {
  float mean, inverse;
};

// Of values[0 .. n); every thread of the block takes part.
template <int threads, class Value>
RF_DEVICE Moments moments(NormKind kind, float eps, int n, Value value, float* scratch) {
  Moments m{0, 1};
  if (kind == NormKind::off) return m;
  if (kind == NormKind::layer) {
    float sum = 0;
    for (int k = lane::thread(); k < n; k += threads) sum += value(k);
    m.mean = block_sum<threads>(sum, scratch) / static_cast<float>(n);
  }
  float squares = 0;
  for (int k = lane::thread(); k < n; k += threads) {
    const float v = value(k) - m.mean;
    squares = __builtin_fmaf(v, v, squares);
  }
  m.inverse = 1.0f / __builtin_sqrtf(block_sum<threads>(squares, scratch) / static_cast<float>(n) + eps);
  return m;
}

RF_DEVICE float normed(const NormView& norm, const Moments& m, float v, int k) {
  if (norm.kind == NormKind::off) return v;
  v = (v - m.mean) * m.inverse;
  if (norm.weight != nullptr) v *= norm.weight[k];
  if (norm.bias != nullptr) v += norm.bias[k];
  return v;
}

// Quantises values[0 .. n) of one row to codes, scales and sums (Packed), up to `padded` columns. Eight lanes
// share a block of 32.
template <int threads, class Value>
RF_DEVICE void quantise(int n, int padded, Value value, std::int8_t* codes, float* scales,
                        std::int32_t* sums) {
  for (int first = 0; first < padded; first += 4 * threads) {  // all lanes stay together for the shuffles
    const int k = first + 4 * lane::thread();
    float v[4];
    float top = 0;
    RF_UNROLL
    for (int i = 0; i < 4; ++i) {
      v[i] = k + i < n ? value(k + i) : 0.0f;
      const float magnitude = v[i] < 0 ? -v[i] : v[i];
      top = magnitude > top ? magnitude : top;
    }
    top = lane::largest_of_lanes(top, 8);
    const float inverse = top > 0x1p-100f ? 127.0f / top : 0.0f;
    std::uint32_t word = 0;
    int sum = 0;
    RF_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int code = static_cast<int>((v[i] * inverse + 0x1.8p23f) - 0x1.8p23f);
      sum += code;
      word |= static_cast<std::uint32_t>(code & 255) << 8 * i;
    }
    sum += lane::shuffle_xor(sum, 1);
    sum += lane::shuffle_xor(sum, 2);
    const int other = lane::shuffle_xor(sum, 4);
    if (k >= padded) continue;
    *reinterpret_cast<std::uint32_t*>(codes + k) = word;
    if ((lane::thread() & 7) == 0) {
      scales[k / 32] = top / 127.0f;
      sums[k / 32] = (sum & 0xffff) | static_cast<std::int32_t>(static_cast<std::uint32_t>(other) << 16);
    }
  }
}
// The halves of Packed::sums.
RF_DEVICE int low_sum(std::int32_t sums) {
  return static_cast<std::int16_t>(sums & 0xffff);
}
RF_DEVICE int high_sum(std::int32_t sums) {
  return sums >> 16;
}

// The row of `count`'s launch that a block of the grid stands for exists.
RF_DEVICE int rows_of(const RowCount& count) {
  if (count.counts == nullptr) return count.rows;
  const int live = count.counts[count.which];
  return live < count.rows ? live : count.rows;
}

}  // namespace rf::gpu
