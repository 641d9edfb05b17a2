// Attention by the matrix unit of halves, over caches of f16, q8_0 and q4_0, for heads of up to 256.
//
// Queries and weights are split into two halves each, one what the other leaves, so that products keep f32's
// precision. Keys and values are the halves of the cache, or codes, which halves hold exactly: the scales of
// keys are multiplied in after the products of their 32 elements, those of values before, into the weights.
//
// Either each wave has tiles of 16 queries of its own, and all of their scores, weights and values; or one
// tile is shared: each wave then scores 16 positions, turns all scores into weights, and weighs every so
// many-th 16 dims of the values. What a query gets is the same to the bit.
#pragma once
#include <type_traits>

#include "gpu/kernels/attend_plain.h"
#include "gpu/kernels/attend_stage.h"

namespace rf::gpu {

template <class Unit, KvKind kv, int size, int most_queries>
class HalfAttend {
  static constexpr bool scaled = has_scales<kv>, shared = most_queries <= 16,
                        one_row = most_queries == attend_row_heads;
  static constexpr int waves = 256 / lane::wave, own_tiles = shared ? 1 : most_queries / 16 / waves;
  static constexpr int stage_dims = size < 128 ? size : 128, stages = (size + 127) / 128,
                       value_tiles = shared ? 8 / waves : stage_dims / 16;  // of a stage
  static constexpr int stages_at_once = one_row ? 1 : stages;               // unrolled
  // Of a lane, of queries that there may be.
  static constexpr int rows = one_row ? (Unit::rows + 1) / 2 : Unit::rows;
  static constexpr int score_stride = 72;
  using Keys = KeyStage<Unit, kv, stage_dims>;
  using Values = ValueStage<Unit, kv, stage_dims>;
  using Fetched = StageUnits<kv>;
  // LDS, in floats. Of one row, the stage also has eight heads while they are prepared.
  static constexpr int values_at = shared ? 0 : stage_floats<kv, stage_dims>,
                       scores_at = values_at + stage_floats<kv, stage_dims>,
                       queries_at = scores_at + (shared ? most_queries * score_stride : 0);
  static_assert(!one_row || 8 * size <= 32 * stage_dims);
  static_assert(lane::wave >= 32 && 4 <= waves && (shared || own_tiles > 0));

 public:
  using Operand = typename Unit::Operand;
  static constexpr int most = most_queries;
  static constexpr int lds_floats = queries_at + (one_row ? most * query_floats(size) : 0);
  static constexpr float weight_unit = 16384;  // weights fill halves well, down to 2^-28 of the largest

  RF_DEVICE HalfAttend(const AttendParams& p, const Share& share, Four* lds)
      : p_(p),
        share_(share),
        lds_(reinterpret_cast<float*>(lds)),
        keys_(p, share, lds_),
        values_(p, share, lds_ + values_at) {}

  // Of one row: where eight groups of 32 lanes prepare a head each, and where a ready one goes.
  RF_DEVICE float* scratch() const { return lds_; }
  RF_DEVICE float* query(int query) const { return lds_ + queries_at + query * query_floats(size); }

  // All chunks of a share of several rows, to the output.
  RF_DEVICE void run(const std::int32_t* pages, const Visible& chunks) {
    if constexpr (shared)
      run_shared(pages, chunks);
    else
      run_alone(pages, chunks);
  }

  // One chunk: to(query, its Partial) gives what takes the query's sums, as to(...)(dim, sum).
  template <class To>
  RF_DEVICE void chunk(const std::int32_t* pages, int number, To to) {
    thread_ = lane::fresh(thread_);
    const Tile own = tile(0);
    Fetched values;
    const Weights weights = weights_of_all(own, pages, number, values);
    weigh_stages(weights, pages, number, values,
                 [&](int, int dim, const float(&given)[Unit::sums]) RF_INLINE {
                   RF_UNROLL
                   for (int r = 0; r < rows; ++r)
                     if (own.query[r] < share_.queries())
                       give(r, dim, given, to(own.query[r], weights.own[r]));
                 });
  }

