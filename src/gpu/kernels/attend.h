// Attention over cache pages, as one block of 256 threads does it for up to `most` queries of one KV head:
// positions are taken in chunks of 64, each by itself, and the chunks' results are added up in their order,
// so that a query's result does not depend on who else is there.
//
// A chunk: four groups of 64 threads score a quarter of the queries each; then eight groups of 32 lanes
// soften and weigh the values of every eighth query.
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

// What a query's values are divided by; a sink is one more score without a value.
RF_DEVICE float inverse_of(const AttentionView& a, const Partial& p, int head) {
  if (a.sinks == nullptr) return 1.0f / p.weight;
  const float sink = a.sinks[head], top = p.largest > sink ? p.largest : sink,
              factor = lane::exp(p.largest - top);
  return factor / (p.weight * factor + lane::exp(sink - top));
}
RF_DEVICE float gate_of(const AttendParams& p, int row, int head, int d) {
  if (p.attention.gated == 0) return 1.0f;
  return lane::sigmoid(p.x[row * p.x_stride + (2 * head + 1) * p.attention.key_dim + d]);
}

// A block's share: rows [row, row + rows) of a sequence, heads [head, head + heads) of one KV head.
struct Share {
  int sequence, row, rows, kv_head, head, heads;
  int length;  // of the sequence
  RF_DEVICE int queries() const { return rows * heads; }
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

template <KvKind kv, int size, int most>
struct Attend {
  static constexpr int per = unit_elements<kv>, own = most / 4, weighed = most / 8;
  static constexpr int wide = (size + 127) / 128;  // times 4 elements of a value that a lane has

  const AttendParams& p;
  Share share;
  float *queries, *values, *scores;  // LDS: [most][size], [4608], [most][64]
  Partial* chunks;                   // LDS: [most]
  Visible* ranges;                   // LDS: [most], of positions that each query sees

  RF_DEVICE int row_of(int query) const { return share.row + query / share.heads; }
  RF_DEVICE int head_of(int query) const { return share.head + query % share.heads; }

  RF_DEVICE void find_ranges() const {
    if (lane::thread() < share.queries())
      ranges[lane::thread()] =
          visible_positions(p.attention, p.batch.positions[row_of(lane::thread())], share.length);
  }

  // `count` neighbouring elements of a query's result from d on, from what its chunks add up to.
  template <int count>
  RF_DEVICE void put(int query, int d, const float* sums, const Partial& total) const {
    const int row = row_of(query), head = head_of(query);
    const float inverse = inverse_of(p.attention, total, head);
    float* to = p.out + row * p.out_stride + head * p.attention.value_dim + d;
    RF_UNROLL
    for (int i = 0; i < count; ++i) to[i] = sums[i] * inverse * gate_of(p, row, head, d + i);
  }

  // scores[query][64] of the chunk's positions.
  RF_DEVICE void score(const std::int32_t* pages, int first_position) const {
    const AttentionView& a = p.attention;
    const int in_chunk = lane::thread() & 63, position = first_position + in_chunk,
              quarter = lane::thread() >> 6;
    const int count = share.queries();
    float acc[own] = {};
    if (position < share.length) {
      const Place place = place_of(p.cache, pages, position, share.kv_head);
      const int units = (a.key_dim + per - 1) / per;
      RF_UNROLL_BY(8)
      for (int u = 0; u < units; ++u) {
        const Four unit = lane::load4(key_unit(p.cache, place, u));
        float scale = 1;
        if constexpr (has_scales<kv>) scale = lane::half_to_float(*key_scale(p.cache, place, u * per / 32));
        float key[per];
        decode_unit<kv>(unit, scale, key);
        RF_UNROLL
        for (int j = 0; j < own; ++j)
          if (quarter + 4 * j < count) {
            const float* q = queries + (quarter + 4 * j) * size + u * per;
            RF_UNROLL
            for (int e = 0; e < per; e += 4) {
              const Four four = lane::load4(q + e);
              RF_UNROLL
              for (int i = 0; i < 4; ++i)
                acc[j] = __builtin_fmaf(key[e + i], __builtin_bit_cast(float, four.w[i]), acc[j]);
            }
          }
      }
    }
    RF_UNROLL
    for (int j = 0; j < own; ++j) {
      const int query = quarter + 4 * j;
      if (query >= count) break;
      const Visible visible = ranges[query];
      float s = capped(acc[j] * a.scale, a.softcap);
      if (a.slopes != nullptr) {
        const int at = p.batch.positions[row_of(query)],
                  apart = at > position ? at - position : position - at;
        s -= a.slopes[head_of(query)] * static_cast<float>(apart);
      }
      scores[64 * query + in_chunk] =
          position >= visible.first && position < visible.end ? s : minus_infinity;
    }
    lane::barrier();
  }

