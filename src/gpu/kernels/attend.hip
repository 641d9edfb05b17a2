// rf_attend_KV_SIZE: attention of sequences with several rows; grids stand in params.h.
//
// Block 256. LDS 21 to 43 KB. Reads each K and V of a block's chunks once.
#include "gpu/kernels/attend_half.h"

namespace rf::gpu {

template <KvKind kv, int size>
RF_DEVICE void attend(const AttendParams& p) {
  using Work = AttendWork<kv, size, attend_queries(size), attend_heads(size)>;
  RF_SHARED(Four, lds, (Work::lds_floats + 3) / 4);
  const AttentionView& a = p.attention;
  lane::wait_for_previous();
  lane::let_next_start();
  Share s;
  s.one_row = false;
  s.sequence = lane::block_z();
  if (s.sequence >= p.batch.counts[2]) return;
  const int first_row = p.batch.first_rows[s.sequence], rows = p.batch.first_rows[s.sequence + 1] - first_row;
  // The last rows, which see most, come first.
  const int blocks = (rows + p.rows_a_block - 1) / p.rows_a_block,
            from = (blocks - 1 - lane::block_y()) * p.rows_a_block;
  if (rows == 1 || from < 0) return;
  if (!take_heads(p, s)) return;
  s.length = p.batch.positions[first_row] + rows;
  const int end = from + p.rows_a_block < rows ? from + p.rows_a_block : rows;
  const std::int32_t* pages = p.batch.pages + s.sequence * p.batch.page_stride;
  const auto run = [&](int row, int count) RF_INLINE {
    s.row = first_row + row;
    s.rows = count;
    const int first = visible_positions(a, p.batch.positions[s.row], s.length).first,
              last = visible_positions(a, p.batch.positions[s.row + count - 1], s.length).end - 1;
    Work(p, s, lds).run(pages, {first / attend_chunk, last / attend_chunk + 1});
  };
  if constexpr (Work::most == attend_queries(size)) {
    run(from, end - from);
  } else {
    const int at_once = Work::most / s.heads;
    RF_NO_UNROLL
    for (int row = from; row < end; row += at_once) run(row, end - row < at_once ? end - row : at_once);
  }
}

#define RF_ATTEND(kv, size, blocks)                               \
  RF_KERNEL(rf_attend_##kv##_##size, AttendParams, 256, blocks) { \
    attend<KvKind::kv, size>(p);                                  \
  }
// Matrix products need many registers where a wave has queries of its own.
#define RF_ATTEND_SIZES(kv, blocks) \
  RF_ATTEND(kv, 64, blocks)         \
  RF_ATTEND(kv, 128, blocks)        \
  RF_ATTEND(kv, 256, blocks)        \
  RF_ATTEND(kv, 576, 2)
RF_ATTEND_SIZES(f32, 2)
RF_ATTEND_SIZES(f16, 1)
RF_ATTEND_SIZES(q8_0, 1)
RF_ATTEND_SIZES(q4_0, 1)

}  // namespace rf::gpu