 private:
  // 16 queries, as a lane has part of them.
  struct Tile {
    int query[rows];                           // of its sums; those beyond the last see nothing
    int first[rows], count[rows];              // positions that it sees
    float factor[rows];                        // of its scores
    int position[rows];                        // its own,
    float slope[rows];                         // and what a distance from it costs
    const std::uint8_t* operand[Unit::parts];  // its part of the queries
    Visible chunks;                            // that any of them sees
  };
  // A tile's weights, ready for products or, where they wait for scales, plain, and what they add up to.
  struct Weights {
    Partial own[rows];
    Operand high[2], low[2];  // of 32 positions each
    float plain[4][Unit::sums];
  };
  RF_DEVICE int in_wave() const { return thread_ % lane::wave; }
  RF_DEVICE static int wave() { return lane::uniform(lane::thread() / lane::wave); }
  RF_DEVICE int dims() const { return (p_.attention.key_dim + 31) / 32 * 32; }

  RF_DEVICE const float* record(int number) const {
    if constexpr (one_row) return query(number);
    const std::int64_t row = share_.row_of(number);
    return p_.queries +
           (row * p_.attention.heads + share_.head_of(number)) * query_floats(p_.attention.key_dim);
  }
  RF_DEVICE Visible seen_by(int number) const {
    return visible_positions(p_.attention, p_.batch.positions[share_.row_of(number)], share_.length);
  }

  RF_DEVICE Tile tile(int number) const {
    Tile t;
    const int queries = share_.queries(), begin = 16 * number;
    RF_UNROLL
    for (int r = 0; r < rows; ++r) {
      t.query[r] = begin + Unit::query(in_wave(), r);
      const int some = t.query[r] < queries ? t.query[r] : 0;
      const Visible seen = seen_by(some);
      t.first[r] = seen.first;
      t.count[r] = t.query[r] < queries ? seen.end - seen.first : 0;
      t.position[r] = p_.batch.positions[share_.row_of(some)];
      t.slope[r] = p_.attention.slopes != nullptr ? p_.attention.slopes[share_.head_of(some)] : 0.0f;
      t.factor[r] = record(some)[dims()] * p_.attention.scale;
    }
    RF_UNROLL
    for (int n = 0; n < Unit::parts; ++n) {
      const int query = begin + Unit::row(in_wave(), n);
      t.operand[n] = reinterpret_cast<const std::uint8_t*>(record(query < queries ? query : 0)) +
                     16 * Unit::unit(in_wave(), n);
    }
    const int last = begin + 15 < queries ? begin + 15 : queries - 1;
    t.chunks = begin < queries
                   ? Visible{seen_by(begin).first / attend_chunk, (seen_by(last).end - 1) / attend_chunk + 1}
                   : Visible{0, 0};
    return t;
  }

  // sums += products of 32 of the stage's dims with 16 positions each, from tile `first_tile` on.
  template <int tiles>
  RF_DEVICE void score_slice(const Tile& own, int stage, int slice, int first_tile,
                             float (&sums)[tiles][Unit::sums]) const {
    Operand high, low;
    RF_UNROLL
    for (int n = 0; n < Unit::parts; ++n) {
      const std::uint8_t* from = own.operand[n] + 64 * (4 * stage + slice);
      high.part[n] = lane::load4(from);
      low.part[n] = lane::load4(from + 2 * dims());
    }
    RF_UNROLL
    for (int t = 0; t < tiles; ++t) {
      const int first = 16 * (first_tile + t);
      lane::in_order();
      const Operand key = keys_.operand(in_wave(), slice, first);
      float given[Unit::sums] = {};
      float(&to)[Unit::sums] = scaled ? given : sums[t];
      Unit::multiply(to, low, key);
      Unit::multiply(to, high, key);
      RF_UNROLL
      for (int i = 0; scaled && i < Unit::sums; ++i)
        sums[t][i] =
            __builtin_fmaf(given[i], keys_.scale(slice, first + Unit::other(in_wave(), i)), sums[t][i]);
    }
  }
  // Likewise of all of the stage's dims.
  template <int tiles>
  RF_DEVICE void score(const Tile& own, int stage, int first_tile, float (&sums)[tiles][Unit::sums]) const {
    const int left = dims() / 32 - 4 * stage, slices = left < 4 ? left : 4;
    RF_NO_UNROLL
    for (int slice = 0; slice < slices; ++slice) score_slice(own, stage, slice, first_tile, sums);
  }

