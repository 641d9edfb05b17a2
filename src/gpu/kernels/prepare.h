// What comes before attention: heads of a row, normed, rotated and stored, each by 32 neighbouring lanes.
// Whoever does it, the result is the same to the bit.
#pragma once
#include "gpu/kernels/cache.h"
#include "gpu/kernels/norm.h"

namespace rf::gpu {

inline constexpr int widest_head = 576;
enum class HeadKind { query, key, value };

// One head of a row: kind, its number among those of its kind, its values in x and those of all of its kind.
struct Head {
  HeadKind kind;
  int number, dim, stride, count;
  const float* all;  // at `stride` apart
  RF_DEVICE const float* own() const { return all + number * stride; }
};
RF_DEVICE Head head_of(const AttentionView& a, const float* row, HeadKind kind, int number) {
  const int query_stride = a.key_dim * (a.gated != 0 ? 2 : 1);
  Head h{kind, number, a.key_dim, query_stride, a.heads, row};
  if (kind == HeadKind::query) return h;
  h.all += a.heads * query_stride;
  h.stride = a.key_dim;
  h.count = a.kv_heads;
  if (kind == HeadKind::key) return h;
  h.all += a.kv_heads * a.key_dim;
  h.dim = h.stride = a.value_dim;
  return h;
}

RF_DEVICE NormView norm_of(const AttentionView& a, HeadKind kind) {
  const auto of = [kind](auto query, auto key, auto value) RF_INLINE {
    return kind == HeadKind::query ? query : kind == HeadKind::key ? key : value;
  };
  return {of(a.q_norm.weight, a.k_norm.weight, a.v_norm.weight),
          of(a.q_norm.bias, a.k_norm.bias, a.v_norm.bias), of(a.q_norm.kind, a.k_norm.kind, a.v_norm.kind),
          of(a.q_norm.eps, a.k_norm.eps, a.v_norm.eps)};
}

// Mean and inverse deviation of value(0 .. n), by 32 lanes, four neighbours at a time. All lanes of a wave
// take part, whatever their norm.
template <class Value>
RF_DEVICE Moments moments_of_lanes(const NormView& norm, bool centred, int n, Value value) {
  const int in_32 = lane::thread() & 31;
  Moments m{0, 1};
  if (centred) {
    float sum = 0;
    for (int k = 4 * in_32; k < n; k += 128)
      for (int i = 0; i < 4; ++i) sum += k + i < n ? value(k + i) : 0.0f;
    sum = lane::sum_of_lanes(sum, 32) / static_cast<float>(n);
    if (norm.kind == NormKind::layer) m.mean = sum;
  }
  float squares = 0;
  for (int k = 4 * in_32; k < n; k += 128)
    for (int i = 0; i < 4; ++i) {
      const float v = k + i < n ? value(k + i) - m.mean : 0.0f;
      squares = __builtin_fmaf(v, v, squares);
    }
  m.inverse = 1.0f / __builtin_sqrtf(lane::sum_of_lanes(squares, 32) / static_cast<float>(n) + norm.eps);
  return m;
}

// head[0 .. dim) = the head, ready; LDS of 32 lanes. Norms over a whole row come before the rotation. `rope`:
// cos and sin of the row's pairs.
RF_DEVICE void prepare_head(const AttentionView& a, const Head& h, const float* rope, int position,
                            float* head) {
  const int in_32 = lane::thread() & 31;
  const NormView norm = norm_of(a, h.kind);
  const auto on = [](const NormView& n) { return n.kind != NormKind::off; };
  const auto centred = [](const NormView& n) { return n.kind == NormKind::layer; };
  const bool any = on(a.q_norm) || on(a.k_norm) || on(a.v_norm);
  const bool any_centred = centred(a.q_norm) || centred(a.k_norm) || centred(a.v_norm);
  const bool whole_row = a.norm_over_row != 0 && h.kind != HeadKind::value;
  const float* own = h.own();
  RF_NO_UNROLL
  for (int first = in_32; first < h.dim + in_32; first += 128) {
    float v[4];
    RF_UNROLL
    for (int i = 0; i < 4; ++i) v[i] = first + 32 * i < h.dim ? own[first + 32 * i] : 0.0f;
    RF_UNROLL
    for (int i = 0; i < 4; ++i)
      if (first + 32 * i < h.dim) head[first + 32 * i] = v[i];
  }
  lane::wave_barrier();
  // Norm and rotation, or rotation and norm: values are only normed, whole rows always before.
  const bool early = whole_row || h.kind == HeadKind::value || a.norm_after_rope == 0;
  RF_NO_UNROLL
  for (int phase = 0; phase < (a.norm_after_rope != 0 ? 2 : 1); ++phase) {
    if (any) {
      const int width = h.kind == HeadKind::key ? a.key_normed : h.dim,
                n = whole_row ? h.count * h.dim : width;
      const Moments m = moments_of_lanes(norm, any_centred, n, [&](int k) {
        return whole_row ? h.all[k / h.dim * h.stride + k % h.dim] : head[k];
      });
      lane::wave_barrier();
      if (early == (phase == 0) && on(norm)) {
        const bool shared = (h.kind == HeadKind::query ? a.q_shared
                             : h.kind == HeadKind::key ? a.k_shared
                                                       : a.v_shared) != 0;
        NormView at = norm;
        const int first = whole_row ? h.number * h.dim : shared ? 0 : h.number * width;
        if (at.weight != nullptr) at.weight += first;
        if (at.bias != nullptr) at.bias += first;
        RF_NO_UNROLL
        for (int k = in_32; k < (whole_row ? h.dim : width); k += 32) head[k] = normed(at, m, head[k], k);
      }
      lane::wave_barrier();
    }
    if (phase == 0 && a.rope != nullptr && h.kind != HeadKind::value) {
      const int apart = a.rope_halves != 0 ? a.rope_pairs : 1, step = a.rope_halves != 0 ? 1 : 2;
      RF_NO_UNROLL
      for (int i = in_32; i < a.rope_pairs; i += 32) {
        float *x = head + a.rope_offset + step * i, *y = x + apart;
        const float c = rope[2 * i], s = rope[2 * i + 1], u = *x, v = *y;
        *x = u * c - v * s;
        *y = u * s + v * c;
      }
    }
    lane::wave_barrier();
  }
  if (h.kind == HeadKind::query && a.temperature != 0) {
    const float steps = static_cast<float>(
        static_cast<int>(static_cast<float>(position + a.temperature_offset) / a.temperature_length));
    const float temperature = __builtin_fmaf(a.temperature, lane::log(1.0f + steps), 1.0f);
    for (int k = in_32; k < h.dim; k += 32) head[k] *= temperature;
  }
}

// A ready query to where attention reads it (params.h), unless that is null, by 32 lanes; all lanes of a wave
// take part.
RF_DEVICE void store_query(bool halves, const float* head, int dim, float* to) {
  const int in_32 = lane::thread() & 31, dims = (dim + 31) / 32 * 32;
  if (!halves) {
    for (int k = in_32; to != nullptr && k < dims; k += 32) to[k] = k < dim ? head[k] : 0.0f;
    return;
  }
  float top = 0;
  for (int k = in_32; k < dim; k += 32) {
    const float magnitude = head[k] < 0 ? -head[k] : head[k];
    top = magnitude > top ? magnitude : top;
  }
  // The largest becomes 2^14 or more, which halves can hold, and what it leaves them is not lost either.
  const std::uint32_t exponent = bits_of_float(lane::largest_of_lanes(top, 32)) >> 23,
                      kept = exponent < 15 ? 15 : exponent;
  const float factor = __builtin_bit_cast(float, (268 - kept) << 23);
  if (to == nullptr) return;
  auto* words = reinterpret_cast<std::uint32_t*>(to);
  for (int m = in_32; 2 * m < dims; m += 32) {
    const float a = 2 * m < dim ? head[2 * m] * factor : 0.0f,
                b = 2 * m + 1 < dim ? head[2 * m + 1] * factor : 0.0f;
    const SplitPair split = split_pair(a, b);
    words[m] = split.high;
    words[dims / 2 + m] = split.low;
  }
  if (in_32 == 0) to[dims] = __builtin_bit_cast(float, (kept - 14) << 23);
}

// A key or value head to its place in the cache, by 32 lanes.
RF_DEVICE void store_head(KvKind kv, const CacheView& cache, const Place& place, const Head& h,
                          const float* head) {
  const int per = kv == KvKind::f32 ? 4 : kv == KvKind::f16 ? 8 : kv == KvKind::q8_0 ? 16 : 32;
  const int units = static_cast<int>(kv_units(kv, h.dim));
  const bool key = h.kind == HeadKind::key;
  for (int block = lane::thread() & 31; 32 * block < h.dim; block += 32) {
    const int first = 32 / per * block, left = units - first < 32 / per ? units - first : 32 / per;
    const std::uint8_t* to = key ? key_unit(cache, place, first) : value_row(cache, place) + 16 * first;
    const std::uint16_t* scale =
        key ? key_scale(cache, place, block)
            : reinterpret_cast<const std::uint16_t*>(value_row(cache, place) + cache.value_scales) + block;
    store_32(kv, head + 32 * block, h.dim - 32 * block < 32 ? h.dim - 32 * block : 32,
             const_cast<std::uint8_t*>(to), key ? 256 : 16, left, const_cast<std::uint16_t*>(scale));
  }
}

}  // namespace rf::gpu
