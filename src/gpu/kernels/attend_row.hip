// rf_attend_row_KV_SIZE: attention of sequences with one row, all of it in one launch; grids stand in
// params.h.
//
// Block 256, LDS 27 to 43 KB. Each block prepares its queries; the one that has the newest
// position also prepares and stores its key and value. Each block has some chunks; the last of those that
// share queries to be done adds up what all found.
#include "gpu/kernels/attend_half.h"
#include "gpu/kernels/prepare.h"

namespace rf::gpu {

template <KvKind kv, int size>
class AttendRow {
 public:
  using Work = AttendWork<kv, size, attend_row_heads, attend_row_heads>;
  // What adds up the chunks' results has in LDS, in place of heads.
  struct Merge {
    Partial partials[256], totals[attend_row_heads];
    Factors factors[256];
    float inverse[attend_row_heads];
  };
  static_assert(sizeof(Merge) <= 4096 * sizeof(float));
  static constexpr int chunks_at_once = size <= 256 ? 2 : 1;  // whose values are under way together

  RF_DEVICE AttendRow(const AttendParams& p, const Share& share, Four* lds)
      : p_(p), share_(share), work_(p, share, lds) {}

  // Queries into LDS; with `newest`, this position's key and value into the cache.
  RF_DEVICE void prepare(const std::int32_t* pages, int position, bool newest) const {
    const AttentionView& a = p_.attention;
    const Share& s = share_;
    const int more = !newest || a.stores == 0 ? 0 : a.key_is_value != 0 ? 1 : 2, own = lane::thread() / 32;
    const float* x = p_.x + s.row * p_.x_stride;
    float* head = work_.scratch() + own * size;
    RF_NO_UNROLL
    for (int first = 0; first < s.heads + more; first += 8) {
      // Lanes beyond the last head go along with another.
      const int item = first + own;
      const HeadKind kind = item < s.heads || item >= s.heads + more ? HeadKind::query
                            : item == s.heads                        ? HeadKind::key
                                                                     : HeadKind::value;
      const int number = kind != HeadKind::query ? s.kv_head : s.head + (item < s.heads ? item : 0);
      const Head h = head_of(a, x, kind, number);
      prepare_head(a, h, s.row, position, head);
      lane::wave_barrier();
      store_query(takes_halves(kv, size), head, a.key_dim, item < s.heads ? work_.query(item) : nullptr);
      if (kind != HeadKind::query)
        store_head(kv, p_.cache, place_of(p_.cache, pages, position, number), h, head);
      lane::wave_barrier();
    }
    lane::barrier();
  }

  // This block's chunks, for whoever adds up; the only one there is, to the output with `direct`.
  RF_DEVICE void run(const std::int32_t* pages, int first, int last, bool direct) {
    RF_NO_UNROLL
    for (int c = first + lane::block_y(); c <= last; c += p_.splits) {
      work_.chunk(pages, c, [&](int query, const Partial& own) RF_INLINE {
        float* to = direct ? output_of(p_, share_, query) : partial(query, c - first) + 2;
        const float factor =
            direct ? inverse_of(p_.attention, own, share_.head_of(query), Work::weight_unit) : 1.0f;
        return [=](int d, float sum) RF_INLINE {
          if (!direct && d == 0) to[-2] = own.largest, to[-1] = own.weight;
          to[d] = sum * factor;
        };
      });
      lane::barrier();
    }
  }

  // Whether all other blocks of these queries are done.
  RF_DEVICE bool is_last(int blocks, std::int32_t* flag) const {
    lane::device_fence();
    lane::barrier();
    std::int32_t* arrived =
        p_.arrived + (share_.sequence * p_.attention.kv_heads * p_.head_splits + lane::block_x());
    if (lane::thread() == 0) {
      *flag = lane::atomic_add(arrived, 1) == blocks - 1 ? 1 : 0;
      if (*flag != 0) *arrived = 0;  // for the next launch
    }
    lane::barrier();
    const bool last = *flag != 0;
    lane::device_fence();
    return last;
  }