  // Products with positions from `first` on become scores; minus infinity where a query does not see.
  template <int tiles>
  RF_DEVICE void finish_scores(const Tile& own, int first, float (&sums)[tiles][Unit::sums]) const {
    const AttentionView& a = p_.attention;
    const auto each = [&](auto change) RF_INLINE {
      RF_UNROLL
      for (int t = 0; t < tiles; ++t) RF_UNROLL
      for (int i = 0; i < Unit::sums; ++i)
        if (Unit::row_of(i) < rows)
          sums[t][i] = change(sums[t][i], Unit::row_of(i), first + 16 * t + Unit::other(in_wave(), i));
    };
    each([&](float s, int r, int) RF_INLINE { return s * own.factor[r]; });
    if (a.softcap > 0) each([&](float s, int, int) RF_INLINE { return capped(s, a.softcap); });
    if (a.slopes != nullptr)
      each([&](float s, int r, int position)
               RF_INLINE { return s - own.slope[r] * distance(own.position[r], position); });
    each([&](float s, int r, int position) RF_INLINE {
      const auto after = static_cast<unsigned>(position - own.first[r]);
      return after < static_cast<unsigned>(own.count[r]) ? s : minus_infinity;
    });
  }

  // 32 columns of query rows, from two products' sums.
  RF_DEVICE static void split(const float (&first)[Unit::sums], const float (&second)[Unit::sums],
                              Operand& high, Operand& low) {
    std::uint32_t upper[2][Unit::sums / 2], rest[2][Unit::sums / 2];
    RF_UNROLL
    for (int t = 0; t < 2; ++t) RF_UNROLL
    for (int j = 0; j < Unit::sums / 2; ++j) {
      const SplitPair pair =
          t == 0 ? split_pair(first[2 * j], first[2 * j + 1]) : split_pair(second[2 * j], second[2 * j + 1]);
      upper[t][j] = pair.high, rest[t][j] = pair.low;
    }
    high = Unit::turn(upper[0], upper[1]);
    low = Unit::turn(rest[0], rest[1]);
  }

  RF_DEVICE static float larger(float a, float b) { return a > b ? a : b; }
  // The largest of all lanes that share query rows.
  RF_DEVICE static float over_row(float v) {
    RF_UNROLL
    for (int m = Unit::lanes_from; m < Unit::lanes_to; m *= 2) v = larger(v, lane::shuffle_xor(v, m));
    return v;
  }

