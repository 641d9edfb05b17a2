// rf_attend_KV_SIZE: attention of sequences with several rows; grids stand in params.h.
//
// Block 256. LDS: queries and, later, values of up to 4,608 f32 each, scores of attend_queries x 64
// positions: 34 to 43 KB. Reads each K and V of its chunks once (K's 16-byte units four times, from the
// first-level cache).
#include "gpu/kernels/attend.h"

namespace rf::gpu {

template <KvKind kv, int size>
RF_DEVICE void attend(const AttendParams& p) {
  using Work = Attend<kv, size, attend_queries(size)>;
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
  const int from = lane::block_y() * p.rows_a_block;
  if (rows == 1 || from >= rows) return;
  s.row = first_row + from;
  s.rows = rows - from < p.rows_a_block ? rows - from : p.rows_a_block;
  if (!take_heads(a, p.head_splits, s)) return;
  s.length = p.batch.positions[first_row] + rows;
  const Work work{p,      s,     reinterpret_cast<float*>(queries), reinterpret_cast<float*>(values), scores,
                  chunks, ranges};
  for (int i = lane::thread(); i < s.queries() * size; i += 256) {
    const int query = i / size, d = i % size;
    const std::int64_t at = static_cast<std::int64_t>(work.row_of(query)) * a.heads + work.head_of(query);
    work.queries[i] = d < a.key_dim ? p.queries[at * a.key_dim + d] : 0.0f;
  }
  work.find_ranges();
  lane::barrier();
  const std::int32_t* pages = p.batch.pages + s.sequence * p.batch.page_stride;
  const int first = visible_positions(a, p.batch.positions[s.row], s.length).first / attend_chunk;
  const int last =
      (visible_positions(a, p.batch.positions[s.row + s.rows - 1], s.length).end - 1) / attend_chunk;
  float sums[Work::weighed][4 * Work::wide] = {}, given[Work::weighed][4 * Work::wide];
  Partial total[Work::weighed] = {};
  RF_NO_UNROLL
  for (int c = first; c <= last; ++c) {
    work.chunk(pages, c, given);
    RF_UNROLL
    for (int j = 0; j < Work::weighed; ++j) {
      const int query = lane::thread() / 32 + 8 * j;
      if (query >= s.queries()) continue;
      const Factors f = merge(total[j], chunks[query]);
      RF_UNROLL
      for (int i = 0; i < 4 * Work::wide; ++i) sums[j][i] = merged(sums[j][i], given[j][i], f);
    }
    lane::barrier();
  }
  work.each_four(
      [&](int j, int query, int i, int d) { work.template put<4>(query, d, sums[j] + i, total[j]); });
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
