// Attention by the matrix unit of halves, over caches of f16, q8_0 and q4_0.
//
// Queries and weights are split into two halves each, one what the other leaves, so that products keep f32's
// precision. Keys and values are the halves of the cache, or codes, which halves hold exactly: the scales of
// keys are multiplied in after the products of their 32 elements, those of values before, into the weights.
//
// A stage is 64 positions x 128 dims of keys or values in LDS, ready to be operands. Either each wave has
// tiles of 16 queries of its own, and all of their scores, weights and values; or one tile is shared: each
// wave then scores 16 positions, turns all scores into weights, and weighs every so many-th 16 dims of the
// values. What a query gets is the same to the bit.
#pragma once
#include "gpu/kernels/attend.h"

namespace rf::gpu {

template <class Unit, KvKind kv, int size, int most_queries>
class HalfAttend {
  static constexpr int waves = 256 / lane::wave, per = unit_elements<kv>, stage_units = 128 / per;
  static constexpr bool scaled = has_scales<kv>, shared = most_queries <= 16,
                        one_row = most_queries == attend_row_heads;
  static constexpr int own_tiles = shared ? 1 : most_queries / 16 / waves;
  static constexpr int stages = (size + 127) / 128, value_tiles = shared ? 8 / waves : 8;  // of a stage
  static constexpr int stages_at_once = one_row ? 1 : stages, slices_at_once = shared ? 1 : 4;  // unrolled
  static constexpr int score_stride = 72;
  // LDS, in floats. Of one row, the stage also has eight heads while they are prepared.
  static constexpr int stage_floats = one_row && 8 * size > 4096 ? 8 * size : 4096,
                       scale_floats = scaled ? 256 : 0, values_at = shared ? 0 : stage_floats + scale_floats,
                       scores_at = values_at + stage_floats + scale_floats,
                       queries_at = scores_at + (shared ? most_queries * score_stride : 0);
  static_assert(lane::wave >= 32 && 4 <= waves && (shared || own_tiles > 0));

 public:
  using Operand = typename Unit::Operand;
  static constexpr int most = most_queries;
  static constexpr int lds_floats = queries_at + (one_row ? most * query_floats(size) : 0);
  static constexpr float weight_unit = 16384;  // weights fill halves well, down to 2^-28 of the largest

  RF_DEVICE HalfAttend(const AttendParams& p, const Share& share, Four* lds)
      : p_(p), share_(share), lds_(reinterpret_cast<float*>(lds)) {}

  // Of one row: where eight groups of 32 lanes prepare a head each, and where a ready one goes.
  RF_DEVICE float* scratch() const { return lds_; }
  RF_DEVICE float* query(int query) const { return lds_ + queries_at + query * query_floats(size); }

  // All chunks of a share of several rows, to the output.
  RF_DEVICE void run(const std::int32_t* pages, const Visible& chunks) const {
    if constexpr (shared)
      run_shared(pages, chunks);
    else
      run_alone(pages, chunks);
  }

  // One chunk: to(query, its Partial) gives what takes the query's sums, as to(...)(dim, sum).
  template <class To>
  RF_DEVICE void chunk(const std::int32_t* pages, int number, To to) const {
    const Tile own = tile(0);
    Fetched values;
    const Weights weights = weights_of_all(own, pages, number, values);
    weigh_stages(weights, pages, number, values, [&](int, int dim, const float(&given)[Unit::sums]) {
      RF_UNROLL
      for (int r = 0; r < Unit::rows; ++r)
        if (own.query[r] < share_.queries()) give(r, dim, given, to(own.query[r], weights.own[r]));
    });
  }

 private:
  // 16 queries, as a lane has part of them.
  struct Tile {
    int query[Unit::rows];                     // of its sums; those beyond the last see nothing
    int first[Unit::rows], count[Unit::rows];  // positions that it sees
    float factor[Unit::rows];                  // of its scores
    const std::uint8_t* operand[Unit::parts];  // its part of the queries
    Visible chunks;                            // that any of them sees
  };
  // A tile's weights, ready for products unless they wait for scales, and what they add up to.
  struct Weights {
    Partial own[Unit::rows];
    Operand high[2], low[2];  // of 32 positions each
    float plain[4][Unit::sums];
  };
  // What a thread brings of a stage.
  struct Fetched {
    Four unit[per == 8 ? 4 : 2];
    float scale;
  };