  // Scores of all 64 positions become weights exp(score - largest) * weight_unit. The unit adds them up, so
  // that the order does not depend on which lane has which.
  RF_DEVICE Weights weights_of(float (&scores)[4][Unit::sums]) const {
    Weights w;
    float top[rows], sum[Unit::sums] = {};
    RF_UNROLL
    for (int r = 0; r < rows; ++r) {
      top[r] = minus_infinity;
      RF_UNROLL
      for (int t = 0; t < 4; ++t) RF_UNROLL
      for (int i = 0; i < Unit::sums; ++i)
        if (Unit::row_of(i) == r) top[r] = larger(top[r], scores[t][i]);
      top[r] = over_row(top[r]);
      top[r] = top[r] == minus_infinity ? 0.0f : top[r];
    }
    Operand ones;
    RF_UNROLL
    for (int n = 0; n < Unit::parts; ++n) ones.part[n] = {{0x3c003c00, 0x3c003c00, 0x3c003c00, 0x3c003c00}};
    RF_UNROLL
    for (int t = 0; t < 4; ++t) RF_UNROLL
    for (int i = 0; i < Unit::sums; ++i) {
      const int r = Unit::row_of(i);
      w.plain[t][i] =
          r < rows ? lane::exp2((scores[t][i] - top[r < rows ? r : 0]) * 1.44269504f) * weight_unit : 0.0f;
    }
    RF_UNROLL
    for (int slice = 0; slice < 2; ++slice) {
      split(w.plain[2 * slice], w.plain[2 * slice + 1], w.high[slice], w.low[slice]);
      Unit::multiply(sum, w.low[slice], ones);
      Unit::multiply(sum, w.high[slice], ones);
    }
    RF_UNROLL
    for (int i = Unit::sums - 1; i >= 0; --i)
      if (Unit::row_of(i) < rows) w.own[Unit::row_of(i)] = {top[Unit::row_of(i)], sum[i]};
    return w;
  }

  // The weights of 32 positions times the scales of 32 dims of the stage's values, over the power of two that
  // is returned.
  RF_DEVICE float scale_weights(const Weights& w, int block, int slice, Operand& high, Operand& low) const {
    float product[2][Unit::sums], top = 0;
    RF_UNROLL
    for (int t = 0; t < 2; ++t) RF_UNROLL
    for (int i = 0; i < Unit::sums; ++i) {
      const float scale = values_.scale(block, 32 * slice + 16 * t + Unit::other(in_wave(), i));
      product[t][i] = w.plain[2 * slice + t][i] * scale;
      top = larger(top, scale < 0 ? -scale : scale);
    }
    const std::uint32_t exponent = bits_of_float(over_row(top)) >> 23;
    const std::uint32_t kept = exponent < 1 ? 1 : exponent > 253 ? 253 : exponent;
    const float inverse = __builtin_bit_cast(float, (254 - kept) << 23);
    RF_UNROLL
    for (int t = 0; t < 2; ++t) RF_UNROLL
    for (int i = 0; i < Unit::sums; ++i) product[t][i] *= inverse;
    split(product[0], product[1], high, low);
    return __builtin_bit_cast(float, kept << 23);
  }

  // each(number among the wave's tiles of the stage, dim, sums): what the stage's values give under the
  // weights.
  template <class Each>
  RF_DEVICE void weigh(const Weights& w, int stage, Each each) const {
    constexpr int at_once = shared || Unit::parts > 2 ? 1 : 2;  // as registers allow
    RF_UNROLL
    for (int v = 0; v < value_tiles; v += at_once) {
      const int first = 16 * (shared ? wave() + waves * v : v), dim = 128 * stage + first;
      float given[at_once][Unit::sums] = {};
      RF_UNROLL
      for (int slice = 0; slice < 2; ++slice) {
        lane::in_order();
        Operand high = w.high[slice], low = w.low[slice];
        float factor = 1;
        if constexpr (scaled) factor = scale_weights(w, first / 32, slice, high, low);
        RF_UNROLL
        for (int j = 0; j < at_once; ++j) {
          const Operand value = values_.operand(in_wave(), slice, first + 16 * j);
          float part[Unit::sums] = {};
          float(&to)[Unit::sums] = scaled ? part : given[j];
          Unit::multiply(to, low, value);
          Unit::multiply(to, high, value);
          RF_UNROLL
          for (int i = 0; scaled && i < Unit::sums; ++i)
            given[j][i] = __builtin_fmaf(part[i], factor, given[j][i]);
        }
      }
      RF_UNROLL
      for (int j = 0; j < at_once; ++j) each(v + j, dim + 16 * j, given[j]);
    }
  }

