// rf_attend_KV_SIZE: attention over cache pages; grids stand in params.h.
//
// Block 256. LDS: queries and, later, values of up to 4,608 f32 each, scores of attend_queries x 64
// positions: 34 to 43 KB. Reads each K and V of its chunks once (K's 16-byte units four times, from the
// first-level cache). A chunk of 64 positions: four groups of 64 threads score a quarter of the queries each;
// then eight groups of 32 lanes soften and weigh the values of every eighth query.
//
// rf_attend_merge: grid (heads, sequences), block 128, no LDS; reads the partial results once.
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

template <KvKind kv, int size>
struct Attend {
  static constexpr int per = unit_elements<kv>, most = attend_queries(size), own = most / 4,
                       weighed = most / 8;
  static constexpr int wide = (size + 127) / 128;  // times 4 elements of a value that a lane has

  const AttendParams& p;
  Share share;
  float *queries, *values, *scores;  // LDS: [most][size], [4608], [most][64]
  Partial* chunks;                   // LDS: [most]
  Visible* ranges;                   // LDS: [most], of positions that each query sees

  RF_DEVICE int row_of(int query) const { return share.row + query / share.heads; }
  RF_DEVICE int head_of(int query) const { return share.head + query % share.heads; }

  RF_DEVICE void load_queries() const {
    const AttentionView& a = p.attention;
    for (int i = lane::thread(); i < share.queries() * size; i += 256) {
      const int query = i / size, d = i % size;
      queries[i] =
          d < a.key_dim
              ? p.queries[(static_cast<std::int64_t>(row_of(query)) * a.heads + head_of(query)) * a.key_dim +
                          d]
              : 0.0f;
    }
    if (lane::thread() < share.queries())
      ranges[lane::thread()] = visible_positions(a, p.batch.positions[row_of(lane::thread())], share.length);
    lane::barrier();
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
  RF_DEVICE void each_value(Each each) const {  // each(j, its query, index in acc, element)
    const int group = lane::thread() >> 5, in_group = lane::thread() & 31;
    RF_UNROLL
    for (int j = 0; j < weighed; ++j) {
      if (group + 8 * j >= share.queries()) continue;
      RF_UNROLL
      for (int part = 0; part < wide; ++part) {
        const int d = 4 * in_group + 128 * part;
        if (d >= p.attention.value_dim) continue;  // a multiple of 4
        RF_UNROLL
        for (int i = 0; i < 4; ++i) each(j, group + 8 * j, 4 * part + i, d + i);
      }
    }
  }

  // The chunks [first, last]: all of them, added up, or this block's, each for itself.
  RF_DEVICE void run(const std::int32_t* pages, int first, int last) const {
    float acc[weighed][4 * wide], next[weighed][4 * wide];
    Partial total[weighed];
    RF_UNROLL
    for (int j = 0; j < weighed; ++j) {
      total[j] = {0, 0};
      RF_UNROLL
      for (int i = 0; i < 4 * wide; ++i) acc[j][i] = 0;
    }
    const bool split = p.splits > 0;
    RF_NO_UNROLL
    for (int c = split ? first + lane::block_y() : first; c <= last; c += split ? p.splits : 1) {
      load_first_values(pages, c * attend_chunk);
      score(pages, c * attend_chunk);
      soften();
      weigh(pages, c * attend_chunk, next);
      if (split) {
        each_value([&](int j, int query, int i, int d) { store_partial(query, c - first, d, next[j][i]); });
      } else {
        const int group = lane::thread() >> 5;
        RF_UNROLL
        for (int j = 0; j < weighed; ++j) {
          if (group + 8 * j >= share.queries()) continue;
          const Factors f = merge(total[j], chunks[group + 8 * j]);
          RF_UNROLL
          for (int i = 0; i < 4 * wide; ++i) acc[j][i] = merged(acc[j][i], next[j][i], f);
        }
      }
      lane::barrier();
    }
    if (split) return;
    each_value([&](int j, int query, int i, int d) {
      const int row = row_of(query), head = head_of(query);
      p.out[row * p.out_stride + head * p.attention.value_dim + d] =
          acc[j][i] * inverse_of(p.attention, total[j], head) * gate_of(p, row, head, d);
    });
  }

  RF_DEVICE void store_partial(int query, int chunk, int d, float value) const {
    const std::int64_t number =
        (static_cast<std::int64_t>(share.sequence) * p.attention.heads + head_of(query)) * p.max_chunks +
        chunk;
    float* to = p.partials + number * (2 + p.attention.value_dim);
    to[2 + d] = value;
    if (d == 0) to[0] = chunks[query].largest, to[1] = chunks[query].weight;
  }
};

RF_DEVICE bool skipped(const AttendParams& p, int rows) {
  return p.skip == 1 ? rows == 1 : p.skip == 2 ? rows != 1 : false;
}

template <KvKind kv, int size>
RF_DEVICE void attend(const AttendParams& p) {
  RF_SHARED(Four, queries, attend_queries(size) * size / 4);
  RF_SHARED(Four, values, 4608 / 4);
  RF_SHARED(float, scores, attend_queries(size) * 64);
  RF_SHARED(Partial, chunks, attend_queries(size));
  RF_SHARED(Visible, ranges, attend_queries(size));
  const AttentionView& a = p.attention;
  lane::wait_for_previous();
  lane::let_next_start();
  Share s;
  s.sequence = lane::block_z();
  if (s.sequence >= p.batch.counts[2]) return;
  const int first_row = p.batch.first_rows[s.sequence], rows = p.batch.first_rows[s.sequence + 1] - first_row;
  if (skipped(p, rows)) return;
  const int from = p.splits > 0 ? 0 : lane::block_y() * p.rows_a_block;
  if (from >= rows) return;
  s.row = first_row + from;
  s.rows = rows - from < p.rows_a_block ? rows - from : p.rows_a_block;
  const int group = a.heads / a.kv_heads, heads = (group + p.head_splits - 1) / p.head_splits;
  s.kv_head = lane::block_x() / p.head_splits;
  const int skip = lane::block_x() % p.head_splits * heads;
  if (skip >= group) return;
  s.head = s.kv_head * group + skip;
  s.heads = group - skip < heads ? group - skip : heads;
  s.length = p.batch.positions[first_row] + rows;
  const Attend<kv, size> attend{
      p, s, reinterpret_cast<float*>(queries), reinterpret_cast<float*>(values), scores, chunks, ranges};
  attend.load_queries();
  const std::int32_t* pages = p.batch.pages + s.sequence * p.batch.page_stride;
  const int first = visible_positions(a, p.batch.positions[s.row], s.length).first / attend_chunk;
  const int last =
      (visible_positions(a, p.batch.positions[s.row + s.rows - 1], s.length).end - 1) / attend_chunk;
  attend.run(pages, first, last);
}

RF_KERNEL(rf_attend_merge, AttendParams, 128, 8) {
  RF_SHARED(Partial, partials, 128);
  RF_SHARED(Factors, factors, 128);
  const AttentionView& a = p.attention;
  const int head = lane::block_x(), sequence = lane::block_y(), thread = lane::thread();
  lane::wait_for_previous();
  lane::let_next_start();
  if (sequence >= p.batch.counts[2]) return;
  const int row = p.batch.first_rows[sequence], rows = p.batch.first_rows[sequence + 1] - row;
  if (skipped(p, rows)) return;
  const int position = p.batch.positions[row];
  const Visible visible = visible_positions(a, position, position + rows);
  const int count = (visible.end - 1) / attend_chunk - visible.first / attend_chunk + 1,
            stride = 2 + a.value_dim;
  const float* all =
      p.partials + (static_cast<std::int64_t>(sequence) * a.heads + head) * p.max_chunks * stride;
  float acc[5] = {};
  Partial total{0, 0};
  for (int first = 0; first < count; first += 128) {
    // Each thread finds the factors of one chunk, from the largest score before it and with it.
    const int end = count - first < 128 ? count - first : 128;
    const float* own = all + static_cast<std::int64_t>(first + thread) * stride;
    lane::barrier();
    partials[thread] = thread < end ? Partial{own[0], own[1]} : Partial{0, 0};
    lane::barrier();
    Partial before = total;
    for (int c = 0; c < thread; ++c) {
      const Partial next = partials[c];
      if (next.weight == 0) continue;
      before = {before.weight == 0 || next.largest > before.largest ? next.largest : before.largest, 1};
    }
    factors[thread] = merge(before, partials[thread]);
    lane::barrier();
    RF_UNROLL_BY(4)
    for (int c = 0; c < end; ++c) {
      const Factors f = factors[c];
      const Partial next = partials[c];
      if (next.weight != 0) {
        total.largest = total.weight == 0 || next.largest > total.largest ? next.largest : total.largest;
        total.weight = f.into == 0 ? next.weight : total.weight * f.into + next.weight * f.next;
      }
      RF_UNROLL
      for (int i = 0; i < 5; ++i) {
        const int d = thread + 128 * i;
        if (d < a.value_dim)
          acc[i] = merged(acc[i], all[static_cast<std::int64_t>(first + c) * stride + 2 + d], f);
      }
    }
  }
  const float inverse = inverse_of(a, total, head);
  RF_UNROLL
  for (int i = 0; i < 5; ++i) {
    const int d = thread + 128 * i;
    if (d < a.value_dim)
      p.out[row * p.out_stride + head * a.value_dim + d] = acc[i] * inverse * gate_of(p, row, head, d);
  }
}

#define RF_ATTEND(kv, size)                                  \
  RF_KERNEL(rf_attend_##kv##_##size, AttendParams, 256, 2) { \
    attend<KvKind::kv, size>(p);                             \
  }
#define RF_ATTEND_SIZES(kv) RF_ATTEND(kv, 128) RF_ATTEND(kv, 256) RF_ATTEND(kv, 576)
RF_ATTEND_SIZES(f32)
RF_ATTEND_SIZES(f16)
RF_ATTEND_SIZES(q8_0)
RF_ATTEND_SIZES(q4_0)

}  // namespace rf::gpu