  RF_DEVICE void add_up(int count) const {
    constexpr int most = attend_row_heads * size / 256;
    const int heads = share_.heads, at_once = 256 / heads, dim = p_.attention.value_dim, stride = 2 + dim;
    auto& lds = *reinterpret_cast<Merge*>(work_.scratch());
    float sums[most] = {};
    float largest = 0;  // before the chunks at hand
    bool some = false;  // there was one
    const int head = lane::thread() / at_once, in_head = lane::thread() % at_once;
    lane::barrier();
    if (lane::thread() < heads) lds.totals[lane::thread()] = {0, 0};
    RF_NO_UNROLL
    for (int first = 0; first < count; first += at_once) {
      const int here = count - first < at_once ? count - first : at_once;
      Partial own{0, 0};
      if (head < heads && in_head < here) {
        const float* from = partial(head, first + in_head);
        own = {from[0], from[1]};
      }
      lane::barrier();
      lds.partials[lane::thread()] = own;
      lane::barrier();
      if (head < heads) {
        // The factors of a chunk follow from the largest score before it and with it.
        const Partial* of_head = lds.partials + head * at_once;
        Partial before{largest, some ? 1.0f : 0.0f};
        RF_NO_UNROLL
        for (int c = 0; c < here; ++c) {
          const Partial next = of_head[c];
          if (c == in_head) before = {largest, some ? 1.0f : 0.0f};
          if (next.weight == 0) continue;
          largest = !some || next.largest > largest ? next.largest : largest;
          some = true;
        }
        lds.factors[lane::thread()] = merge(before, own);
      }
      lane::barrier();
      if (lane::thread() < heads) {
        Partial total = lds.totals[lane::thread()];
        RF_NO_UNROLL
        for (int c = lane::thread() * at_once; c < lane::thread() * at_once + here; ++c) {
          const Partial next = lds.partials[c];
          const Factors f = lds.factors[c];
          if (next.weight == 0) continue;
          total.largest = total.weight == 0 || next.largest > total.largest ? next.largest : total.largest;
          total.weight = f.into == 0 ? next.weight : total.weight * f.into + next.weight * f.next;
        }
        lds.totals[lane::thread()] = total;
      }
      const float* from[most];
      const Factors* factors[most];
      RF_UNROLL
      for (int i = 0; i < most; ++i) {
        const int value = lane::thread() + 256 * i, h = value / dim < heads ? value / dim : 0;
        from[i] = partial(h, first) + 2 + value % dim;
        factors[i] = lds.factors + h * at_once;
      }
      RF_UNROLL_BY(chunks_at_once)
      for (int c = 0; c < here; ++c) RF_UNROLL
      for (int i = 0; i < most; ++i) sums[i] = merged(sums[i], from[i][c * stride], factors[i][c]);
    }
    lane::barrier();
    if (lane::thread() < heads)
      lds.inverse[lane::thread()] = inverse_of(p_.attention, lds.totals[lane::thread()],
                                               share_.head + lane::thread(), Work::weight_unit);
    lane::barrier();
    RF_UNROLL
    for (int i = 0; i < most; ++i) {
      const int value = lane::thread() + 256 * i, h = value / dim, d = value % dim;
      if (h < heads) output_of(p_, share_, h)[d] = sums[i] * lds.inverse[h] * gate_of(p_, share_, h, d);
    }
  }

 private:
  RF_DEVICE float* partial(int query, int chunk) const {
    const std::int64_t number =
        (static_cast<std::int64_t>(share_.sequence) * p_.attention.heads + share_.head_of(query)) *
            p_.max_chunks +
        chunk;
    return p_.partials + number * (2 + p_.attention.value_dim);
  }

