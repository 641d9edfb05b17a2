// rf_row: work on whole rows and on their streams (rf::Row).
// Grid (rows), block 256, LDS 320 B. Reads x three times at most (once from memory), each stream once or
// twice; writes one stream or all but the first.
#include "gpu/kernels/activation.h"
#include "gpu/kernels/norm.h"

namespace rf::gpu {

enum class RowKind : std::int32_t { norm, sparsify, match, predict, correct, merge };  // as rf::Row::Kind

// sum over the row of value(k), for every thread of the block.
template <class Value>
RF_DEVICE float row_sum(int n, float* scratch, Value value) {
  float sum = 0;
  for (int k = lane::thread(); k < n; k += 256) sum += value(k);
  return block_sum<256>({sum}, scratch);
}

RF_DEVICE float root_of_squares(const float* x, int n, float* scratch) {
  const float squares = row_sum(n, scratch, [&](int k) { return x[k] * x[k]; });
  return __builtin_sqrtf(squares / static_cast<float>(n));
}

// c[i], as many as there are: W1 tanh(W0 n * scale), in LDS.
RF_DEVICE void mix(const RowParams& p, const float* x, int count, float* mixed, float* c, float* scratch) {
  const Moments m = moments<256>(p.norm.kind, p.norm.eps, p.columns, [&](int k) { return x[k]; }, scratch);
  for (int s = 0; s < p.streams; ++s) {
    const float* weights = p.mixer + std::int64_t{s} * p.columns;
    float product =
        row_sum(p.columns, scratch, [&](int k) { return weights[k] * normed(p.norm, m, x[k], k); });
    if (p.mixer_bias != nullptr) product += p.mixer_bias[s];
    if (lane::thread() == 0) mixed[s] = lane::tanh(product * p.scale);
  }
  lane::barrier();
  if (lane::thread() < count) {
    float sum = p.coefficients_bias != nullptr ? p.coefficients_bias[lane::thread()] : 0.0f;
    for (int s = 0; s < p.streams; ++s)
      sum = __builtin_fmaf(p.coefficients[lane::thread() * p.streams + s], mixed[s], sum);
    c[lane::thread()] = sum;
  }
  lane::barrier();
}

// What stream `side` is multiplied by to be as large as `target`.
RF_DEVICE float matching(float target, const float* side, int n, float* scratch) {
  const float size = root_of_squares(side, n, scratch), least = 3.1622777e-3f;  // sqrt(1e-5)
  return target / (size > least ? size : least);
}

RF_DEVICE void sparsify(const RowParams& p, const float* x, float* out, float* scratch) {
  const int n = p.columns;
  const float mean = row_sum(n, scratch, [&](int k) { return x[k]; }) / static_cast<float>(n);
  const float squares = row_sum(n, scratch, [&](int k) { return (x[k] - mean) * (x[k] - mean); });
  const float cut = mean + p.scale * __builtin_sqrtf(squares / static_cast<float>(n));
  for (int k = lane::thread(); k < n; k += 256)
    out[k] = activate(p.activation, x[k] > cut ? x[k] - cut : 0.0f);
}

RF_KERNEL(rf_row, RowParams, 256, 4) {
  RF_SHARED(float, scratch, 8);
  RF_SHARED(float, mixed, most_streams);
  RF_SHARED(float, c, most_streams* most_streams);
  const int row = lane::block_x(), n = p.columns, others = p.streams - 1;
  lane::wait_for_previous();
  lane::let_next_start();
  if (row >= rows_of(p.count)) return;
  const auto of_row = [&](const float* all) {
    return all != nullptr ? all + std::int64_t{row} * n : nullptr;
  };
  const float *x = of_row(p.x), *add = of_row(p.add), *mul = of_row(p.mul);
  const float* side = p.side + std::int64_t{row} * others * n;
  float* out = p.out + row * p.out_stride;
  const auto kind = static_cast<RowKind>(p.kind);
  if (kind == RowKind::sparsify) return sparsify(p, x, out, scratch);
  const int first = p.first, last = first == 0 ? 1 : p.streams;
  if (kind == RowKind::predict) {
    mix(p, x, p.streams * p.streams, mixed, c, scratch);
    for (int i = first; i < last; ++i)
      for (int k = lane::thread(); k < n; k += 256) {
        float sum = i == 0 ? x[k] : side[std::int64_t{i - 1} * n + k];
        for (int j = 0; j < p.streams; ++j)
          sum = __builtin_fmaf(c[i * p.streams + j], j == 0 ? x[k] : side[std::int64_t{j - 1} * n + k], sum);
        out[std::int64_t{i - first} * n + k] = sum;
      }
    return;
  }
  if (kind == RowKind::correct) {
    mix(p, x, p.streams, mixed, c, scratch);
    for (int i = first; i < last; ++i)
      for (int k = lane::thread(); k < n; k += 256) {
        const float predicted = i == 0 ? add[k] : side[std::int64_t{i - 1} * n + k];
        float v = __builtin_fmaf(c[i] + 1.0f, x[k] - add[k], predicted);
        if (p.factors != nullptr) v *= p.factors[k];
        out[std::int64_t{i - first} * n + k] = mul != nullptr ? v + mul[k] : v;
      }
    return;
  }
  const float target = root_of_squares(x, n, scratch);
  for (int i = 0; i < others; ++i) {
    const float* stream = side + std::int64_t{i} * n;
    const float factor = matching(target, stream, n, scratch);
    for (int k = lane::thread(); k < n; k += 256) {
      if (kind == RowKind::match)
        out[std::int64_t{i} * n + k] = factor * stream[k];
      else
        out[k] = __builtin_fmaf(factor, stream[k], i == 0 ? x[k] : out[k]);
    }
  }
  if (kind == RowKind::merge)
    for (int k = lane::thread(); k < n; k += 256) out[k] /= static_cast<float>(p.streams);
}

}  // namespace rf::gpu
