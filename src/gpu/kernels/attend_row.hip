// rf_attend_row_KV_SIZE: attention of sequences with one row, all of it in one launch; grids stand in
// params.h.
//
// Block 256, LDS 25 to 42 KB. Each block prepares its queries; the one that has the newest
// position also prepares and stores its key and value. Each block has some chunks; the last of those that
// share queries to be done adds up what all found.
#include "gpu/kernels/attend_half.h"
#include "gpu/kernels/prepare.h"

namespace rf::gpu {

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

template <KvKind kv, int size>
class AttendRow {
 public:
  using Work = AttendWork<kv, size, attend_row_heads, attend_row_heads>;

  RF_DEVICE AttendRow(const AttendParams& p, const Share& share, Four* lds)
      : p_(p), share_(share), work_(p, share, lds) {}

  // Queries into LDS; with `newest`, this position's key and value into the cache. `rope`: the row's table.
  RF_DEVICE void prepare(const std::int32_t* pages, int position, const float* rope, bool newest) const {
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
      prepare_head(a, h, rope, position, head);
      lane::wave_barrier();
      store_query(takes_halves(kv, size), head, a.key_dim, item < s.heads ? work_.query(item) : nullptr);
      if (kind != HeadKind::query)
        store_head(kv, p_.cache, place_of(p_.cache, pages, position, number), h, head);
      lane::wave_barrier();
    }
    lane::barrier();
  }

