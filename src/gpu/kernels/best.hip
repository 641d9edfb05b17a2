// The highest logits of rows, best first (rf::Candidate); grids stand in params.h.
//
// Block 256, LDS 32 KB: up to 4,096 keys, of which the best 64 stay. Runs of 64 are sorted, alternately
// falling and rising, by Batcher's bitonic network; then the better halves of two neighbours make one, until
// one is left.
#include "gpu/kernels/norm.h"

namespace rf::gpu {

// Orders as rf::better does: by the logit, and lower tokens first; NaN and nothing come last.
RF_DEVICE std::uint64_t key_of(float logit, int token) {
  if (logit != logit) return 0;
  const auto bits = __builtin_bit_cast(std::uint32_t, logit + 0.0f);  // -0 is 0
  const std::uint32_t ordered = bits ^ ((bits >> 31) != 0 ? 0xffffffffu : 0x80000000u);
  return static_cast<std::uint64_t>(ordered) << 32 | (0xffffffffu - static_cast<std::uint32_t>(token));
}

// One stage of the network on keys[0 .. n): pairs `apart` from each other, falling where bit `by` is not set.
RF_DEVICE void exchange(std::uint64_t* keys, int n, int apart, int by) {
  lane::barrier();
  RF_NO_UNROLL
  for (int i = lane::thread(); i < n / 2; i += 256) {
    const int low = 2 * i - (i & (apart - 1)), high = low + apart;
    const std::uint64_t a = keys[low], b = keys[high];
    if ((a < b) == ((low & by) == 0)) keys[low] = b, keys[high] = a;
  }
}

// keys[0 .. 64) = the best of keys[0 .. n), best first; n: a power of two, 64 to 4,096.
RF_DEVICE void keep_best(std::uint64_t* keys, int n) {
  RF_NO_UNROLL
  for (int run = 2; run <= best_count; run *= 2) RF_NO_UNROLL
  for (int apart = run / 2; apart > 0; apart /= 2) exchange(keys, n, apart, run);
  RF_NO_UNROLL
  for (n /= 2; n >= best_count; n /= 2) {
    std::uint64_t kept[best_block / 2 / 256];
    lane::barrier();
    RF_UNROLL
    for (int i = 0; i < best_block / 2 / 256; ++i) {
      const int to = lane::thread() + 256 * i, from = to / best_count * 2 * best_count + to % best_count;
      if (to >= n) continue;
      const std::uint64_t a = keys[from], b = keys[from + best_count];
      kept[i] = a > b ? a : b;
    }
    lane::barrier();
    RF_UNROLL
    for (int i = 0; i < best_block / 2 / 256; ++i)
      if (lane::thread() + 256 * i < n) keys[lane::thread() + 256 * i] = kept[i];
    RF_NO_UNROLL
    for (int apart = best_count / 2; apart > 0; apart /= 2) exchange(keys, n, apart, best_count);
  }
  lane::barrier();
}

RF_DEVICE int power_of_two(int n) {
  int power = best_count;
  while (power < n) power *= 2;
  return power;
}

RF_KERNEL(rf_best_of_part, BestParams, 256, 2) {
  RF_SHARED(std::uint64_t, keys, best_block);
  const int part = lane::block_x(), row = lane::block_y(), first = best_block * part;
  lane::wait_for_previous();
  lane::let_next_start();
  if (row >= rows_of(p.count)) return;
  const int here = p.columns - first < best_block ? p.columns - first : best_block, n = power_of_two(here);
  const float* logits = p.logits + row * p.stride + first;
  for (int i = lane::thread(); i < n; i += 256) keys[i] = i < here ? key_of(logits[i], first + i) : 0;
  keep_best(keys, n);
  if (lane::thread() < best_count)
    p.found[(static_cast<std::int64_t>(row) * p.parts + part) * best_count + lane::thread()] =
        keys[lane::thread()];
}

RF_KERNEL(rf_best, BestParams, 256, 2) {
  RF_SHARED(std::uint64_t, keys, best_block);
  const int row = lane::block_x();
  lane::wait_for_previous();
  lane::let_next_start();
  if (row >= rows_of(p.count)) return;
  const int all = p.parts * best_count, n = power_of_two(all);
  const std::uint64_t* found = p.found + static_cast<std::int64_t>(row) * all;
  for (int i = lane::thread(); i < n; i += 256) keys[i] = i < all ? found[i] : 0;
  keep_best(keys, n);
  if (lane::thread() >= best_count) return;
  const std::uint64_t key = keys[lane::thread()];
  const auto ordered = static_cast<std::uint32_t>(key >> 32);
  const std::uint32_t bits = ordered ^ ((ordered >> 31) != 0 ? 0x80000000u : 0xffffffffu);
  Best& to = p.best[row * best_count + lane::thread()];
  to.logit = __builtin_bit_cast(float, bits);
  to.token = static_cast<std::int32_t>(0xffffffffu - static_cast<std::uint32_t>(key));  // of nothing: -1
}

}  // namespace rf::gpu
