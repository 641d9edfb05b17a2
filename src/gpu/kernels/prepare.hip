// What comes before attention.
//
// rf_rope            grid (ceil(pairs / 64), rows), block 64, no LDS. Writes 8 bytes a pair.
// rf_attend_prepare  grid (heads + 2 * kv_heads, rows), block 128, LDS 2,320 B. Reads and writes each head of
// a
//                    row once.
#include "gpu/kernels/cache.h"
#include "gpu/kernels/norm.h"

namespace rf::gpu {

// cos and sin of an angle of at most a few million radians; absolute error under 2e-7. Reduced in double to
// [-pi/4, pi/4]; polynomials after Cephes.
RF_DEVICE void cos_sin(double angle, float& cosine, float& sine) {
  const double n = __builtin_rint(angle * 0.63661977236758134308);
  const auto r = static_cast<float>(
      __builtin_fma(-n, 6.123233995736766e-17, __builtin_fma(-n, 1.5707963267948966, angle)));
  const float q = r * r;
  float s = __builtin_fmaf(q, -1.9515295891e-4f, 8.3321608736e-3f);
  s = __builtin_fmaf(s, q, -1.6666654611e-1f);
  s = __builtin_fmaf(s * q, r, r);
  float c = __builtin_fmaf(q, 2.443315711809948e-5f, -1.388731625493765e-3f);
  c = __builtin_fmaf(c, q, 4.166664568298827e-2f);
  c = __builtin_fmaf(c, q * q, __builtin_fmaf(-0.5f, q, 1.0f));
  const int quarter = static_cast<int>(n) & 3;
  const float a = (quarter & 1) != 0 ? s : c, b = (quarter & 1) != 0 ? c : s;
  cosine = quarter == 1 || quarter == 2 ? -a : a;
  sine = quarter >= 2 ? -b : b;
}

RF_KERNEL(rf_rope, RopeParams, 64, 4) {
  const int pair = 64 * lane::block_x() + lane::thread(), row = lane::block_y();
  lane::wait_for_previous();
  lane::let_next_start();
  if (row >= p.batch.counts[0] || pair >= p.pairs) return;
  float c, s;
  cos_sin(static_cast<double>(p.batch.positions[row]) * static_cast<double>(p.frequencies[pair]), c, s);
  float* to = p.table + 2 * (static_cast<std::int64_t>(row) * p.pairs + pair);
  to[0] = c * p.magnitude;
  to[1] = s * p.magnitude;
}

inline constexpr int prepare_threads = 128, widest_head = 576;

// Norms the first n of head[0 .. ) in place; `at` is where its weights begin.
RF_DEVICE void norm_head(const NormView& norm, int n, int at, float* head, float* scratch) {
  if (norm.kind == NormKind::off) return;
  const Moments m = moments<prepare_threads>(norm.kind, norm.eps, n, [&](int k) { return head[k]; }, scratch);
  NormView own = norm;
  if (own.weight != nullptr) own.weight += at;
  if (own.bias != nullptr) own.bias += at;
  for (int k = lane::thread(); k < n; k += prepare_threads) head[k] = normed(own, m, head[k], k);
  lane::barrier();
}

RF_DEVICE void rotate(const AttentionView& a, int row, float* head) {
  if (a.rope == nullptr) return;
  const float* table = a.rope + 2 * static_cast<std::int64_t>(row) * a.rope_pairs;
  for (int i = lane::thread(); i < a.rope_pairs; i += prepare_threads) {
    float& x = head[a.rope_offset + (a.rope_halves != 0 ? i : 2 * i)];
    float& y = head[a.rope_offset + (a.rope_halves != 0 ? i + a.rope_pairs : 2 * i + 1)];
    const float c = table[2 * i], s = table[2 * i + 1], u = x, v = y;
    x = u * c - v * s;
    y = u * s + v * c;
  }
  lane::barrier();
}

RF_KERNEL(rf_attend_prepare, PrepareParams, 128, 4) {
  RF_SHARED(float, head, widest_head);
  RF_SHARED(float, scratch, 4);
  const AttentionView& a = p.attention;
  const int row = lane::block_y(), thread = lane::thread();
  int h = lane::block_x();
  lane::wait_for_previous();
  lane::let_next_start();
  if (row >= p.batch.counts[0]) return;
  enum class Kind { query, key, value };
  const Kind kind = h < a.heads ? Kind::query : h < a.heads + a.kv_heads ? Kind::key : Kind::value;
  if (kind != Kind::query && a.stores == 0) return;
  if (kind == Kind::value && a.key_is_value != 0) return;
  const int query_stride = a.key_dim * (a.gated != 0 ? 2 : 1);
  // All heads of the kind, and this one of them.
  const float* all = p.x + row * p.x_stride;
  if (kind != Kind::query) all += a.heads * query_stride, h -= a.heads;
  if (kind == Kind::value) all += a.kv_heads * a.key_dim, h -= a.kv_heads;
  const int dim = kind == Kind::value ? a.value_dim : a.key_dim;
  const int stride = kind == Kind::query ? query_stride : dim,
            count = kind == Kind::query ? a.heads : a.kv_heads;
  const NormView& norm = kind == Kind::query ? a.q_norm : kind == Kind::key ? a.k_norm : a.v_norm;
  const bool whole_row = a.norm_over_row != 0 && kind != Kind::value;
  if (whole_row && norm.kind != NormKind::off) {
    const Moments m = moments<prepare_threads>(
        norm.kind, norm.eps, count * dim, [&](int k) { return all[k / dim * stride + k % dim]; }, scratch);
    for (int k = thread; k < dim; k += prepare_threads)
      head[k] = normed(norm, m, all[h * stride + k], h * dim + k);
  } else {
    for (int k = thread; k < dim; k += prepare_threads) head[k] = all[h * stride + k];
  }
  lane::barrier();
  const int width = kind == Kind::key ? a.key_normed : dim;
  const bool shared = (kind == Kind::query ? a.q_shared : kind == Kind::key ? a.k_shared : a.v_shared) != 0;
  const int at = shared ? 0 : h * width;
  if (!whole_row && (kind == Kind::value || a.norm_after_rope == 0))
    norm_head(norm, width, at, head, scratch);
  if (kind != Kind::value) {
    rotate(a, row, head);
    if (!whole_row && a.norm_after_rope != 0) norm_head(norm, width, at, head, scratch);
  }
  const int position = p.batch.positions[row];
  if (kind == Kind::query) {
    float temperature = 1;
    if (a.temperature != 0) {
      const float steps = static_cast<float>(
          static_cast<int>(static_cast<float>(position + a.temperature_offset) / a.temperature_length));
      temperature = __builtin_fmaf(a.temperature, lane::log(1.0f + steps), 1.0f);
    }
    float* to = p.queries + (static_cast<std::int64_t>(row) * a.heads + h) * a.key_dim;
    for (int k = thread; k < dim; k += prepare_threads) to[k] = head[k] * temperature;
    return;
  }
  const std::int32_t* pages = p.batch.pages + p.batch.sequences[row] * p.batch.page_stride;
  const Place place = place_of(p.cache, pages, position, h);
  const int per = p.kv == KvKind::f32 ? 4 : p.kv == KvKind::f16 ? 8 : p.kv == KvKind::q8_0 ? 16 : 32;
  const int units = static_cast<int>(kv_units(p.kv, dim));
  for (int block = thread; 32 * block < dim; block += prepare_threads) {
    const int first = 32 / per * block, left = units - first < 32 / per ? units - first : 32 / per;
    const std::uint8_t* to =
        kind == Kind::key ? key_unit(p.cache, place, first) : value_row(p.cache, place) + 16 * first;
    const std::uint16_t* scale =
        kind == Kind::key
            ? key_scale(p.cache, place, block)
            : reinterpret_cast<const std::uint16_t*>(value_row(p.cache, place) + p.cache.value_scales) +
                  block;
    store_32(p.kv, head + 32 * block, dim - 32 * block < 32 ? dim - 32 * block : 32,
             const_cast<std::uint8_t*>(to), kind == Kind::key ? 256 : 16, left,
             const_cast<std::uint16_t*>(scale));
  }
}

}  // namespace rf::gpu
