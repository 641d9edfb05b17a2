// What attention over cache pages has in common, whoever does it (attend_plain.h, attend_half.h): a block of
// 256 threads takes some queries of one KV head. Positions are taken in chunks of 64, each by itself, and the
// chunks' results are added up in their order, so that a query's result does not depend on who else is there.
#pragma once
#include "gpu/kernels/activation.h"
#include "gpu/kernels/cache.h"

namespace rf::gpu {

inline constexpr float minus_infinity = -__builtin_inff();

struct Visible {
  int first, end;
};
// As visible_positions() of ops/attention.h.
RF_DEVICE Visible visible_positions(const AttentionView& a, int position, int length) {
  if (a.sees == 1) return {position / a.window * a.window, position + 1};
  const bool all = a.sees == 2;
  const int before = all ? a.window / 2 : a.window - 1, end = all ? length : position + 1;
  if (a.window == 0) return {0, end};
  const int first = position > before ? position - before : 0;
  return {first, all && position + before + 1 < end ? position + before + 1 : end};
}

// What several positions add up to: sum of exp(score - largest), and the values under those weights.
struct Partial {
  float largest, weight;
};
// into += next; returns what both's values are to be multiplied by.
struct Factors {
  float into, next;
};
RF_DEVICE Factors merge(Partial& into, const Partial& next) {
  if (next.weight == 0) return {1, 0};
  if (into.weight == 0) {
    into = next;
    return {0, 1};
  }
  const float top = into.largest > next.largest ? into.largest : next.largest;
  const Factors f{lane::exp(into.largest - top), lane::exp(next.largest - top)};
  into = {top, into.weight * f.into + next.weight * f.next};
  return f;
}
RF_DEVICE float merged(float into, float next, const Factors& f) {
  return __builtin_fmaf(next, f.next, into * f.into);
}

// A block's share: rows [row, row + rows) of a sequence, heads [head, head + heads) of one KV head.
struct Share {
  int sequence, row, rows, kv_head, head, heads;
  int length;    // of the sequence
  bool one_row;  // known while compiling: rows is 1, always
  RF_DEVICE int queries() const { return rows * heads; }
  RF_DEVICE int row_of(int query) const { return one_row ? row : row + query / heads; }
  RF_DEVICE int head_of(int query) const { return head + (one_row ? query : query % heads); }
};

// The heads of the block's share, of those that have a KV head in common; none are left for some.
RF_DEVICE bool take_heads(const AttendParams& p, Share& s) {
  s.kv_head = p.head_splits == 1 ? lane::block_x() : lane::block_x() / p.head_splits;
  const int skip = (lane::block_x() - s.kv_head * p.head_splits) * p.heads_a_block, left = p.group - skip;
  s.head = s.kv_head * p.group + skip;
  s.heads = left < p.heads_a_block ? left : p.heads_a_block;
  return left > 0;
}

RF_DEVICE float distance(int a, int b) {
  return static_cast<float>(a > b ? a - b : b - a);
}

// What a query's sums are multiplied by: a sink is one more score without a value. Weights are counted in
// `unit`s.
RF_DEVICE float inverse_of(const AttentionView& a, const Partial& total, int head, float unit) {
  if (a.sinks == nullptr) return 1.0f / total.weight;
  const float sink = a.sinks[head], top = total.largest > sink ? total.largest : sink,
              factor = lane::exp(total.largest - top);
  return factor / (total.weight * factor + unit * lane::exp(sink - top));
}

RF_DEVICE float* output_of(const AttendParams& p, const Share& share, int query) {
  return p.out + share.row_of(query) * p.out_stride + share.head_of(query) * p.attention.value_dim;
}
RF_DEVICE float gate_of(const AttendParams& p, const Share& share, int query, int d) {
  if (p.attention.gated == 0) return 1.0f;
  return lane::sigmoid(
      p.x[share.row_of(query) * p.x_stride + (2 * share.head_of(query) + 1) * p.attention.key_dim + d]);
}

}  // namespace rf::gpu