  // Turns scores into weights exp(score - largest).
  RF_DEVICE void soften() const {
    const int in_group = lane::thread() & 31;
    for (int first = 0; first < share.queries(); first += 8) {  // lanes of a wave stay together
      const int query = first + (lane::thread() >> 5);
      const bool mine = query < share.queries();
      float* own_scores = scores + 64 * (mine ? query : 0) + in_group;
      const float low = own_scores[0], high = own_scores[32];
      const float top = lane::largest_of_lanes(low > high ? low : high, 32);
      const float a = low == minus_infinity ? 0.0f : lane::exp(low - top);
      const float b = high == minus_infinity ? 0.0f : lane::exp(high - top);
      const float sum = lane::sum_of_lanes(a + b, 32);
      lane::barrier();
      if (!mine) continue;
      own_scores[0] = a;
      own_scores[32] = b;
      if (in_group == 0) chunks[query] = {top, sum};
    }
    lane::barrier();
  }

  // values[position - first][stride] = f32 of `count` positions of the cache.
  RF_DEVICE void load_values(const std::int32_t* pages, int first, int count, int units) const {
    for (int i = lane::thread(); i < count * units; i += 256) {
      const int n = i / units, u = i % units;
      float value[per] = {};
      if (first + n < share.length) {
        const Place place = place_of(p.cache, pages, first + n, share.kv_head);
        float scale = 1;
        if constexpr (has_scales<kv>) scale = lane::half_to_float(*value_scale(p.cache, place, u * per / 32));
        decode_unit<kv>(lane::load4(value_unit(p.cache, place, u)), scale, value);
      }
      float* to = values + (n * units + u) * per;
      RF_UNROLL
      for (int e = 0; e < per; e += 4)
        *reinterpret_cast<Four*>(to + e) = {{bits_of_float(value[e]), bits_of_float(value[e + 1]),
                                             bits_of_float(value[e + 2]), bits_of_float(value[e + 3])}};
    }
    if (first % attend_chunk != 0) lane::barrier();  // of the first stage, scores wait before values are read
  }

  // Those of the first stage come before the scores, so that both loads are under way together.
  RF_DEVICE void load_first_values(const std::int32_t* pages, int first_position) const {
    const int units = (p.attention.value_dim + per - 1) / per, stage = 4608 / (units * per);
    int end = share.length - first_position;
    end = end < attend_chunk ? end : attend_chunk;
    load_values(pages, first_position, end < stage ? end : stage, units);
  }

  // acc[j] = the values of the chunk under the weights of query group + 8 j.
  RF_DEVICE void weigh(const std::int32_t* pages, int first_position, float (&acc)[weighed][4 * wide]) const {
    const int units = (p.attention.value_dim + per - 1) / per, stride = units * per, stage = 4608 / stride;
    const int group = lane::thread() >> 5, in_group = lane::thread() & 31, queries_here = share.queries();
    RF_UNROLL
    for (int j = 0; j < weighed; ++j) RF_UNROLL
    for (int d = 0; d < 4 * wide; ++d) acc[j][d] = 0;
    int end = share.length - first_position;
    end = end < attend_chunk ? end : attend_chunk;
    for (int first = 0; first < end; first += stage) {
      const int count = end - first < stage ? end - first : stage;
      if (first > 0) load_values(pages, first_position + first, count, units);
      if (group < queries_here) {
        RF_UNROLL_BY(4)
        for (int n = 0; n < count; ++n) {
          float weight[weighed];
          RF_UNROLL
          for (int j = 0; j < weighed; ++j)
            weight[j] = group + 8 * j < queries_here ? scores[64 * (group + 8 * j) + first + n] : 0.0f;
          RF_UNROLL
          for (int part = 0; part < wide; ++part) {
            const int d = 4 * in_group + 128 * part;
            if (d >= stride) continue;
            const Four v = lane::load4(values + n * stride + d);
            RF_UNROLL
            for (int j = 0; j < weighed; ++j) RF_UNROLL
            for (int i = 0; i < 4; ++i)
              acc[j][4 * part + i] =
                  __builtin_fmaf(weight[j], __builtin_bit_cast(float, v.w[i]), acc[j][4 * part + i]);
          }
        }
      }
      lane::barrier();
    }
  }

  template <class Each>
  RF_DEVICE void each_four(Each each) const {  // each(j, its query, index in acc, element), of four elements
    const int group = lane::thread() >> 5, in_group = lane::thread() & 31;
    RF_UNROLL
    for (int j = 0; j < weighed; ++j) {
      if (group + 8 * j >= share.queries()) continue;
      RF_UNROLL
      for (int part = 0; part < wide; ++part) {
        const int d = 4 * in_group + 128 * part;
        if (d < p.attention.value_dim) each(j, group + 8 * j, 4 * part, d);  // a multiple of 4
      }
    }
  }
  // One chunk: what it gives under its own largest score goes to `given` and `chunks`.
  RF_DEVICE void chunk(const std::int32_t* pages, int number, float (&given)[weighed][4 * wide]) const {
    load_first_values(pages, number * attend_chunk);
    score(pages, number * attend_chunk);
    soften();
    weigh(pages, number * attend_chunk, given);
  }
};

}  // namespace rf::gpu
