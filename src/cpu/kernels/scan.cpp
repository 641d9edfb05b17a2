// Recurrences: a head's state lies [key_dim][values], and the lanes of a vector are values, so that no sum
// crosses lanes; of mamba they are channels.
#include "cpu/kernels/export.h"
#include "cpu/simd/simd.h"

namespace rf::RF_ISA {
namespace {

int padded(int n) {
  return (n + 15) / 16 * 16;
}

// One row of one head: a factor for each key, the keys that are added, asked for and, of delta and rwkv7,
// held against the state; values. Elements beyond the dimensions are zero.
struct Row {
  alignas(64) float decay[max_scan_dim], keys[max_scan_dim], queries[max_scan_dim], known[max_scan_dim],
      removed[max_scan_dim], values[max_scan_dim], gate[max_scan_dim], y[max_scan_dim];
  float rate = 1, kept = 1;  // delta and kda: of what it learns, and of what it knows
};

void take(const float* from, int n, float* to) {
  for (int i = 0; i < n; ++i) to[i] = from[i];
  for (int i = n; i < padded(n); ++i) to[i] = 0;
}

void fill(float* to, int n, float x) {
  for (int i = 0; i < padded(n); i += lanes) F::set1(x).store(to + i);
}

float dot(const float* a, const float* b, int n) {
  F sum16[16 / lanes];
  for (F& f : sum16) f = F::zero();
  for (int i = 0; i < padded(n); i += 16)
    for (int j = 0; j < 16 / lanes; ++j)
      sum16[j] = fma(F::load(a + i + j * lanes), F::load(b + i + j * lanes), sum16[j]);
  float total = 0;
  for (const F& f : sum16) total += sum(f);
  return total;
}

// x[i] = f(x[i]) on vectors.
template <class Each>
void each_vector(float* x, int n, Each f) {
  for (int i = 0; i < padded(n); i += lanes) f(F::load(x + i), i).store(x + i);
}

void scale(float* x, int n, float by) {
  each_vector(x, n, [by](F v, int) { return v * F::set1(by); });
}

// A function of one number, with the vectors' arithmetic.
template <class Each>
float one(float x, Each f) {
  alignas(64) float lane[16];
  f(F::set1(x)).store(lane);
  return lane[0];
}

float exp_one(float x) {
  return one(x, [](F v) { return exp(v); });
}

// What a state gives and takes: delta learns what it does not know yet, rwkv7 removes what it knows, rwkv6
// reads before it changes.
enum class Rule { plain, learns, removes, reads_first };

template <Rule rule, int N>
void advance_columns(Row& row, int key_dim, int stride, float* state, int column) {
  F add[N], known[N], y[N];
  RF_UNROLL(4)
  for (int c = 0; c < N; ++c) {
    add[c] = F::load(row.values + column + c * lanes);
    y[c] = known[c] = F::zero();
  }
  if constexpr (rule == Rule::learns || rule == Rule::removes) {
    for (int i = 0; i < key_dim; ++i) {
      const F key = F::set1(row.known[i]);
      RF_UNROLL(4)
      for (int c = 0; c < N; ++c)
        known[c] = fma(key, F::load(state + i * stride + column + c * lanes), known[c]);
    }
  }
  if constexpr (rule == Rule::learns) {
    const F kept = F::set1(row.kept), rate = F::set1(row.rate);
    RF_UNROLL(4)
    for (int c = 0; c < N; ++c) add[c] = rate * (add[c] - kept * known[c]);
  }
  for (int i = 0; i < key_dim; ++i) {
    const F decay = F::set1(row.decay[i]), key = F::set1(row.keys[i]), query = F::set1(row.queries[i]);
    RF_UNROLL(4)
    for (int c = 0; c < N; ++c) {
      float* at = state + i * stride + column + c * lanes;
      F s = F::load(at);
      if constexpr (rule == Rule::reads_first) y[c] = fma(query, s, y[c]);
      s = fma(key, add[c], s * decay);
      if constexpr (rule == Rule::removes) s = s - F::set1(row.removed[i]) * known[c];
      s.store(at);
      if constexpr (rule != Rule::reads_first) y[c] = fma(query, s, y[c]);
    }
  }
  RF_UNROLL(4)
  for (int c = 0; c < N; ++c) y[c].store(row.y + column + c * lanes);
}

template <Rule rule>
void advance(Row& row, const Scan& scan, float* state) {
  const int stride = padded(scan.value_dim);
  int column = 0;
  for (; column + 4 * lanes <= stride; column += 4 * lanes)
    advance_columns<rule, 4>(row, scan.key_dim, stride, state, column);
  for (; column < stride; column += 16)
    advance_columns<rule, 16 / lanes>(row, scan.key_dim, stride, state, column);
}

void mamba2_row(const ScanPart& part, const float* x, const float* side, Row& row) {
  const Scan& s = *part.scan;
  const int head = part.part, group = s.group_of(head);
  const std::int64_t keys = s.keys(), values = s.values(), first_value = std::int64_t{head} * s.value_dim;
  take(x + first_value, s.value_dim, row.values);
  take(x + values + std::int64_t{group} * s.key_dim, s.key_dim, row.keys);
  take(x + values + keys + std::int64_t{group} * s.key_dim, s.key_dim, row.queries);
  take(side + first_value, s.value_dim, row.gate);
  const float d =
      one(side[2 * values + 2 * keys + head] + part.step_bias[head], [](F v) { return softplus(v); });
  fill(row.decay, s.key_dim, exp_one(d * part.decay[head]));
  scale(row.keys, s.key_dim, d);
  advance<Rule::plain>(row, s, part.state);
  const F bonus = F::set1(part.bonus[head]);
  each_vector(row.y, s.value_dim, [&](F y, int j) {
    return fma(bonus, F::load(row.values + j), y) * silu(F::load(row.gate + j));
  });
}

void delta_row(const ScanPart& part, const float* x, const float* side, Row& row) {
  const Scan& s = *part.scan;
  const int head = part.part, group = s.group_of(head);
  const std::int64_t keys = s.keys(), values = s.values(), first_value = std::int64_t{head} * s.value_dim;
  take(x + std::int64_t{group} * s.key_dim, s.key_dim, row.queries);
  take(x + keys + std::int64_t{group} * s.key_dim, s.key_dim, row.keys);
  take(x + 2 * keys + first_value, s.value_dim, row.values);
  take(side + 2 * keys + values + first_value, s.value_dim, row.gate);
  scale(row.queries, s.key_dim,
        1 / __builtin_sqrtf((dot(row.queries, row.queries, s.key_dim) + 1e-6f) *
                            static_cast<float>(s.key_dim)));
  scale(row.keys, s.key_dim, 1 / __builtin_sqrtf(dot(row.keys, row.keys, s.key_dim) + 1e-6f));
  take(row.keys, s.key_dim, row.known);
  const float* b = side + 2 * keys + 2 * values + head / s.block * 2 * s.block + head % s.block;
  row.rate = one(*b, [](F v) { return sigmoid(v); });
  const float d = one(b[s.block] + part.step_bias[head], [](F v) { return softplus(v); });
  row.kept = exp_one(d * part.decay[head]);
  fill(row.decay, s.key_dim, row.kept);
  advance<Rule::learns>(row, s, part.state);
  normalise(part.norm, row.y, s.value_dim, row.y);
  each_vector(row.y, s.value_dim, [&](F y, int j) { return y * silu(F::load(row.gate + j)); });
}

void kda_row(const ScanPart& part, const float* x, const float* side, Row& row) {
  const Scan& s = *part.scan;
  const int head = part.part, n = s.key_dim;
  const std::int64_t keys = s.keys(), values = s.values(), first = std::int64_t{head} * n,
                     first_value = std::int64_t{head} * s.value_dim;
  take(x + first, n, row.queries);
  take(x + keys + first, n, row.keys);
  take(x + 2 * keys + first_value, s.value_dim, row.values);
  side += 2 * keys + values;
  take(side + first_value, s.value_dim, row.gate);
  row.rate = one(side[values + head], [](F v) { return sigmoid(v); });
  take(side + values + s.heads + first, n, row.decay);
  take(part.step_bias + first, n, row.removed);
  each_vector(row.decay, n, [&](F a, int i) {
    return exp(softplus(a + F::load(row.removed + i)) * F::set1(part.decay[head]));
  });
  scale(row.queries, n,
        1 / __builtin_sqrtf((dot(row.queries, row.queries, n) + 1e-6f) * static_cast<float>(n)));
  scale(row.keys, n, 1 / __builtin_sqrtf(dot(row.keys, row.keys, n) + 1e-6f));
  take(row.keys, n, row.known);
  each_vector(row.known, n, [&](F k, int i) { return k * F::load(row.decay + i); });
  row.kept = 1;
  advance<Rule::learns>(row, s, part.state);
  normalise(part.norm, row.y, s.value_dim, row.y);
  each_vector(row.y, s.value_dim, [&](F y, int j) { return y * sigmoid(F::load(row.gate + j)); });
}

void gla_row(const ScanPart& part, const float* x, Row& row) {
  const Scan& s = *part.scan;
  const int n = s.key_dim;
  const std::int64_t all = s.values(), first = std::int64_t{part.part} * n,
                     shared = std::int64_t{s.group_of(part.part)} * n;
  take(x + first, n, row.queries);
  take(x + all + first, n, row.decay);
  take(x + 2 * all + shared, n, row.keys);
  take(x + 2 * all + s.keys() + shared, n, row.values);
  take(x + 2 * all + 2 * s.keys() + first, n, row.gate);
  each_vector(row.decay, n, [](F w, int) { return exp(F::zero() - exp(w)); });
  each_vector(row.keys, n, [&](F k, int i) { return k * (F::set1(1) - F::load(row.decay + i)); });
  scale(row.queries, n, 1 / __builtin_sqrtf(static_cast<float>(n)));
  advance<Rule::plain>(row, s, part.state);
  each_vector(row.y, n, [&](F y, int j) { return y * F::load(row.gate + j); });
}

void rwkv6_row(const ScanPart& part, const float* x, Row& row) {
  const Scan& s = *part.scan;
  const int n = s.key_dim;
  const std::int64_t all = s.keys(), first = std::int64_t{part.part} * n;
  x += first;
  take(x, n, row.queries);
  take(x + all, n, row.decay);
  take(x + 2 * all, n, row.keys);
  take(x + 3 * all, n, row.values);
  take(x + 4 * all, n, row.gate);
  each_vector(row.decay, n, [](F w, int) { return exp(F::zero() - exp(w)); });
  advance<Rule::reads_first>(row, s, part.state);
  take(part.bonus + first, n, row.known);
  each_vector(row.known, n, [&](F bonus, int i) { return bonus * F::load(row.keys + i); });
  const F bonus = F::set1(dot(row.queries, row.known, n));
  each_vector(row.y, n, [&](F y, int j) { return fma(bonus, F::load(row.values + j), y); });
  normalise(part.norm, row.y, n, row.y);
  each_vector(row.y, n, [&](F y, int j) { return y * F::load(row.gate + j); });
}

void rwkv7_row(const ScanPart& part, const float* x, const float* side, Row& row) {
  const Scan& s = *part.scan;
  const int n = s.key_dim;
  const std::int64_t all = s.keys(), first = std::int64_t{part.part} * n;
  x += first;
  take(x, n, row.queries);
  take(x + all, n, row.decay);
  take(x + 2 * all, n, row.keys);
  take(x + 3 * all, n, row.values);
  take(x + 4 * all, n, row.removed);
  if (side != nullptr) {
    take(side + first, n, row.gate);
    take(x + 6 * all, n, row.y);
    each_vector(row.values, n,
                [&](F v, int i) { return fma(F::load(row.gate + i) - v, F::load(row.y + i), v); });
  }
  take(part.key_scale + first, n, row.known);
  each_vector(row.known, n, [&](F scale, int i) { return scale * F::load(row.keys + i); });
  const float length = __builtin_sqrtf(dot(row.known, row.known, n));
  scale(row.known, n, 1 / (length > 1e-12f ? length : 1e-12f));
  take(part.key_mix + first, n, row.gate);
  each_vector(row.keys, n, [&](F k, int i) {
    return k * fma(F::load(row.removed + i) - F::set1(1), F::load(row.gate + i), F::set1(1));
  });
  each_vector(row.removed, n, [&](F a, int i) { return a * F::load(row.known + i); });
  each_vector(row.decay, n, [](F w, int) { return exp(F::set1(rwkv7_decay) * sigmoid(w)); });
  advance<Rule::removes>(row, s, part.state);
  normalise(part.norm, row.y, n, row.y);
  take(part.bonus + first, n, row.known);
  each_vector(row.known, n, [&](F bonus, int i) { return bonus * F::load(row.keys + i); });
  const F bonus = F::set1(dot(row.queries, row.known, n));
  take(x + 5 * all, n, row.gate);
  each_vector(row.y, n,
              [&](F y, int j) { return fma(bonus, F::load(row.values + j), y) * F::load(row.gate + j); });
}

void mamba(const ScanPart& part) {
  const Scan& s = *part.scan;
  const int first = 16 * part.part, channels = s.value_dim - first < 16 ? s.value_dim - first : 16;
  struct {
    alignas(64) float u[16], z[16], t[16], bonus[16], y[16];
  } row;
  take(part.bonus + first, channels, row.bonus);
  for (int r = 0; r < part.rows; ++r) {
    const float *side = part.side + r * part.side_stride + first, *keys = part.keys + r * part.keys_stride;
    take(part.x + r * part.x_stride + first, channels, row.u);
    take(side + s.value_dim, channels, row.z);
    take(side + 2 * static_cast<std::int64_t>(s.value_dim), channels, row.t);
    for (int l = 0; l < 16; l += lanes) {
      const F u = F::load(row.u + l), d = softplus(F::load(row.t + l)), du = d * u;
      F y = F::zero();
      for (int i = 0; i < s.key_dim; ++i) {
        float* at = part.state + 16 * i + l;
        const F decay = exp(d * F::load(part.decay + 16 * i + l));
        const F state = fma(F::set1(keys[i]), du, F::load(at) * decay);
        state.store(at);
        y = fma(F::set1(keys[s.key_dim + i]), state, y);
      }
      (fma(F::load(row.bonus + l), u, y) * silu(F::load(row.z + l))).store(row.y + l);
    }
    float* out = part.out + r * part.out_stride + first;
    for (int i = 0; i < channels; ++i) out[i] = row.y[i];
  }
}

}  // namespace

void scan(const ScanPart& part) {
  const Scan& s = *part.scan;
  if (s.kind == Scan::Kind::mamba) return mamba(part);
  Row row;
  for (int r = 0; r < part.rows; ++r) {
    const float *x = part.x + r * part.x_stride,
                *side = part.side != nullptr ? part.side + r * part.side_stride : nullptr;
    if (s.kind == Scan::Kind::mamba2) mamba2_row(part, x, side, row);
    if (s.kind == Scan::Kind::delta) delta_row(part, x, side, row);
    if (s.kind == Scan::Kind::rwkv6) rwkv6_row(part, x, row);
    if (s.kind == Scan::Kind::rwkv7) rwkv7_row(part, x, side, row);
    if (s.kind == Scan::Kind::kda) kda_row(part, x, side, row);
    if (s.kind == Scan::Kind::gla) gla_row(part, x, row);
    float* out = part.out + r * part.out_stride + std::int64_t{part.part} * s.value_dim;
    for (int j = 0; j < s.value_dim; ++j) out[j] = row.y[j];
  }
}

}  // namespace rf::RF_ISA
