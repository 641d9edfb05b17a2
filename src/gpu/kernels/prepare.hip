// What comes before attention.
//
// rf_rope            grid (ceil(pairs / 64), rows), block 64, no LDS. Writes 8 bytes a pair.
// rf_attend_prepare  grid (ceil((heads + 2 * kv_heads) / 4), rows), block 128, LDS 9 KB. Reads and writes
// each head of
//                    a row once.
#include "gpu/kernels/prepare.h"

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

RF_KERNEL(rf_attend_prepare, PrepareParams, 128, 4) {
  RF_SHARED(float, heads, 4 * widest_head);
  const AttentionView& a = p.attention;
  const int row = lane::block_y(), in_block = lane::thread() / 32;
  int number = 4 * lane::block_x() + in_block;
  lane::wait_for_previous();
  lane::let_next_start();
  if (row >= p.batch.counts[0]) return;
  // Lanes beyond the last head go along with another.
  const int count = a.heads + (a.stores == 0 ? 0 : a.key_is_value != 0 ? a.kv_heads : 2 * a.kv_heads);
  const bool stores = number < count;
  number = stores ? number : 0;
  const HeadKind kind = number < a.heads                ? HeadKind::query
                        : number < a.heads + a.kv_heads ? HeadKind::key
                                                        : HeadKind::value;
  number -= kind == HeadKind::query ? 0 : kind == HeadKind::key ? a.heads : a.heads + a.kv_heads;
  const Head h = head_of(a, p.x + row * p.x_stride, kind, number);
  const int position = p.batch.positions[row];
  float* head = heads + in_block * widest_head;
  prepare_head(a, h, a.rope + 2 * std::int64_t{row} * a.rope_pairs, position, head);
  lane::wave_barrier();
  const std::int64_t query = static_cast<std::int64_t>(row) * a.heads + number;
  store_query(takes_halves(p.kv, attend_size(a.key_dim, a.value_dim)), head, a.key_dim,
              stores && kind == HeadKind::query ? p.queries + query * query_floats(a.key_dim) : nullptr);
  if (!stores || kind == HeadKind::query) return;
  const std::int32_t* pages = p.batch.pages + p.batch.sequences[row] * p.batch.page_stride;
  store_head(p.kv, p.cache, place_of(p.cache, pages, position, number), h, head);
}

}  // namespace rf::gpu
