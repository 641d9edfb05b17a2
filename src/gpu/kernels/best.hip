// The highest logits of rows, best first (rf::Candidate); grids stand in params.h.
//
// Block 256, LDS 10 KB: up to 4,096 keys, of which the best 64 stay. A thread has 16 at most. The 64th
// highest of the threads' own highest bounds what can be among the best from below, and keys from there on,
// of 64 threads at most, are sorted by Batcher's bitonic network. Keys differ, but for those of nothing.
#include "gpu/kernels/norm.h"

namespace rf::gpu {

// Orders as rf::better does: by the logit, and lower tokens first; NaN and nothing come last.
RF_DEVICE std::uint64_t key_of(float logit, int token) {
  if (logit != logit) return 0;
  const auto bits = __builtin_bit_cast(std::uint32_t, logit + 0.0f);  // -0 is 0
  const std::uint32_t ordered = bits ^ ((bits >> 31) != 0 ? 0xffffffffu : 0x80000000u);
  return static_cast<std::uint64_t>(ordered) << 32 | (0xffffffffu - static_cast<std::uint32_t>(token));
}

// Highest first; n: a power of two.
RF_DEVICE void sort(std::uint64_t* keys, int n) {
  RF_NO_UNROLL
  for (int run = 2; run <= n; run *= 2) RF_NO_UNROLL
  for (int apart = run / 2; apart > 0; apart /= 2) {
    lane::barrier();
    RF_NO_UNROLL
    for (int i = lane::thread(); i < n / 2; i += 256) {
      const int low = 2 * i - (i & (apart - 1)), high = low + apart;
      const std::uint64_t a = keys[low], b = keys[high];
      if ((a < b) == ((low & run) == 0)) keys[low] = b, keys[high] = a;
    }
  }
  lane::barrier();
}

constexpr int own_keys = best_block / 256, most_kept = own_keys * best_count;

// key(i) of [0, n), n at most best_block; lists: LDS, 256 + most_kept keys. The best_count best, best first.
template <class Key>
RF_DEVICE const std::uint64_t* find_best(int n, Key key, std::uint64_t* lists, std::int32_t* count) {
  std::uint64_t keys[own_keys], top = 0, *kept = lists + 256;
  RF_UNROLL
  for (int i = 0; i < own_keys; ++i) {
    const int at = lane::thread() + 256 * i;
    keys[i] = at < n ? key(at) : 0;
    top = keys[i] > top ? keys[i] : top;
  }
  lists[lane::thread()] = top;
  if (lane::thread() == 0) *count = 0;
  sort(lists, 256);
  const std::uint64_t bound = lists[best_count - 1];
  RF_UNROLL
  for (int i = 0; i < own_keys; ++i)
    if (keys[i] != 0 && keys[i] >= bound) kept[lane::atomic_add(count, 1)] = keys[i];
  lane::barrier();
  int power = best_count;
  while (power < *count) power *= 2;
  for (int i = *count + lane::thread(); i < power; i += 256) kept[i] = 0;
  sort(kept, power);
  return kept;
}

RF_KERNEL(rf_best_of_part, BestParams, 256, 2) {
  RF_SHARED(std::uint64_t, lists, 256 + most_kept);
  RF_SHARED(std::int32_t, count, 1);
  const int part = lane::block_x(), row = lane::block_y(), first = best_block * part;
  lane::wait_for_previous();
  lane::let_next_start();
  if (row >= rows_of(p.count)) return;
  const int here = p.columns - first < best_block ? p.columns - first : best_block;
  const float* logits = p.logits + row * p.stride + first;
  const std::uint64_t* best =
      find_best(here, [=](int i) RF_INLINE { return key_of(logits[i], first + i); }, lists, count);
  if (lane::thread() < best_count)
    p.found[(static_cast<std::int64_t>(row) * p.parts + part) * best_count + lane::thread()] =
        best[lane::thread()];
}

RF_KERNEL(rf_best, BestParams, 256, 2) {
  RF_SHARED(std::uint64_t, lists, 256 + most_kept);
  RF_SHARED(std::int32_t, count, 1);
  const int row = lane::block_x();
  lane::wait_for_previous();
  lane::let_next_start();
  if (row >= rows_of(p.count)) return;
  const int all = p.parts * best_count;
  const std::uint64_t* found = p.found + static_cast<std::int64_t>(row) * all;
  const std::uint64_t* best = find_best(all, [=](int i) RF_INLINE { return found[i]; }, lists, count);
  if (lane::thread() >= best_count) return;
  const std::uint64_t key = best[lane::thread()];
  const auto ordered = static_cast<std::uint32_t>(key >> 32);
  const std::uint32_t bits = ordered ^ ((ordered >> 31) != 0 ? 0x80000000u : 0xffffffffu);
  Best& to = p.best[row * best_count + lane::thread()];
  to.logit = __builtin_bit_cast(float, bits);
  to.token = static_cast<std::int32_t>(0xffffffffu - static_cast<std::uint32_t>(key));  // of nothing: -1
}

}  // namespace rf::gpu
