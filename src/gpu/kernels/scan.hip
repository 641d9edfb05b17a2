// Linear recurrences (rf::Scan), row by row.
//
// rf_scan_KIND    grid (heads * ceil(value_dim / 32), sequences), block 128, LDS 128 B a key (dynamic) and
//                 6,672 B. Reads and writes its part of the state once, of each row the keys and its values.
// rf_scan_finish  grid (parts, rows), block 128, LDS 16 B. Reads and writes a part of a row twice.
//
// Thread t of a block has value t % 32 of its 32, and every fourth key, from t / 32 on; the four sums of a
// value are added in their order.
#include "gpu/kernels/activation.h"
#include "gpu/kernels/norm.h"
#include "gpu/kernels/state.h"

namespace rf::gpu {

inline constexpr int scan_threads = 128, key_parts = scan_threads / state_columns;

RF_DEVICE int group_of(const ScanParams& p, int head) {
  return p.tiled != 0 ? head % p.groups : head / (p.heads / p.groups);
}

// One row of a head, in LDS: a factor for each key's part of the state, the keys that are added and asked
// for, and, of delta and rwkv7, those held against the state and what is taken away of it.
struct Keys {
  float *decay, *added, *asked, *known, *removed;  // [key_dim]
  float* scratch;                                  // [4]
};

template <class Each>
RF_DEVICE void each_key(const ScanParams& p, Each each) {
  for (int i = lane::thread(); i < p.key_dim; i += scan_threads) each(i);
}

// 1 / length of keys[0 .. key_dim), of which every thread has filled its own.
RF_DEVICE float inverse_length(const ScanParams& p, const float* keys, float least, float scale,
                               float* scratch) {
  float squares = 0;
  each_key(p, [&](int i) { squares = __builtin_fmaf(keys[i], keys[i], squares); });
  return 1.0f / __builtin_sqrtf((block_sum<scan_threads>({squares}, scratch) + least) * scale);
}

// What the row is multiplied by: delta's rate of learning, mamba's step of this thread's channel.
template <ScanKind kind>
RF_DEVICE float load_keys(const ScanParams& p, int head, int value, const float* x, const float* side,
                          const Keys& k) {
  const int group = group_of(p, head), keys = p.groups * p.key_dim, values = p.heads * p.value_dim;
  if constexpr (kind == ScanKind::mamba) {
    const float* own = side + 3 * values;
    each_key(p, [&](int i) { k.added[i] = own[i], k.asked[i] = own[p.key_dim + i]; });
    lane::barrier();
    const auto norm = [&](const NormView& by, float* what) {
      const Moments m =
          moments<scan_threads>(by.kind, by.eps, p.key_dim, [&](int i) { return what[i]; }, k.scratch);
      lane::barrier();
      each_key(p, [&](int i) { what[i] = normed(by, m, what[i], i); });
    };
    norm(p.key_norm, k.added);
    norm(p.query_norm, k.asked);
    return value < p.value_dim ? softplus(side[2 * values + value]) : 0.0f;
  }
  if constexpr (kind == ScanKind::mamba2) {
    const float* own = x + values + group * p.key_dim;
    const float d = softplus(side[2 * values + 2 * keys + head] + p.step_bias[head]);
    const float decay = lane::exp(d * p.decay[head]);
    each_key(p, [&](int i) { k.decay[i] = decay, k.added[i] = own[i] * d, k.asked[i] = own[keys + i]; });
  }
  if constexpr (kind == ScanKind::delta) {
    const float* own = x + group * p.key_dim;
    const float* b = side + 2 * keys + 2 * values + head / p.block * 2 * p.block + head % p.block;
    const float decay = lane::exp(p.decay[head] * softplus(b[p.block] + p.step_bias[head]));
    each_key(p, [&](int i) { k.asked[i] = own[i], k.added[i] = own[keys + i]; });
    const float of_asked = inverse_length(p, k.asked, 1e-6f, static_cast<float>(p.key_dim), k.scratch);
    const float of_added = inverse_length(p, k.added, 1e-6f, 1.0f, k.scratch);
    each_key(p, [&](int i) {
      k.decay[i] = decay;
      k.asked[i] *= of_asked;
      k.known[i] = k.added[i] *= of_added;
    });
    return lane::sigmoid(*b);
  }
  if constexpr (kind == ScanKind::rwkv6) {
    const float* own = x + head * p.key_dim;  // r, w, k
    each_key(p, [&](int i) {
      k.asked[i] = own[i];
      k.decay[i] = lane::exp(-lane::exp(own[keys + i]));
      k.added[i] = own[2 * keys + i];
    });
  }
  if constexpr (kind == ScanKind::rwkv7) {
    const float* own = x + head * p.key_dim;  // r, w, k, v, a
    const float *scale = p.key_scale + head * p.key_dim, *mix = p.key_mix + head * p.key_dim;
    each_key(p, [&](int i) { k.known[i] = own[2 * keys + i] * scale[i]; });
    const float inverse = inverse_length(p, k.known, 0.0f, 1.0f, k.scratch);
    each_key(p, [&](int i) {
      const float a = own[4 * keys + i];
      k.asked[i] = own[i];
      k.decay[i] = lane::exp(-0.60653066f * lane::sigmoid(own[keys + i]));  // exp(-1/2)
      k.known[i] *= inverse < 1e12f ? inverse : 1e12f;
      k.removed[i] = a * k.known[i];
      k.added[i] = own[2 * keys + i] * __builtin_fmaf(a - 1.0f, mix[i], 1.0f);
    });
  }
  return 1.0f;
}

// rwkv7 mixes the first layer's value in, where there is one.
RF_DEVICE float mixed_value(const ScanParams& p, const float* x, const float* side, int at) {
  const int keys = p.groups * p.key_dim;
  const float v = x[3 * keys + at];
  return side != nullptr ? __builtin_fmaf(side[at] - v, x[6 * keys + at], v) : v;
}

// Value `at` of the row, counted over all heads.
template <ScanKind kind>
RF_DEVICE float value_of(const ScanParams& p, const float* x, const float* side, int at) {
  const int keys = p.groups * p.key_dim;
  if constexpr (kind == ScanKind::delta) return x[2 * keys + at];
  if constexpr (kind == ScanKind::rwkv6) return x[3 * keys + at];
  if constexpr (kind == ScanKind::rwkv7) return mixed_value(p, x, side, at);
  return x[at];
}

template <ScanKind kind>
struct Scanning {
  static constexpr bool learns = kind == ScanKind::delta, removes = kind == ScanKind::rwkv7,
                        reads_first = kind == ScanKind::rwkv6;