  // to(dim, sum) of a query row's part of 16 dims from `dim` on.
  template <class To>
  RF_DEVICE void give(int r, int dim, const float (&sums)[Unit::sums], To to) const {
    RF_UNROLL
    for (int i = 0; i < Unit::sums; ++i) {
      const int d = dim + Unit::other(in_wave(), i);
      if (Unit::row_of(i) == r && d < p_.attention.value_dim) to(d, sums[i]);
    }
  }

  // A shared tile's weights of a chunk, of which every wave scores a part; the first stage of values lies in
  // LDS afterwards.
  RF_DEVICE Weights weights_of_all(const Tile& own, const std::int32_t* pages, int number,
                                   Fetched& values) const {
    const int key_stages = (p_.attention.key_dim + 127) / 128;
    Fetched keys;
    keys_.fetch(thread_, pages, number, 0, keys);
    values_.fetch(thread_, pages, number, 0, values);
    float sums[1][Unit::sums] = {};
    RF_NO_UNROLL
    for (int stage = 0; stage < key_stages; ++stage) {
      if (stage > 0) lane::barrier();  // the stage before has been read
      keys_.put(thread_, keys);
      lane::barrier();
      if (stage + 1 < key_stages) keys_.fetch(thread_, pages, number, stage + 1, keys);
      if (wave() < 4) score(own, stage, wave(), sums);
    }
    float* scores = lds_ + scores_at;
    if (wave() < 4) {
      finish_scores(own, number * attend_chunk + 16 * wave(), sums);
      RF_UNROLL
      for (int i = 0; i < Unit::sums; ++i)
        if (Unit::row_of(i) < rows && own.query[Unit::row_of(i)] < most)
          scores[score_stride * own.query[Unit::row_of(i)] + 16 * wave() + Unit::other(in_wave(), i)] =
              sums[0][i];
    }
    lane::barrier();
    values_.put(thread_, values);
    float all[4][Unit::sums];
    RF_UNROLL
    for (int t = 0; t < 4; ++t) RF_UNROLL
    for (int i = 0; i < Unit::sums; ++i)
      if (Unit::row_of(i) < rows)
        all[t][i] = scores[score_stride * (own.query[Unit::row_of(i)] & (most - 1)) + 16 * t +
                           Unit::other(in_wave(), i)];
    const Weights w = weights_of(all);
    lane::barrier();
    return w;
  }

  // each(number among the wave's tiles, dim, sums), over all stages of the values.
  template <class Each>
  RF_DEVICE void weigh_stages(const Weights& w, const std::int32_t* pages, int number, Fetched& values,
                              Each each) {
    // Where sums of all stages are kept, leaving out the last would cost registers.
    const int used = one_row ? (p_.attention.value_dim + 127) / 128 : stages;
    RF_UNROLL_BY(stages_at_once)
    for (int stage = 0; stage < used; ++stage) {
      const bool more = stage + 1 < stages && stage + 1 < used;
      if (more) values_.fetch(thread_, pages, number, stage + 1, values);
      weigh(w, stage, [&](int v, int dim, const float(&given)[Unit::sums]) RF_INLINE {
        each(stage * value_tiles + v, dim, given);
      });
      if (!more) continue;
      thread_ = lane::fresh(thread_);
      lane::barrier();
      values_.put(thread_, values);
      lane::barrier();
    }
  }

  // Sums of all chunks so far, and those of one more.
  struct Sum {
    Partial total[rows];
    Factors factors[rows];
    float values[stages * value_tiles][Unit::sums];