  RF_DEVICE static int in_wave() { return lane::thread() % lane::wave; }
  RF_DEVICE static int wave() { return lane::thread() / lane::wave; }
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
    for (int r = 0; r < Unit::rows; ++r) {
      t.query[r] = begin + Unit::query(in_wave(), r);
      const int some = t.query[r] < queries ? t.query[r] : 0;
      const Visible seen = seen_by(some);
      t.first[r] = seen.first;
      t.count[r] = t.query[r] < queries ? seen.end - seen.first : 0;
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

  // Keys in LDS: unit u (8 dims) of position n at Four 64 u + (n ^ 2 (u & 3)).
  RF_DEVICE float* keys() const { return lds_; }
  RF_DEVICE float* key_scales() const { return lds_ + stage_floats; }
  RF_DEVICE float* values() const { return lds_ + values_at; }
  RF_DEVICE float* value_scales() const { return lds_ + values_at + stage_floats; }

  RF_DEVICE void fetch_keys(const std::int32_t* pages, int number, int stage, Fetched& f) const {
    const int position = number * attend_chunk + (lane::thread() & 63);
    const int units = static_cast<int>(kv_units(kv, p_.attention.key_dim));
    const bool inside = position < share_.length;
    const Place place = place_of(p_.cache, pages, inside ? position : share_.length - 1, share_.kv_head);
    RF_UNROLL
    for (int n = 0; n < stage_units / 4; ++n) {
      const int unit = stage * stage_units + (lane::thread() >> 6) + 4 * n;
      f.unit[n] = {};
      if (inside && unit < units) f.unit[n] = lane::load4(key_unit(p_.cache, place, unit));
    }
    const int block = 4 * stage + (lane::thread() >> 6);
    f.scale = 0;
    if (scaled && inside && 32 * block < p_.attention.key_dim)
      f.scale = lane::half_to_float(*key_scale(p_.cache, place, block));
  }
  RF_DEVICE void put_keys(const Fetched& f) const {
    const int position = lane::thread() & 63;
    RF_UNROLL
    for (int n = 0; n < stage_units / 4; ++n) {
      const int unit = ((lane::thread() >> 6) + 4 * n) * (per / 8);
      float code[per];
      if constexpr (scaled) decode_unit<kv>(f.unit[n], 1.0f, code);
      RF_UNROLL
      for (int h = 0; h < per / 8; ++h) {
        Four halves = f.unit[n];
        RF_UNROLL
        for (int w = 0; scaled && w < 4; ++w)
          halves.w[w] = lane::pack_halves(code[8 * h + 2 * w], code[8 * h + 2 * w + 1]);
        reinterpret_cast<Four*>(keys())[64 * (unit + h) + (position ^ 2 * ((unit + h) & 3))] = halves;
      }
    }
    if constexpr (scaled) key_scales()[64 * (lane::thread() >> 6) + position] = f.scale;
  }

  // Two neighbouring positions of a unit of values; false: there are none for this thread.
  RF_DEVICE static bool value_task(int n, int& unit, int& pair) {
    const int i = lane::thread() + 256 * n;
    unit = (i & 1) + 2 * (i >> 6);
    pair = i >> 1 & 31;
    return i < 32 * stage_units;
  }
  static constexpr int value_tasks = stage_units < 8 ? 1 : stage_units / 8;

  RF_DEVICE void fetch_values(const std::int32_t* pages, int number, int stage, Fetched& f) const {
    const int first = number * attend_chunk;
    const int units = static_cast<int>(kv_units(kv, p_.attention.value_dim));
    RF_UNROLL
    for (int n = 0; n < value_tasks; ++n) {
      int unit, pair;
      const bool some = value_task(n, unit, pair);
      unit += stage * stage_units;
      RF_UNROLL
      for (int i = 0; i < 2; ++i) {
        const int position = first + 2 * pair + i;
        f.unit[2 * n + i] = {};
        if (some && position < share_.length && unit < units)
          f.unit[2 * n + i] =
              lane::load4(value_unit(p_.cache, place_of(p_.cache, pages, position, share_.kv_head), unit));
      }
    }
    const int position = first + (lane::thread() & 63), block = 4 * stage + (lane::thread() >> 6);
    f.scale = 0;
    if (scaled && position < share_.length && 32 * block < p_.attention.value_dim)
      f.scale = lane::half_to_float(
          *value_scale(p_.cache, place_of(p_.cache, pages, position, share_.kv_head), block));
  }

  // Values in LDS, turned: of each dim 64 positions, pair m of 32 as the operand has it, in 8 units that
  // change places from dim to dim.
  RF_DEVICE static int value_at(int dim, int unit) {
    return 8 * dim + (unit ^ (((dim ^ dim >> 3) & 1) << 2) ^ (dim >> 1 & 3));
  }
  RF_DEVICE void put_values(const Fetched& f) const {
    RF_UNROLL
    for (int n = 0; n < value_tasks; ++n) {
      int unit, pair;
      if (!value_task(n, unit, pair)) break;
      const int place = Unit::place(pair & 15);
      const Four &a = f.unit[2 * n], &b = f.unit[2 * n + 1];
      float code[2][per];
      if constexpr (scaled) decode_unit<kv>(a, 1.0f, code[0]), decode_unit<kv>(b, 1.0f, code[1]);
      RF_UNROLL
      for (int e = 0; e < per; ++e) {
        std::uint32_t both;
        if constexpr (scaled)
          both = lane::pack_halves(code[0][e], code[1][e]);
        else
          both = lane::select_bytes(a.w[e >> 1], b.w[e >> 1], (e & 1) != 0 ? 0x07060302 : 0x05040100);
        reinterpret_cast<std::uint32_t*>(
            values())[4 * value_at(per * unit + e, 4 * (pair >> 4) + (place >> 2)) + (place & 3)] = both;
      }
    }
    if constexpr (scaled) value_scales()[lane::thread()] = f.scale;
  }

  // sums += products of the stage's dims with 16 positions each, from tile `first_tile` on.
  template <int tiles>
  RF_DEVICE void score(const Tile& own, int stage, int first_tile, float (&sums)[tiles][Unit::sums]) const {
    const int plane = 2 * dims(), slices = dims() / 32 - 4 * stage;
    const auto* units = reinterpret_cast<const Four*>(keys());
    RF_UNROLL_BY(slices_at_once)
    for (int slice = 0; slice < 4; ++slice) {
      if (slice >= slices) break;
      Operand high, low;
      RF_UNROLL
      for (int n = 0; n < Unit::parts; ++n) {
        const std::uint8_t* from = own.operand[n] + 64 * (4 * stage + slice);
        high.part[n] = lane::load4(from);
        low.part[n] = lane::load4(from + plane);
      }
      RF_UNROLL
      for (int t = 0; t < tiles; ++t) {
        const int first = 16 * (first_tile + t);
        Operand key;
        RF_UNROLL
        for (int n = 0; n < Unit::parts; ++n) {
          const int unit = Unit::unit(in_wave(), n);
          key.part[n] = lane::load4(units + 64 * (4 * slice + unit) + first +
                                    (Unit::row(in_wave(), n) ^ 2 * (unit & 3)));
        }
        float given[Unit::sums] = {};
        float(&to)[Unit::sums] = scaled ? given : sums[t];
        Unit::multiply(to, low, key);
        Unit::multiply(to, high, key);
        RF_UNROLL
        for (int i = 0; scaled && i < Unit::sums; ++i)
          sums[t][i] = __builtin_fmaf(given[i], key_scales()[64 * slice + first + Unit::other(in_wave(), i)],
                                      sums[t][i]);
      }
    }
  }

  // Products with positions from `first` on become scores; minus infinity where a query does not see.
  template <int tiles>
  RF_DEVICE void finish_scores(const Tile& own, int first, float (&sums)[tiles][Unit::sums]) const {
    const AttentionView& a = p_.attention;
    const auto each = [&](auto change) {
      RF_UNROLL
      for (int t = 0; t < tiles; ++t) RF_UNROLL
      for (int i = 0; i < Unit::sums; ++i)
        sums[t][i] = change(sums[t][i], Unit::row_of(i), first + 16 * t + Unit::other(in_wave(), i));
    };
    each([&](float s, int r, int) { return s * own.factor[r]; });
    if (a.softcap > 0) each([&](float s, int, int) { return capped(s, a.softcap); });
    if (a.slopes != nullptr)
      each([&](float s, int r, int position) {
        const int query = own.query[r] < share_.queries() ? own.query[r] : 0;
        return with_slope(p_, share_, query, position, s);
      });
    each([&](float s, int r, int position) {
      const auto after = static_cast<unsigned>(position - own.first[r]);
      return after < static_cast<unsigned>(own.count[r]) ? s : minus_infinity;
    });
  }

  RF_DEVICE static void split(const float (&v)[4][Unit::sums], Operand (&high)[2], Operand (&low)[2]) {
    RF_UNROLL
    for (int slice = 0; slice < 2; ++slice) {
      std::uint32_t upper[2][Unit::sums / 2], rest[2][Unit::sums / 2];
      RF_UNROLL
      for (int t = 0; t < 2; ++t) RF_UNROLL
      for (int j = 0; j < Unit::sums / 2; ++j) {
        const float a = v[2 * slice + t][2 * j], b = v[2 * slice + t][2 * j + 1];
        const std::uint32_t both = upper[t][j] = lane::pack_halves(a, b);
        rest[t][j] = lane::pack_halves(a - lane::half_to_float(static_cast<std::uint16_t>(both)),
                                       b - lane::half_to_float(static_cast<std::uint16_t>(both >> 16)));
      }
      high[slice] = Unit::turn(upper[0], upper[1]);
      low[slice] = Unit::turn(rest[0], rest[1]);
    }
  }

  // Over all lanes that share query rows.
  template <class Join>
  RF_DEVICE static float over_row(float v, Join join) {
    RF_UNROLL
    for (int m = Unit::lanes_from; m < Unit::lanes_to; m *= 2) v = join(v, lane::shuffle_xor(v, m));
    return v;
  }
  RF_DEVICE static float larger(float a, float b) { return a > b ? a : b; }

  // Scores of all 64 positions become weights exp(score - largest) * weight_unit.
  RF_DEVICE Weights weights_of(float (&scores)[4][Unit::sums]) const {
    Weights w;
    float top[Unit::rows], sum[Unit::rows] = {};
    RF_UNROLL
    for (int r = 0; r < Unit::rows; ++r) {
      top[r] = minus_infinity;
      RF_UNROLL
      for (int t = 0; t < 4; ++t) RF_UNROLL
      for (int i = 0; i < Unit::sums; ++i)
        if (Unit::row_of(i) == r) top[r] = larger(top[r], scores[t][i]);
      top[r] = over_row(top[r], larger);
      top[r] = top[r] == minus_infinity ? 0.0f : top[r];
    }
    RF_UNROLL
    for (int t = 0; t < 4; ++t) RF_UNROLL
    for (int i = 0; i < Unit::sums; ++i) {
      const int r = Unit::row_of(i);
      w.plain[t][i] = lane::exp2((scores[t][i] - top[r]) * 1.44269504f) * weight_unit;
      sum[r] += w.plain[t][i];
    }
    RF_UNROLL
    for (int r = 0; r < Unit::rows; ++r)
      w.own[r] = {top[r], over_row(sum[r], [](float a, float b) { return a + b; })};
    if constexpr (!scaled) split(w.plain, w.high, w.low);
    return w;
  }

  // The weights times the scales of 32 dims of the stage's values, over the power of two that is returned.
  RF_DEVICE float scale_weights(Weights& w, int block) const {
    float product[4][Unit::sums], top = 0;
    RF_UNROLL
    for (int t = 0; t < 4; ++t) RF_UNROLL
    for (int i = 0; i < Unit::sums; ++i) {
      const float scale = value_scales()[64 * block + 16 * t + Unit::other(in_wave(), i)];
      product[t][i] = w.plain[t][i] * scale;
      top = larger(top, scale < 0 ? -scale : scale);
    }
    const std::uint32_t exponent = bits_of_float(over_row(top, larger)) >> 23;
    const std::uint32_t kept = exponent < 1 ? 1 : exponent > 253 ? 253 : exponent;
    const float inverse = __builtin_bit_cast(float, (254 - kept) << 23);
    RF_UNROLL
    for (int t = 0; t < 4; ++t) RF_UNROLL
    for (int i = 0; i < Unit::sums; ++i) product[t][i] *= inverse;
    split(product, w.high, w.low);
    return __builtin_bit_cast(float, kept << 23);
  }

  // each(number among the wave's tiles of the stage, dim, sums): what the stage's values give under the
  // weights.
  template <class Each>
  RF_DEVICE void weigh(Weights& w, int stage, Each each) const {
    constexpr int at_once = shared ? 1 : 2;
    const auto* units = reinterpret_cast<const Four*>(values());
    RF_UNROLL
    for (int v = 0; v < value_tiles; v += at_once) {
      const int first = 16 * (shared ? wave() + waves * v : v), dim = 128 * stage + first;
      if (dim >= p_.attention.value_dim) break;
      float given[at_once][Unit::sums] = {}, factor = 1;
      if constexpr (scaled) factor = scale_weights(w, first / 32);
      RF_UNROLL
      for (int slice = 0; slice < 2; ++slice) RF_UNROLL
      for (int j = 0; j < at_once; ++j) {
        Operand value;
        RF_UNROLL
        for (int n = 0; n < Unit::parts; ++n)
          value.part[n] = lane::load4(units + value_at(first + 16 * j + Unit::row(in_wave(), n),
                                                       4 * slice + Unit::unit(in_wave(), n)));
        Unit::multiply(given[j], w.low[slice], value);
        Unit::multiply(given[j], w.high[slice], value);
      }
      RF_UNROLL
      for (int j = 0; j < at_once; ++j) {
        RF_UNROLL
        for (int i = 0; scaled && i < Unit::sums; ++i) given[j][i] *= factor;
        each(v + j, dim + 16 * j, given[j]);
      }
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
    fetch_keys(pages, number, 0, keys);
    fetch_values(pages, number, 0, values);
    float sums[1][Unit::sums] = {};
    RF_NO_UNROLL
    for (int stage = 0; stage < key_stages; ++stage) {
      if (stage > 0) lane::barrier();  // the stage before has been read
      put_keys(keys);
      lane::barrier();
      if (stage + 1 < key_stages) fetch_keys(pages, number, stage + 1, keys);
      if (wave() < 4) score(own, stage, wave(), sums);
    }
    float* scores = lds_ + scores_at;
    if (wave() < 4) {
      finish_scores(own, number * attend_chunk + 16 * wave(), sums);
      RF_UNROLL
      for (int i = 0; i < Unit::sums; ++i)
        if (own.query[Unit::row_of(i)] < most)
          scores[score_stride * own.query[Unit::row_of(i)] + 16 * wave() + Unit::other(in_wave(), i)] =
              sums[0][i];
    }
    lane::barrier();
    put_values(values);
    float all[4][Unit::sums];
    RF_UNROLL
    for (int t = 0; t < 4; ++t) RF_UNROLL
    for (int i = 0; i < Unit::sums; ++i)
      all[t][i] = scores[score_stride * (own.query[Unit::row_of(i)] & (most - 1)) + 16 * t +
                         Unit::other(in_wave(), i)];
    const Weights w = weights_of(all);
    lane::barrier();
    return w;
  }

  // each(number among the wave's tiles, dim, sums), over all stages of the values.
  template <class Each>
  RF_DEVICE void weigh_stages(Weights w, const std::int32_t* pages, int number, Fetched& values,
                              Each each) const {
    RF_UNROLL_BY(stages_at_once)
    for (int stage = 0; stage < stages; ++stage) {
      if (128 * stage >= p_.attention.value_dim) break;
      const bool more = stage + 1 < stages && 128 * (stage + 1) < p_.attention.value_dim;
      if (more) fetch_values(pages, number, stage + 1, values);
      weigh(w, stage, [&](int v, int dim, const float(&given)[Unit::sums]) {
        each(stage * value_tiles + v, dim, given);
      });
      if (!more) break;
      lane::barrier();
      put_values(values);
      lane::barrier();
    }
  }

  // Sums of all chunks so far, and those of one more.
  struct Sum {
    Partial total[Unit::rows];
    Factors factors[Unit::rows];
    float values[stages * value_tiles][Unit::sums];

    RF_DEVICE void add(const Weights& w) {
      RF_UNROLL
      for (int r = 0; r < Unit::rows; ++r) factors[r] = merge(total[r], w.own[r]);
    }
    RF_DEVICE void add(int v, const float (&given)[Unit::sums]) {
      RF_UNROLL
      for (int i = 0; i < Unit::sums; ++i)
        values[v][i] = merged(values[v][i], given[i], factors[Unit::row_of(i)]);
    }
  };
  RF_DEVICE void finish(const Tile& own, const Sum& sum) const {
    RF_UNROLL
    for (int r = 0; r < Unit::rows; ++r) {
      if (own.query[r] >= share_.queries()) continue;
      const Output out(p_, share_, own.query[r], sum.total[r], weight_unit);
      RF_UNROLL
      for (int v = 0; v < stages * value_tiles; ++v) {
        const int dim = 16 * (shared ? v / value_tiles * 8 + wave() + waves * (v % value_tiles) : v);
        give(r, dim, sum.values[v], [&](int d, float value) { out.put(d, value); });
      }
    }
  }

  RF_DEVICE void run_shared(const std::int32_t* pages, const Visible& chunks) const {
    const Tile own = tile(0);
    Sum sum{};
    RF_NO_UNROLL
    for (int c = chunks.first; c < chunks.end; ++c) {
      Fetched values;
      const Weights weights = weights_of_all(own, pages, c, values);
      sum.add(weights);
      weigh_stages(weights, pages, c, values,
                   [&](int v, int, const float(&given)[Unit::sums]) { sum.add(v, given); });
      lane::barrier();
    }
    finish(own, sum);
  }

  // While keys are scored, values are under way; while these are weighed, the next keys.
  RF_DEVICE void run_alone(const std::int32_t* pages, const Visible& chunks) const {
    Tile own[own_tiles];
    Sum sum[own_tiles] = {};
    RF_UNROLL
    for (int t = 0; t < own_tiles; ++t) own[t] = tile(wave() * own_tiles + t);
    Fetched fetched;
    fetch_keys(pages, chunks.first, 0, fetched);
    RF_NO_UNROLL
    for (int c = chunks.first; c < chunks.end; ++c) {
      const auto seen = [&](int t) { return c >= own[t].chunks.first && c < own[t].chunks.end; };
      put_keys(fetched);
      lane::barrier();
      fetch_values(pages, c, 0, fetched);
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
      put_values(fetched);
      lane::barrier();
      if (c + 1 < chunks.end) fetch_keys(pages, c + 1, 0, fetched);
      RF_UNROLL
      for (int t = 0; t < own_tiles; ++t)
        if (seen(t))
          weigh(weights[t], 0, [&](int v, int, const float(&given)[Unit::sums]) { sum[t].add(v, given); });
    }
    RF_UNROLL
    for (int t = 0; t < own_tiles; ++t) finish(own[t], sum[t]);
  }

  const AttendParams& p_;
  Share share_;
  float* lds_;
};

}  // namespace rf::gpu
