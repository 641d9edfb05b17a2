// Rows made ready for products, and finished after them.
//
// rf_pack    grid (parts, rows), block 512, LDS 64 B. Reads a row of x two or three times (once from memory),
//            writes 1.25 bytes a column where it quantises, 4 where it keeps values or norms.
// rf_finish  grid (rows), block 256, LDS 32 B. Reads terms * columns (and add), writes columns.
#include "gpu/kernels/activation.h"
#include "gpu/kernels/norm.h"

namespace rf::gpu {

RF_KERNEL(rf_pack, PackParams, 512, 1) {
  RF_SHARED(float, scratch, row_strands / 32);
  const int part = lane::block_x(), row = lane::block_y();
  lane::wait_for_previous();
  lane::let_next_start();
  if (row >= rows_of(p.count)) return;
  const int from = p.from != nullptr ? p.from[row] : row;
  const float weight = p.routes != nullptr ? p.routes[(2 * row + 1) * p.parts + part] : 1.0f;
  NormedRow<512> normed_row(p.norm, p.columns, p.x + from * p.x_stride + part * p.part_stride, weight);
  normed_row.find_moments(scratch);
  const std::int64_t to = std::int64_t{row} * p.parts + part;
  const float factor = normed_row.factor();
  if (p.out.codes != nullptr)
    quantise<4>(normed_row, p.out.padded, p.out.block_stride, factor, p.out.codes + to * p.out.row_stride,
                p.out.scales + to * (p.out.row_stride / 32), p.out.sums + to * (p.out.row_stride / 32));
  const auto copy = [&](float* out, int columns) RF_INLINE {
    normed_row.template each_four<4>(columns, [&](const auto& v, int k) RF_INLINE {
      RF_UNROLL
      for (int i = 0; i < 4; ++i)
        if (k + i < columns) out[k + i] = v.v[i] * factor;
    });
  };
  if (p.out.values != nullptr) copy(p.out.values + to * p.out.padded, p.out.padded);
  if (p.normed != nullptr) copy(p.normed + to * p.normed_stride, p.columns);
}

RF_KERNEL(rf_finish, FinishParams, 256, 2) {
  RF_SHARED(float, scratch, 8);
  const int row = lane::block_x();
  lane::wait_for_previous();
  lane::let_next_start();
  if (row >= rows_of(p.count)) return;
  float* out = p.out + row * p.out_stride;
  const auto first = [&](int k) {
    const float* x = p.x + row * p.x_stride + k;
    if (p.up != nullptr) return gated(p.epilogue.activation, *x, p.up[row * p.x_stride + k]);
    float sum = 0;
    for (int t = 0; t < p.terms; ++t) sum += x[t * p.term_stride];
    return sum;
  };
  const auto with_sum = [&](float v, int k) {
    if (p.epilogue.mul != nullptr) v *= p.epilogue.mul[row * p.epilogue.mul_stride + k];
    v *= p.epilogue.scale;
    if (p.epilogue.add != nullptr) v += p.epilogue.add[row * p.epilogue.add_stride + k];
    return v * p.epilogue.out_scale;
  };
  // Nothing is written before all is known: out may be add.
  const auto value = [&](int k) { return p.post_last != 0 ? with_sum(first(k), k) : first(k); };
  const Moments m = moments<256>(p.post.kind, p.post.eps, p.columns, value, scratch);
  for (int k = lane::thread(); k < p.columns; k += 256) {
    const float v = normed(p.post, m, value(k), k);
    out[k] = p.post_last != 0 ? v : with_sum(v, k);
  }
}

}  // namespace rf::gpu