    RF_DEVICE void add(const Weights& w) {
      RF_UNROLL
      for (int r = 0; r < rows; ++r) factors[r] = merge(total[r], w.own[r]);
    }
    RF_DEVICE void add(int v, const float (&given)[Unit::sums]) {
      RF_UNROLL
      for (int i = 0; i < Unit::sums; ++i)
        values[v][i] = merged(values[v][i], given[i], factors[Unit::row_of(i)]);
    }
  };
  RF_DEVICE void finish(const Tile& own, const Sum& sum) const {
    RF_UNROLL
    for (int r = 0; r < rows; ++r) {
      if (own.query[r] >= share_.queries()) continue;
      const int query = own.query[r];
      float* to = output_of(p_, share_, query);
      const float inverse = inverse_of(p_.attention, sum.total[r], share_.head_of(query), weight_unit);
      RF_UNROLL
      for (int v = 0; v < stages * value_tiles; ++v) {
        const int dim = 16 * (shared ? v / value_tiles * 8 + wave() + waves * (v % value_tiles) : v);
        give(r, dim, sum.values[v],
             [&](int d, float value) RF_INLINE { to[d] = value * inverse * gate_of(p_, share_, query, d); });
      }
    }
  }

  RF_DEVICE void run_shared(const std::int32_t* pages, const Visible& chunks) {
    const Tile own = tile(0);
    Sum sum{};
    RF_NO_UNROLL
    for (int c = chunks.first; c < chunks.end; ++c) {
      thread_ = lane::fresh(thread_);
      Fetched values;
      const Weights weights = weights_of_all(own, pages, c, values);
      sum.add(weights);
      weigh_stages(weights, pages, c, values,
                   [&](int v, int, const float(&given)[Unit::sums]) RF_INLINE { sum.add(v, given); });
      lane::barrier();
    }
    finish(own, sum);
  }

  // While keys are scored, values are under way; while these are weighed, the next keys.
  RF_DEVICE void run_alone(const std::int32_t* pages, const Visible& chunks) {
    Tile own[own_tiles];
    Sum sum[own_tiles] = {};
    RF_UNROLL
    for (int t = 0; t < own_tiles; ++t) own[t] = tile(wave() * own_tiles + t);
    Fetched fetched;
    keys_.fetch(thread_, pages, chunks.first, 0, fetched);
    RF_NO_UNROLL
    for (int c = chunks.first; c < chunks.end; ++c) {
      thread_ = lane::fresh(thread_);
      const auto seen = [&](int t) RF_INLINE { return c >= own[t].chunks.first && c < own[t].chunks.end; };
      keys_.put(thread_, fetched);
      lane::barrier();
      values_.fetch(thread_, pages, c, 0, fetched);
      Weights weights[own_tiles];
      RF_UNROLL
      for (int t = 0; t < own_tiles; ++t) {
        if (!seen(t)) continue;
        float scores[4][Unit::sums] = {};
        score(own[t], 0, 0, scores);
        finish_scores(own[t], c * attend_chunk, scores);
        weights[t] = weights_of(scores);
        sum[t].add(weights[t]);
      }
      values_.put(thread_, fetched);
      lane::barrier();
      if (c + 1 < chunks.end) keys_.fetch(thread_, pages, c + 1, 0, fetched);
      RF_UNROLL
      for (int t = 0; t < own_tiles; ++t)
        if (seen(t))
          weigh(weights[t], 0,
                [&](int v, int, const float(&given)[Unit::sums]) RF_INLINE { sum[t].add(v, given); });
    }
    RF_UNROLL
    for (int t = 0; t < own_tiles; ++t) finish(own[t], sum[t]);
  }

  const AttendParams& p_;
  Share share_;
  float* lds_;
  Keys keys_;
  Values values_;
  int thread_ = lane::thread();  // afresh for each chunk
};

// Who attends over a cache and SIZE: so many queries at once by halves, or so many plainly.
template <KvKind kv, int size, int by_halves, int plainly>
using AttendWork = std::conditional_t<takes_halves(kv, size), HalfAttend<lane::HalfUnit, kv, size, by_halves>,
                                      PlainAttend<kv, size, plainly>>;

}  // namespace rf::gpu
