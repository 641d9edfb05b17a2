// Attention over cache pages: scores of a chunk of positions, softmax within it, weighted values; chunks are
// merged in order (online softmax), so that a query's result depends on its own position alone.
#include "base/half.h"
#include "cpu/kernels/export.h"
#include "cpu/simd/simd.h"
#include "ops/attention.h"

namespace rf::RF_ISA {
namespace {

constexpr int halves = 16 / lanes;
constexpr float minus_infinity = -__builtin_inff();

// Keys of `lanes` positions at dimension d of a K group; `half` picks them out of the 16.
template <KvType kv>
F load_key(const std::byte* group, const CacheLayout& layout, int d, int half) {
  const int at = 16 * d + half * lanes;
  if constexpr (kv == KvType::f32) return F::load(reinterpret_cast<const float*>(group) + at);
  if constexpr (kv == KvType::f16) return F::load_f16(reinterpret_cast<const std::uint16_t*>(group) + at);
  const F scale = F::load_f16(reinterpret_cast<const std::uint16_t*>(group + layout.group_scales) +
                              16 * (d >> 5) + half * lanes);
  if constexpr (kv == KvType::q8_0)
    return F::load_i8(reinterpret_cast<const std::int8_t*>(group) + at) * scale;
  const int byte = 16 * (16 * (d >> 5) + (d & 15)) + half * lanes;
  const B codes =
      B::load(reinterpret_cast<const std::uint8_t*>(group) + byte).bits(4 * (d >> 4 & 1), 15).minus(8);
  return to_float(codes) * scale;
}

// `lanes` elements of a position's value, from d on.
template <KvType kv>
F load_value(const std::byte* row, const CacheLayout& layout, int d) {
  if constexpr (kv == KvType::f32) return F::load(reinterpret_cast<const float*>(row) + d);
  if constexpr (kv == KvType::f16) return F::load_f16(reinterpret_cast<const std::uint16_t*>(row) + d);
  const auto* scales = reinterpret_cast<const std::uint16_t*>(row + layout.value_scales);
  const F scale = F::set1(f16_to_f32(scales[d >> 5]));
  if constexpr (kv == KvType::q8_0) return F::load_i8(reinterpret_cast<const std::int8_t*>(row) + d) * scale;
  const B codes = B::load(reinterpret_cast<const std::uint8_t*>(row) + 16 * (d >> 5) + (d & 15))
                      .bits(4 * (d >> 4 & 1), 15)
                      .minus(8);
  return to_float(codes) * scale;
}

// A page's head: groups of K, then rows of V.
const std::byte* head_of(const CacheLayout& layout, const HeadTile& tile, int position) {
  return tile.cache + static_cast<std::size_t>(tile.pages[position / layout.page]) * layout.page_bytes +
         static_cast<std::size_t>(tile.kv_head) * layout.head_bytes;
}

// The group of K that holds the position.
const std::byte* keys_at(const CacheLayout& layout, const HeadTile& tile, int position) {
  return head_of(layout, tile, position) +
         static_cast<std::size_t>(position % layout.page / 16) * layout.group_bytes;
}

const std::byte* value_at(const CacheLayout& layout, const HeadTile& tile, int position) {
  return head_of(layout, tile, position) + layout.values_at +
         static_cast<std::size_t>(position % layout.page) * layout.value_bytes;
}

// So many positions ahead the cache is asked for into the second-level cache, a line at a time: left to the
// hardware, a single row waits for memory half of its time.
constexpr int ahead = 64;

void ask_for(const std::byte* line) {
  __builtin_prefetch(line, 0, 2);
}

// What is read `ahead` positions after the keys at `position`: the chunk's keys, then its values.
const std::byte* after_keys(const CacheLayout& layout, const HeadTile& tile, int first_position,
                            int last_position, int position) {
  const int next = position + ahead;
  if (next < last_position || layout.key_is_value)
    return keys_at(layout, tile, next < last_position ? next : position);
  const int value = first_position + next - last_position;
  return value_at(layout, tile, value < last_position ? value : position);
}

// Bytes that a dimension of a K group takes, without scales.
template <KvType kv>
constexpr int key_bytes = kv == KvType::f32    ? 64
                          : kv == KvType::f16  ? 32
                          : kv == KvType::q8_0 ? 16
                                               : 8;

const float* query(const HeadTile& tile, int i) {
  return tile.q + i / tile.heads * tile.q_stride + i % tile.heads * tile.head_stride;
}

// Few queries leave multiplications waiting for one another: they take several groups of positions at once,
// and more of each value, until about eight sums are under way.
constexpr int groups_at_once(int queries) {
  return queries <= 2 ? 4 : queries <= 4 ? 2 : 1;
}
constexpr int vectors_at_once(int queries) {
  return queries <= 2 ? 4 : queries <= 4 || lanes == 16 ? 2 : 1;
}

// Raw scores of N queries against `groups` groups of 16 positions that follow each other; `next` is as much
// memory as they take, to be asked for.
template <KvType kv, int N, int groups>
void score_groups(const CacheLayout& layout, const HeadTile& tile, int first, const std::byte* group,
                  const std::byte* next, float* scores, int stride) {
  const float* q[N];
  RF_UNROLL(8)
  for (int i = 0; i < N; ++i) q[i] = query(tile, first + i);
  for (int half = 0; half < halves; ++half) {
    F acc[groups][N];
    RF_UNROLL(8)
    for (int i = 0; i < N; ++i)
      for (int g = 0; g < groups; ++g) acc[g][i] = F::zero();
    for (int d = 0; d < layout.key_dim; ++d) {
      if (first == 0 && half == 0 && d % (64 / key_bytes<kv>) == 0)
        for (int g = 0; g < groups; ++g)
          ask_for(next + static_cast<std::size_t>(g) * layout.group_bytes + d * key_bytes<kv>);
      F key[groups];
      RF_UNROLL(4)
      for (int g = 0; g < groups; ++g)
        key[g] = load_key<kv>(group + static_cast<std::size_t>(g) * layout.group_bytes, layout, d, half);
      RF_UNROLL(8)
      for (int i = 0; i < N; ++i) {
        const F element = F::set1(q[i][d]);
        RF_UNROLL(4)
        for (int g = 0; g < groups; ++g) acc[g][i] = fma(key[g], element, acc[g][i]);
      }
    }
    RF_UNROLL(8)
    for (int i = 0; i < N; ++i)
      for (int g = 0; g < groups; ++g)
        (acc[g][i] * F::set1(tile.scale)).store(scores + i * stride + 16 * g + half * lanes);
  }
}

// values[i][d] = sum over positions of weight[i][position] * v[position][d], for N queries.
template <KvType kv, int N>
void weigh_values(const CacheLayout& layout, const HeadTile& tile, int first, int first_position,
                  int last_position, const float* weights, int stride, Partial* partials) {
  constexpr int wide = vectors_at_once(N);
  for (int d = 0; d < layout.value_padded;) {
    const int vectors = d + wide * lanes <= layout.value_padded ? wide : 1;
    F acc[N][wide];
    RF_UNROLL(8)
    for (int i = 0; i < N; ++i)
      for (int j = 0; j < wide; ++j) acc[i][j] = F::zero();
    for (int p = first_position; p < last_position;) {
      const int in_page = p % layout.page;
      const int stop = p + layout.page - in_page < last_position ? p + layout.page - in_page : last_position;
      const std::byte* row = value_at(layout, tile, p);
      const bool asks = first == 0 && d == 0 && p + ahead < last_position;
      const std::byte* next = asks ? value_at(layout, tile, p + ahead) : row;
      for (; p < stop; ++p, row += layout.value_bytes) {
        for (std::size_t i = 0; asks && i < layout.value_bytes; i += 64) ask_for(next + i);
        next += layout.value_bytes;
        F v[wide];
        for (int j = 0; j < wide; ++j) v[j] = load_value<kv>(row, layout, j < vectors ? d + j * lanes : d);
        RF_UNROLL(8)
        for (int i = 0; i < N; ++i) {
          const F weight = F::set1(weights[i * stride + p - first_position]);
          RF_UNROLL(4)
          for (int j = 0; j < wide; ++j) acc[i][j] = fma(weight, v[j], acc[i][j]);
        }
      }
    }
    RF_UNROLL(8)
    for (int i = 0; i < N; ++i)
      for (int j = 0; j < vectors; ++j) acc[i][j].store(partials[i].values + d + j * lanes);
    d += vectors * lanes;
  }
}

// The same where a value is the beginning of its key: keys lie transposed, so every element is a dot of its
// own.
template <KvType kv, int N>
void weigh_keys(const CacheLayout& layout, const HeadTile& tile, int first_position, int last_position,
                const float* weights, int stride, Partial* partials) {
  for (int i = 0; i < N; ++i)
    for (int d = 0; d < layout.value_padded; d += lanes) F::zero().store(partials[i].values + d);
  for (int p = first_position; p < last_position;) {
    const int in_page = p % layout.page, skip = in_page % 16;
    int count = 16 - skip;
    if (count > layout.page - in_page) count = layout.page - in_page;
    if (count > last_position - p) count = last_position - p;
    const std::byte* group = keys_at(layout, tile, p);
    alignas(64) float some[N][16] = {};
    for (int i = 0; i < N; ++i)
      for (int j = 0; j < count; ++j) some[i][skip + j] = weights[i * stride + p - first_position + j];
    for (int d = 0; d < layout.value_dim; ++d)
      for (int half = 0; half < halves; ++half) {
        F key = load_key<kv>(group, layout, d, half);
        if (count < 16) {  // what no one has written may be no number
          alignas(64) float own[lanes];
          key.store(own);
          for (int j = 0; j < lanes; ++j)
            if (half * lanes + j < skip || half * lanes + j >= skip + count) own[j] = 0;
          key = F::load(own);
        }
        for (int i = 0; i < N; ++i) partials[i].values[d] += sum(key * F::load(some[i] + half * lanes));
      }
    p += count;
  }
}

// Turns one query's scores into weights exp(score - largest); positions it must not see get weight 0.
void soften(const HeadTile& tile, int query, int first_position, int count, float* scores, Partial& partial) {
  const int position = tile.position + query / tile.heads;
  const Visible visible = visible_positions(tile.sees, tile.window, position, tile.length);
  int from = visible.first - first_position, to = visible.end - first_position;
  if (from < 0) from = 0;
  if (to > count) to = count;
  if (from > to) from = to;
  const int padded = (count + 15) / 16 * 16;
  if (tile.softcap > 0)
    for (int i = 0; i < padded; i += lanes) capped(F::load(scores + i), tile.softcap).store(scores + i);
  if (tile.slopes != nullptr) {
    const float slope = tile.slopes[query % tile.heads];
    for (int i = from; i < to; ++i) {
      const int apart = position - first_position - i;
      scores[i] -= slope * static_cast<float>(apart < 0 ? -apart : apart);
    }
  }
  for (int i = 0; i < from; ++i) scores[i] = minus_infinity;
  for (int i = to; i < padded; ++i) scores[i] = minus_infinity;
  F top = F::set1(minus_infinity);
  for (int i = 0; i < padded; i += lanes) top = max(top, F::load(scores + i));
  partial.largest = largest(top);
  partial.weight = 0;
  if (from == to) {
    for (int i = 0; i < padded; ++i) scores[i] = 0;
    return;
  }
  F total = F::zero();
  for (int i = 0; i < padded; i += lanes) {
    F e = exp(F::load(scores + i) - F::set1(partial.largest));
    if (i < from || i + lanes > to) {
      const int skip = from - i < 0 ? 0 : from - i > lanes ? lanes : from - i;
      const int keep = to - i < 0 ? 0 : to - i > lanes ? lanes : to - i;
      e = first_lanes(keep, e, F::zero());
      e = first_lanes(skip, F::zero(), e);
    }
    e.store(scores + i);
    total = total + e;
  }
  partial.weight = sum(total);
}

constexpr int score_stride = attention_chunk + 16;  // of scratch, from query to query

// Raw scores of N queries against positions that follow each other, to scratch.
template <KvType kv, int N>
void score_positions(const CacheLayout& layout, const HeadTile& tile, int first, int first_position,
                     int last_position, float* scratch) {
  constexpr int groups = groups_at_once(N);
  // A page that is no multiple of 16 long leaves gaps in its last group: its scores are moved together.
  for (int p = first_position; p < last_position;) {
    const int in_page = p % layout.page, skip = in_page % 16;
    int count = 16 - skip;
    if (count > layout.page - in_page) count = layout.page - in_page;
    if (count > last_position - p) count = last_position - p;
    const std::byte* keys = keys_at(layout, tile, p);
    const std::byte* next = after_keys(layout, tile, first_position, last_position, p);
    float* scores = scratch + (p - first_position);
    if (skip == 0 && in_page + 16 * groups <= layout.page && p + 16 * groups <= last_position) {
      score_groups<kv, N, groups>(layout, tile, first, keys, next, scores, score_stride);
      count = 16 * groups;
    } else if (skip == 0) {
      score_groups<kv, N, 1>(layout, tile, first, keys, next, scores, score_stride);
    } else {
      alignas(64) float some[N * 16];
      score_groups<kv, N, 1>(layout, tile, first, keys, next, some, 16);
      for (int i = 0; i < N; ++i)
        for (int j = 0; j < count; ++j) scores[i * score_stride + j] = some[16 * i + skip + j];
    }
    p += count;
  }
}

template <KvType kv, int N>
void chunk_of(const CacheLayout& layout, const HeadTile& tile, int first, int first_position,
              int last_position, float* scratch, Partial* partials) {
  score_positions<kv, N>(layout, tile, first, first_position, last_position, scratch);
  for (int i = 0; i < N; ++i)
    soften(tile, first + i, first_position, last_position - first_position, scratch + i * score_stride,
           partials[i]);
  if (layout.key_is_value)
    return weigh_keys<kv, N>(layout, tile, first_position, last_position, scratch, score_stride, partials);
  weigh_values<kv, N>(layout, tile, first, first_position, last_position, scratch, score_stride, partials);
}

// Calls go<N>(i) for pieces of N queries, the first of which is i.
template <class Go>
void in_pieces(int queries, Go go) {
  int i = 0;
  // A single one takes about as long as three.
  for (; queries - i >= 8 && queries - i != 9; i += 8) go.template operator()<8>(i);
  if (queries - i >= 6) go.template operator()<6>(i), i += 6;
  if (queries - i >= 4) go.template operator()<4>(i), i += 4;
  if (queries - i >= 3) go.template operator()<3>(i), i += 3;
  if (queries - i >= 2) go.template operator()<2>(i), i += 2;
  if (queries - i >= 1) go.template operator()<1>(i);
}

template <KvType kv>
void attend(const CacheLayout& layout, const HeadTile& tile, int chunk, float* scratch, Partial* partials) {
  const int first_position = chunk * attention_chunk;
  in_pieces(tile.rows * tile.heads, [&]<int N>(int i) {
    // What the first query sees begins first, what the last one sees ends last.
    const int from =
        visible_positions(tile.sees, tile.window, tile.position + i / tile.heads, tile.length).first;
    int last_position =
        visible_positions(tile.sees, tile.window, tile.position + (i + N - 1) / tile.heads, tile.length).end;
    if (last_position > first_position + attention_chunk) last_position = first_position + attention_chunk;
    if (last_position > first_position && from < first_position + attention_chunk) {
      chunk_of<kv, N>(layout, tile, i, first_position, last_position, scratch, partials + i);
    } else {
      for (int n = i; n < i + N; ++n) partials[n].weight = 0;
    }
  });
}

// Heads are added one after the other, so that a score does not depend on how they are taken together.
template <KvType kv>
void choose(const CacheLayout& layout, const HeadTile& tile, const float* weights, int chunk, float* scratch,
            float* scores) {
  const int first_position = chunk * attention_chunk;
  const int left = tile.position + 1 - first_position;
  const int count = left < attention_chunk ? left : attention_chunk;
  for (int p = 0; p < count; p += lanes) F::zero().store(scores + p);
  in_pieces(tile.heads, [&]<int N>(int i) {
    score_positions<kv, N>(layout, tile, i, first_position, first_position + count, scratch);
    for (int n = 0; n < N; ++n)
      for (int p = 0; p < count; p += lanes) {
        const F score = F::load(scratch + n * score_stride + p), sum = F::load(scores + p);
        const F next =
            weights == nullptr ? sum + score : fma(max(score, F::zero()), F::set1(weights[i + n]), sum);
        next.store(scores + p);
      }
  });
}

}  // namespace

void attend_chunk(const CacheLayout& layout, const HeadTile& tile, int chunk, float* scratch,
                  Partial* partials) {
  switch (layout.type) {
    case KvType::f32:
      return attend<KvType::f32>(layout, tile, chunk, scratch, partials);
    case KvType::f16:
      return attend<KvType::f16>(layout, tile, chunk, scratch, partials);
    case KvType::q8_0:
      return attend<KvType::q8_0>(layout, tile, chunk, scratch, partials);
    case KvType::q4_0:
      return attend<KvType::q4_0>(layout, tile, chunk, scratch, partials);
  }
}

void score_chunk(const CacheLayout& layout, const HeadTile& tile, const float* weights, int chunk,
                 float* scratch, float* scores) {
  switch (layout.type) {
    case KvType::f32:
      return choose<KvType::f32>(layout, tile, weights, chunk, scratch, scores);
    case KvType::f16:
      return choose<KvType::f16>(layout, tile, weights, chunk, scratch, scores);
    case KvType::q8_0:
      return choose<KvType::q8_0>(layout, tile, weights, chunk, scratch, scores);
    case KvType::q4_0:
      return choose<KvType::q4_0>(layout, tile, weights, chunk, scratch, scores);
  }
}

void merge(Partial& into, const Partial& next, int count) {
  if (next.weight == 0) return;
  if (into.weight == 0) {
    into.largest = next.largest;
    into.weight = next.weight;
    for (int i = 0; i < count; i += lanes) F::load(next.values + i).store(into.values + i);
    return;
  }
  const float top = into.largest > next.largest ? into.largest : next.largest;
  alignas(64) float factor[lanes] = {into.largest - top, next.largest - top};
  exp(F::load(factor)).store(factor);
  into.largest = top;
  into.weight = into.weight * factor[0] + next.weight * factor[1];
  const F a = F::set1(factor[0]), b = F::set1(factor[1]);
  for (int i = 0; i < count; i += lanes)
    fma(F::load(next.values + i), b, F::load(into.values + i) * a).store(into.values + i);
}

void finish(const Partial& p, int count, float sink, const float* gate, float* out) {
  float inverse = 1.0f / p.weight;
  if (sink > minus_infinity) {
    const float top = p.largest > sink ? p.largest : sink;
    alignas(64) float factor[lanes] = {p.largest - top, sink - top};
    exp(F::load(factor)).store(factor);
    inverse = factor[0] / (p.weight * factor[0] + factor[1]);
  }
  for (int i = 0; i < count; ++i) out[i] = p.values[i] * inverse;
  if (gate == nullptr) return;
  alignas(64) float piece[lanes] = {};
  for (int i = 0; i < count; i += lanes) {
    const int n = count - i < lanes ? count - i : lanes;
    for (int j = 0; j < n; ++j) piece[j] = -gate[i + j];
    (F::set1(1) / (F::set1(1) + exp(F::load(piece)))).store(piece);
    for (int j = 0; j < n; ++j) out[i + j] *= piece[j];
  }
}

namespace {

// Scale and codes of up to 32 elements: q8_0 by the largest magnitude, q4_0 by the element of that magnitude.
// Where the f16 scale rounds to zero all codes are those of zero.
template <class Put>
std::uint16_t quantise(KvType type, const float* x, int n, Put put) {
  float top = 0, signed_top = 0;
  for (int i = 0; i < n; ++i) {
    const float magnitude = x[i] < 0 ? -x[i] : x[i];
    if (magnitude > top) top = magnitude, signed_top = x[i];
  }
  const float d = type == KvType::q8_0 ? top / 127.0f : signed_top / -8.0f;
  const std::uint16_t scale = f32_to_f16(d);
  const float inverse = (scale & 0x7fff) != 0 ? 1.0f / d : 0.0f;
  for (int i = 0; i < n; ++i) {
    const float scaled = x[i] * inverse;
    if (type == KvType::q8_0) {
      put(i, static_cast<int>(scaled + (scaled < 0 ? -0.5f : 0.5f)));
    } else {
      const int code = static_cast<int>(scaled + 8.5f);
      put(i, code > 15 ? 15 : code);
    }
  }
  return scale;
}

void put_nibble(std::uint8_t* byte, bool high, int code) {
  *byte = static_cast<std::uint8_t>(high ? (*byte & 15) | code << 4 : (*byte & 0xf0) | code);
}

void store_key(const CacheLayout& layout, std::byte* group, int lane, const float* key) {
  for (int d = 0; d < layout.key_dim; ++d) {
    if (layout.type == KvType::f32) reinterpret_cast<float*>(group)[16 * d + lane] = key[d];
    if (layout.type == KvType::f16)
      reinterpret_cast<std::uint16_t*>(group)[16 * d + lane] = f32_to_f16(key[d]);
  }
  if (layout.type == KvType::f32 || layout.type == KvType::f16) return;
  auto* scales = reinterpret_cast<std::uint16_t*>(group + layout.group_scales);
  auto* codes = reinterpret_cast<std::uint8_t*>(group);
  for (int d = 0; d < layout.key_dim; d += 32) {
    const int n = layout.key_dim - d < 32 ? layout.key_dim - d : 32;
    scales[16 * (d >> 5) + lane] = quantise(layout.type, key + d, n, [&](int i, int code) {
      if (layout.type == KvType::q8_0)
        codes[16 * (d + i) + lane] = static_cast<std::uint8_t>(code);
      else
        put_nibble(codes + 16 * (d / 2 + (i & 15)) + lane, i >= 16, code);
    });
  }
}

void store_value(const CacheLayout& layout, std::byte* row, const float* value) {
  for (int d = 0; d < layout.value_dim; ++d) {
    if (layout.type == KvType::f32) reinterpret_cast<float*>(row)[d] = value[d];
    if (layout.type == KvType::f16) reinterpret_cast<std::uint16_t*>(row)[d] = f32_to_f16(value[d]);
  }
  if (layout.type == KvType::f32 || layout.type == KvType::f16) return;
  auto* scales = reinterpret_cast<std::uint16_t*>(row + layout.value_scales);
  auto* codes = reinterpret_cast<std::uint8_t*>(row);
  for (int d = 0; d < layout.value_dim; d += 32) {
    const int n = layout.value_dim - d < 32 ? layout.value_dim - d : 32;
    scales[d >> 5] = quantise(layout.type, value + d, n, [&](int i, int code) {
      if (layout.type == KvType::q8_0)
        codes[d + i] = static_cast<std::uint8_t>(code);
      else
        put_nibble(codes + d / 2 + (i & 15), i >= 16, code);
    });
  }
}

}  // namespace

void store_kv(const CacheLayout& layout, std::byte* cache, const std::int32_t* pages, int position,
              int kv_head, const float* key, const float* value) {
  const int in_page = position % layout.page;
  std::byte* head = cache + static_cast<std::size_t>(pages[position / layout.page]) * layout.page_bytes +
                    static_cast<std::size_t>(kv_head) * layout.head_bytes;
  store_key(layout, head + static_cast<std::size_t>(in_page / 16) * layout.group_bytes, in_page % 16, key);
  if (layout.key_is_value) return;
  store_value(layout, head + layout.values_at + static_cast<std::size_t>(in_page) * layout.value_bytes,
              value);
}

}  // namespace rf::RF_ISA