  const ScanParams& p;
  Keys keys;
  float* state;          // LDS: [key_dim][32]
  float *known, *asked;  // LDS: [4][32], sums of keys' parts
  int head, value;       // of the head's

  RF_DEVICE static int column() { return lane::thread() % state_columns; }
  RF_DEVICE static int part() { return lane::thread() / state_columns; }
  RF_DEVICE bool mine() const { return value < p.value_dim; }

  template <class Each>
  RF_DEVICE void each_own_key(Each each) const {
    RF_UNROLL_BY(4)
    for (int i = part(); i < p.key_dim; i += key_parts) each(i, state[state_columns * i + column()]);
  }
  RF_DEVICE static float sum_of_parts(const float* sums) {
    float sum = sums[column()];
    for (int i = 1; i < key_parts; ++i) sum += sums[state_columns * i + column()];
    return sum;
  }

  RF_DEVICE void run_row(const float* x, const float* side, float* out) const {
    const float rate = load_keys<kind>(p, head, value, x, side, keys);
    lane::barrier();
    const int at = head * p.value_dim + value;
    float add = mine() ? value_of<kind>(p, x, side, at) : 0.0f;
    float taken = 0;
    if constexpr (learns || removes) {
      float sum = 0;
      each_own_key([&](int i, float& s) { sum = __builtin_fmaf(keys.known[i], s, sum); });
      known[lane::thread()] = sum;
      lane::barrier();
      taken = sum_of_parts(known);
    }
    if constexpr (learns) add = rate * (add - keys.decay[0] * taken);
    if constexpr (kind == ScanKind::mamba) add *= rate;
    const float* own_decay = p.decay + (kind == ScanKind::mamba && mine() ? value * p.key_dim : 0);
    float sum = 0;
    each_own_key([&](int i, float& s) {
      if constexpr (reads_first) sum = __builtin_fmaf(keys.asked[i], s, sum);
      const float decay = kind == ScanKind::mamba ? lane::exp(rate * own_decay[i]) : keys.decay[i];
      s = __builtin_fmaf(keys.added[i], add, s * decay);
      if constexpr (removes) s -= keys.removed[i] * taken;
      if constexpr (!reads_first) sum = __builtin_fmaf(keys.asked[i], s, sum);
    });
    asked[lane::thread()] = sum;
    lane::barrier();
    if (part() != 0 || !mine()) return;
    float y = sum_of_parts(asked);
    if constexpr (kind == ScanKind::mamba || kind == ScanKind::mamba2) {
      const float z = side[(kind == ScanKind::mamba ? p.value_dim : 0) + at];
      y = __builtin_fmaf(p.bonus[kind == ScanKind::mamba ? at : head], x[at], y) * z * lane::sigmoid(z);
    }
    out[at] = y;
  }
};

template <ScanKind kind>
RF_DEVICE void scan(const ScanParams& p) {
  RF_SHARED(float, rows, 5 * most_scan_keys);
  RF_SHARED(float, sums, 2 * scan_threads);
  RF_SHARED(float, scratch, 4);
  const int blocks = (p.value_dim + state_columns - 1) / state_columns;
  auto* state = reinterpret_cast<float*>(lane::dynamic_shared());
  lane::wait_for_previous();
  lane::let_next_start();
  const SequenceRows s = rows_of_sequence(p.batch, p.state, lane::block_y());
  if (s.rows == 0) return;
  const Scanning<kind> scanning{p,
                                {rows, rows + most_scan_keys, rows + 2 * most_scan_keys,
                                 rows + 3 * most_scan_keys, rows + 4 * most_scan_keys, scratch},
                                state,
                                sums,
                                sums + scan_threads,
                                lane::block_x() / blocks,
                                lane::block_x() % blocks * state_columns + Scanning<kind>::column()};
  float* kept = s.state + std::int64_t{scanning.head} * p.key_dim * p.value_dim + scanning.value;
  scanning.each_own_key([&](int i, float& own) {
    own = s.begins || !scanning.mine() ? 0.0f : kept[std::int64_t{i} * p.value_dim];
  });
  RF_NO_UNROLL
  for (int r = s.first; r < s.first + s.rows; ++r)
    scanning.run_row(p.x + r * p.x_stride, p.side != nullptr ? p.side + r * p.side_stride : nullptr,
                     p.out + r * p.out_stride);
  scanning.each_own_key([&](int i, float& own) {
    if (scanning.mine()) kept[std::int64_t{i} * p.value_dim] = own;
  });
}

RF_KERNEL(rf_scan_mamba, ScanParams, 128, 4) {
  scan<ScanKind::mamba>(p);
}
RF_KERNEL(rf_scan_mamba2, ScanParams, 128, 4) {
  scan<ScanKind::mamba2>(p);
}
RF_KERNEL(rf_scan_delta, ScanParams, 128, 4) {
  scan<ScanKind::delta>(p);
}
RF_KERNEL(rf_scan_rwkv6, ScanParams, 128, 4) {
  scan<ScanKind::rwkv6>(p);
}
RF_KERNEL(rf_scan_rwkv7, ScanParams, 128, 4) {
  scan<ScanKind::rwkv7>(p);
}

// What rwkv's values are multiplied by: the sum over keys of r * k * bonus.
RF_DEVICE float bonus_of(const ScanParams& p, int head, const float* x, float* scratch) {
  const int keys = p.groups * p.key_dim, first = head * p.key_dim;
  float sum = 0;
  each_key(p, [&](int i) {
    const int at = first + i;
    float k = x[2 * keys + at];
    if (p.kind == ScanKind::rwkv7) k *= __builtin_fmaf(x[4 * keys + at] - 1.0f, p.key_mix[at], 1.0f);
    sum = __builtin_fmaf(x[at], k * p.bonus[at], sum);
  });
  return block_sum<scan_threads>({sum}, scratch);
}

RF_KERNEL(rf_scan_finish, ScanParams, 128, 4) {
  RF_SHARED(float, scratch, 4);
  const int part = lane::block_x(), row = lane::block_y();
  lane::wait_for_previous();
  lane::let_next_start();
  if (row >= p.batch.counts[0]) return;
  const int keys = p.groups * p.key_dim, values = p.heads * p.value_dim;
  const int n = p.kind == ScanKind::mamba2 ? values / p.groups : p.value_dim, first = part * n;
  const float *x = p.x + row * p.x_stride, *side = p.side != nullptr ? p.side + row * p.side_stride : nullptr;
  float* out = p.out + row * p.out_stride + first;
  const bool rwkv = p.kind == ScanKind::rwkv6 || p.kind == ScanKind::rwkv7;
  const float bonus = rwkv ? bonus_of(p, part, x, scratch) : 0.0f;
  const auto with_bonus = [&](int j, float y) {
    const float v = p.kind == ScanKind::rwkv7 ? mixed_value(p, x, side, first + j) : x[3 * keys + first + j];
    return __builtin_fmaf(bonus, v, y);
  };
  const auto value = [&](int j) { return p.kind == ScanKind::rwkv6 ? with_bonus(j, out[j]) : out[j]; };
  const Moments m = moments<scan_threads>(p.norm.kind, p.norm.eps, n, value, scratch);
  const int of_norm = p.kind == ScanKind::delta ? 0 : first;
  // All have read what they need of the others: an absent norm has no barrier.
  for (int j = lane::thread(); j < n; j += scan_threads) {
    float y = normed(p.norm, m, value(j), of_norm + j);
    if (p.kind == ScanKind::rwkv6) y *= x[4 * keys + first + j];
    if (p.kind == ScanKind::rwkv7) y = with_bonus(j, y) * x[5 * keys + first + j];
    if (p.kind == ScanKind::delta) {
      const float z = side[2 * keys + values + first + j];
      y *= z * lane::sigmoid(z);
    }
    out[j] = y;
  }
}

}  // namespace rf::gpu