  // This block's chunks, for whoever adds up.
  RF_DEVICE void run(const std::int32_t* pages, int first, int last) {
    RF_NO_UNROLL
    for (int c = first + lane::block_y(); c <= last; c += p_.splits) {
      if (c + p_.splits <= last) ask_for_chunk(p_.cache, pages, c + p_.splits, share_.kv_head);
      work_.chunk(pages, c, [&](int query, const Partial& own) RF_INLINE {
        float* to = partial(query, c - first) + 2;
        return [=](int d, float sum) RF_INLINE {
          if (d == 0) to[-2] = own.largest, to[-1] = own.weight;
          to[d] = sum;
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

  // What all chunks found, in their order, to the output: 32 lanes for 32 dims of a head. Factors follow from
  // the largest score before a chunk and with it, so that lanes find those of 32 chunks together; the values
  // of the next 32 are under way meanwhile.
  RF_DEVICE void add_up(int count) const {
    constexpr int few = 8;  // chunks of short contexts
    const int in_32 = lane::thread() & 31, first_lane = lane::thread() & (lane::wave - 32),
              own = lane::thread() / 32, dim = p_.attention.value_dim, stride = 2 + dim,
              units = (dim + 31) / 32, items = share_.heads * units;
    auto* factors = reinterpret_cast<Four*>(work_.scratch()) + 32 * own;
    RF_NO_UNROLL
    for (int first_item = 0; first_item < items; first_item += 8) {
      // Lanes beyond the last item go along with another.
      const bool stores = first_item + own < items;
      const int item = stores ? first_item + own : 0, query = item / units,
                d = 32 * (item - query * units) + in_32, head = share_.head_of(query);
      const float* partials = partial(query, 0);
      // Of chunks [first, first + 32).
      const auto load = [&](int first, float(&values)[32]) RF_INLINE {
        const float* from = partials + first * stride + 2 + (d < dim ? d : 0);
        const int left = lane::uniform(count - first);
        RF_UNROLL
        for (int c = 0; c < few; ++c) values[c] = c < left ? from[c * stride] : 0.0f;
        if (left > few) RF_UNROLL
        for (int c = few; c < 32; ++c) values[c] = c < left ? from[c * stride] : 0.0f;
      };
      float sum = 0, values[32] = {};
      load(0, values);
      Partial total{minus_infinity, 0};
      RF_NO_UNROLL
      for (int first = 0; first < count; first += 32) {
        const int here = lane::uniform(count - first < 32 ? count - first : 32);
        Partial found{0, 0};
        if (in_32 < here) {
          const float* from = partials + (first + in_32) * stride;
          found = {from[0], from[1]};
        }
        // The largest, as far as this chunk.
        float up_to = found.weight != 0 ? found.largest : minus_infinity;
        RF_NO_UNROLL
        for (int m = 1; m < 32; m *= 2) {
          const float other = lane::shuffle(up_to, first_lane + (in_32 < m ? in_32 : in_32 - m));
          up_to = other > up_to ? other : up_to;
        }
        const float other = lane::shuffle(up_to, first_lane + (in_32 == 0 ? 0 : in_32 - 1)),
                    before = in_32 == 0 || total.largest > other ? total.largest : other;
        Partial into{before, before == minus_infinity ? 0.0f : 1.0f};
        const Factors f = merge(into, found);
        lane::wave_barrier();  // those before have been read
        factors[in_32] = {
            {bits_of_float(f.into), bits_of_float(f.next), bits_of_float(found.weight * f.next)}};
        lane::wave_barrier();
        float next[32] = {};
        if (first + 32 < count) load(first + 32, next);
        const auto add = [&](int c) RF_INLINE {
          const Four four = factors[c];
          const Factors at{__builtin_bit_cast(float, four.w[0]), __builtin_bit_cast(float, four.w[1])};
          total.weight = total.weight * at.into + __builtin_bit_cast(float, four.w[2]);
          sum = merged(sum, values[c], at);
        };
        RF_UNROLL
        for (int c = 0; c < few; ++c)
          if (c < here) add(c);
        if (here > few) RF_UNROLL
        for (int c = few; c < 32; ++c)
          if (c < here) add(c);
        const float largest = lane::shuffle(up_to, first_lane + 31);
        total.largest = largest > total.largest ? largest : total.largest;
        RF_UNROLL
        for (int c = 0; c < 32; ++c) values[c] = next[c];
      }
      const float inverse = inverse_of(p_.attention, total, head, Work::weight_unit);
      const float v = d < dim ? sum * inverse * gate_of(p_, share_, query, d) : 0.0f;
      if (stores && d < dim) output_of(p_, share_, query)[d] = v;
      if (p_.packed.codes != nullptr) pack_outputs(p_.packed, share_.row, (head * dim + d) / 32, v, stores);
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
  s.one_row = true;
  if (p.one_row_each != 0) {
    s.row = s.sequence;
  } else {
    if (s.sequence >= p.batch.counts[2]) return false;
    s.row = p.batch.first_rows[s.sequence];
    if (p.batch.first_rows[s.sequence + 1] - s.row != 1) return false;
  }
  part.position = p.batch.positions[s.row];
  s.length = part.position + 1;
  if (!take_heads(p, s)) return false;
  const Visible visible = visible_positions(p.attention, part.position, s.length);
  part.first = visible.first / attend_chunk;
  part.last = (visible.end - 1) / attend_chunk;
  part.own = part.first + lane::block_y();
  return part.own <= part.last;
}

template <KvKind kv, int size>
RF_DEVICE void attend_row(const AttendParams& p) {
  RF_SHARED(Four, lds, (AttendRow<kv, size>::Work::lds_floats + 3) / 4);
  RF_SHARED(float, rope, widest_head);
  RF_SHARED(std::int32_t, flag, 1);
  Part part;
  // The batch, its rotations and what the cache had before do not wait for the launch before.
  if (find_part(p, part)) {
    ask_for_chunk(p.cache, p.batch.pages + part.share.sequence * p.batch.page_stride, part.own,
                  part.share.kv_head);
    const int all = p.attention.rope != nullptr ? 2 * p.attention.rope_pairs : 0;
    const float* table = p.attention.rope + std::int64_t{part.share.row} * all;
    for (int i = lane::thread(); i < all; i += 256) rope[i] = table[i];
  }
  lane::barrier();
  lane::wait_for_previous();
  lane::let_next_start();
  if (!find_part(p, part)) return;  // once more, rather than kept
  const Share& s = part.share;
  const int first = part.first, last = part.last, count = last - first + 1,
            blocks = count < p.splits ? count : p.splits;
  const std::int32_t* pages = p.batch.pages + s.sequence * p.batch.page_stride;
  AttendRow<kv, size> row(p, s, lds);
  const int behind = last - part.own;  // the newest position's chunk
  row.prepare(pages, part.position, rope, count <= p.splits ? behind == 0 : behind % p.splits == 0);
  row.run(pages, first, last);
  if (blocks == 1 || row.is_last(blocks, flag)) row.add_up(count);
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
