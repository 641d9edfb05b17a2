// Attention by plain multiply and add.
//
// A chunk: four groups of 64 threads score a quarter of the queries each; then eight groups of 32 lanes
// soften and weigh the values of every eighth query.
#pragma once
#include "gpu/kernels/attend.h"

namespace rf::gpu {

template <KvKind kv, int size, int most_queries>
class PlainAttend {
  static constexpr int per = unit_elements<kv>, own = most_queries / 4, weighed = most_queries / 8;
  static constexpr int wide = (size + 127) / 128;  // times 4 elements of a value that a lane has

  // LDS, in floats: [most] queries, [4608] values, [most][64] scores, then Partials and Visibles of queries.
  static constexpr int values_at = most_queries * query_floats(size), scores_at = values_at + 4608,
                       chunks_at = scores_at + 64 * most_queries, ranges_at = chunks_at + 2 * most_queries;

 public:
  static constexpr int most = most_queries, lds_floats = ranges_at + 2 * most;
  static constexpr float weight_unit = 1;

  RF_DEVICE PlainAttend(const AttendParams& params, const Share& own_share, Four* lds)
      : p(params),
        share(own_share),
        queries(reinterpret_cast<float*>(lds)),
        values(queries + values_at),
        scores(queries + scores_at),
        chunks(reinterpret_cast<Partial*>(queries + chunks_at)),
        ranges(reinterpret_cast<Visible*>(queries + ranges_at)) {}

  // Of one row: where eight groups of 32 lanes prepare a head each, and where a ready one goes.
  RF_DEVICE float* scratch() const { return values; }
  RF_DEVICE float* query(int query) const { return queries + query * query_floats(size); }

  // All chunks of a share of several rows, to the output.
  RF_DEVICE void run(const std::int32_t* pages, const Visible& all) const {
    const int stride = query_floats(p.attention.key_dim);
    for (int i = lane::thread(); i < share.queries() * stride; i += 256) {
      const int n = i / stride;
      const std::int64_t number =
          static_cast<std::int64_t>(share.row_of(n)) * p.attention.heads + share.head_of(n);
      query(n)[i % stride] = p.queries[number * stride + i % stride];
    }
    find_ranges();
    float sums[weighed][4 * wide] = {}, given[weighed][4 * wide];
    Partial total[weighed] = {};
    RF_NO_UNROLL
    for (int c = all.first; c < all.end; ++c) {
      give_chunk(pages, c, given);
      RF_UNROLL
      for (int j = 0; j < weighed; ++j) {
        const int query = lane::thread() / 32 + 8 * j;
        if (query >= share.queries()) continue;
        const Factors f = merge(total[j], chunks[query]);
        RF_UNROLL
        for (int i = 0; i < 4 * wide; ++i) sums[j][i] = merged(sums[j][i], given[j][i], f);
      }
      lane::barrier();
    }
    each(sums, [&](int j, int query) RF_INLINE {
      float* to = output_of(p, share, query);
      const float inverse = inverse_of(p.attention, total[j], share.head_of(query), weight_unit);
      return [=, this](int d, float sum) RF_INLINE { to[d] = sum * inverse * gate_of(p, share, query, d); };
    });
  }

  // One chunk: to(query, its Partial) gives what takes the query's sums, as to(...)(dim, sum).
  template <class To>
  RF_DEVICE void chunk(const std::int32_t* pages, int number, To to) const {
    float given[weighed][4 * wide];
    find_ranges();
    give_chunk(pages, number, given);
    each(given, [&](int, int query) RF_INLINE { return to(query, chunks[query]); });
  }

 private:
  RF_DEVICE void find_ranges() const {
    if (lane::thread() < share.queries())
      ranges[lane::thread()] =
          visible_positions(p.attention, p.batch.positions[share.row_of(lane::thread())], share.length);
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
            const float* q = query(quarter + 4 * j) + u * per;
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
      const int number = quarter + 4 * j;
      if (number >= count) break;
      const Visible visible = ranges[number];
      float s = capped(acc[j] * a.scale, a.softcap);
      if (a.slopes != nullptr)
        s -= a.slopes[share.head_of(number)] * distance(p.batch.positions[share.row_of(number)], position);
      scores[64 * number + in_chunk] =
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

  // start(j, query)(element, sum) of all sums.
  template <class Start>
  RF_DEVICE void each(const float (&sums)[weighed][4 * wide], Start start) const {
    const int group = lane::thread() >> 5, in_group = lane::thread() & 31;
    RF_UNROLL
    for (int j = 0; j < weighed; ++j) {
      if (group + 8 * j >= share.queries()) continue;
      const auto to = start(j, group + 8 * j);
      RF_UNROLL
      for (int part = 0; part < wide; ++part) {
        const int d = 4 * in_group + 128 * part;
        if (d >= p.attention.value_dim) continue;  // a multiple of 4
        RF_UNROLL
        for (int i = 0; i < 4; ++i) to(d + i, sums[j][4 * part + i]);
      }
    }
  }
  // What a chunk gives under its own largest score goes to `given` and `chunks`.
  RF_DEVICE void give_chunk(const std::int32_t* pages, int number, float (&given)[weighed][4 * wide]) const {
    load_first_values(pages, number * attend_chunk);
    score(pages, number * attend_chunk);
    soften();
    weigh(pages, number * attend_chunk, given);
  }

  const AttendParams& p;
  Share share;
  float *queries, *values, *scores;  // LDS
  Partial* chunks;                   // what each query's scores add up to
  Visible* ranges;                   // of positions that each query sees
};

}  // namespace rf::gpu