  const AttendParams& p_;
  Share share_;
  Work work_;
};

// Asks for a chunk's keys and values, as far as they lie in one page, to come nearer.
RF_DEVICE void ask_for_chunk(const CacheView& c, const std::int32_t* pages, int number, int kv_head) {
  const Place place = place_of(c, pages, number * attend_chunk, kv_head);
  const int left = c.page - place.in_page, n = left < attend_chunk ? left : attend_chunk;
  const std::uint32_t keys = static_cast<std::uint32_t>(n + 15) / 16 * c.group_bytes,
                      values = c.key_is_value != 0 ? 0 : static_cast<std::uint32_t>(n) * c.value_bytes;
  for (std::uint32_t at = 128 * lane::thread(); at < keys; at += 128 * 256)
    lane::prefetch(key_group(c, place) + at);
  for (std::uint32_t at = 128 * lane::thread(); at < values; at += 128 * 256)
    lane::prefetch(value_row(c, place) + at);
}

// What a block has: heads of a sequence's one row, and chunks [first, last] that they see, of which its own
// begin with `own`.
struct Part {
  Share share;
  int position, first, last, own;
};
// False: there is none.
RF_DEVICE bool find_part(const AttendParams& p, Part& part) {
  Share& s = part.share;
  s.sequence = lane::block_z();
  s.rows = 1;
  if (p.one_row_each != 0) {
    s.row = s.sequence;
  } else {
    if (s.sequence >= p.batch.counts[2]) return false;
    s.row = p.batch.first_rows[s.sequence];
    if (p.batch.first_rows[s.sequence + 1] - s.row != 1) return false;
  }
  part.position = p.batch.positions[s.row];
  s.length = part.position + 1;
  if (!take_heads(p.attention, p.head_splits, s)) return false;
  const Visible visible = visible_positions(p.attention, part.position, s.length);
  part.first = visible.first / attend_chunk;
  part.last = (visible.end - 1) / attend_chunk;
  part.own = part.first + lane::block_y();
  return part.own <= part.last;
}

template <KvKind kv, int size>
RF_DEVICE void attend_row(const AttendParams& p) {
  RF_SHARED(Four, lds, (AttendRow<kv, size>::Work::lds_floats + 3) / 4);
  RF_SHARED(std::int32_t, flag, 1);
  Part part;
  // The batch and what the cache had before do not wait for the launch before.
  if (find_part(p, part))
    ask_for_chunk(p.cache, p.batch.pages + part.share.sequence * p.batch.page_stride, part.own,
                  part.share.kv_head);
  lane::wait_for_previous();
  lane::let_next_start();
  if (!find_part(p, part)) return;  // once more, rather than kept
  const Share& s = part.share;
  const int first = part.first, last = part.last, count = last - first + 1,
            blocks = count < p.splits ? count : p.splits;
  const std::int32_t* pages = p.batch.pages + s.sequence * p.batch.page_stride;
  AttendRow<kv, size> row(p, s, lds);
  row.prepare(pages, part.position, (last - part.own) % p.splits == 0);
  const bool direct = count == 1 && p.attention.gated == 0;
  row.run(pages, first, last, direct);
  if (!direct && row.is_last(blocks, flag)) row.add_up(count);
}

#define RF_ATTEND_ROW(kv, size)                                  \
  RF_KERNEL(rf_attend_row_##kv##_##size, AttendParams, 256, 2) { \
    attend_row<KvKind::kv, size>(p);                             \
  }
#define RF_ATTEND_ROW_SIZES(kv) RF_ATTEND_ROW(kv, 128) RF_ATTEND_ROW(kv, 256) RF_ATTEND_ROW(kv, 576)
RF_ATTEND_ROW_SIZES(f32)
RF_ATTEND_ROW_SIZES(f16)
RF_ATTEND_ROW_SIZES(q8_0)
RF_ATTEND_ROW_SIZES(q4_0)

}  // namespace rf::gpu
