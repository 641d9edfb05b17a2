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
  int length;  // of the sequence
  RF_DEVICE int queries() const { return rows * heads; }
  RF_DEVICE int row_of(int query) const { return row + query / heads; }
  RF_DEVICE int head_of(int query) const { return head + query % heads; }
};

// The heads of the block's share, of those that have a KV head in common; none are left for some.
RF_DEVICE bool take_heads(const AttentionView& a, int head_splits, Share& s) {
  const int group = a.heads / a.kv_heads, most = (group + head_splits - 1) / head_splits;
  s.kv_head = lane::block_x() / head_splits;
  const int skip = lane::block_x() % head_splits * most;
  s.head = s.kv_head * group + skip;
  s.heads = group - skip < most ? group - skip : most;
  return skip < group;
}

// s less what a query's distance from a position costs it.
RF_DEVICE float with_slope(const AttendParams& p, const Share& share, int query, int position, float s) {
  if (p.attention.slopes == nullptr) return s;
  const int at = p.batch.positions[share.row_of(query)],
            apart = at > position ? at - position : position - at;
  return s - p.attention.slopes[share.head_of(query)] * static_cast<float>(apart);
}

// A query's place in the output, and what its values are multiplied by there: a sink is one more score
// without a value. Weights are counted in `unit`s.
struct Output {
  const AttendParams& p;
  int row, head;
  float inverse;

  RF_DEVICE Output(const AttendParams& params, const Share& share, int query, const Partial& total,
                   float unit)
      : p(params), row(share.row_of(query)), head(share.head_of(query)), inverse(1.0f / total.weight) {
    if (p.attention.sinks == nullptr) return;
    const float sink = p.attention.sinks[head], top = total.largest > sink ? total.largest : sink,
                factor = lane::exp(total.largest - top);
    inverse = factor / (total.weight * factor + unit * lane::exp(sink - top));
  }
  RF_DEVICE void put(int d, float sum) const {
    float gate = 1;
    if (p.attention.gated != 0)
      gate = lane::sigmoid(p.x[row * p.x_stride + (2 * head + 1) * p.attention.key_dim + d]);
    p.out[row * p.out_stride + head * p.attention.value_dim + d] = sum * inverse * gate;
  }
};

}  // namespace rf::gpu
