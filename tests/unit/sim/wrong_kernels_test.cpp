// What the simulated device finds in kernels that are wrong, each beside one that is right.
#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <vector>

#include "gpu/kernels/lane.h"
#include "sim/fibres.h"

#if defined(__SANITIZE_ADDRESS__)
#define RF_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RF_ASAN
#endif
#endif

namespace rf::gpu {
namespace {

struct Params {
  const float* in;
  float* out;
  int n;
};
constexpr int threads = 64;

// out[t] = in[t] + in[t + 1], by way of LDS.
template <bool waits>
void add_neighbours(Params p) {
  RF_SHARED(float, values, threads);
  const int t = lane::thread();
  values[t] = p.in[t];
  if (waits) lane::barrier();
  p.out[t] = values[t] + values[(t + 1) % threads];
}

// The same in place: what is read must not be written meanwhile.
template <bool waits>
void add_in_place(Params p) {
  RF_SHARED(float, values, threads);
  const int t = lane::thread();
  values[t] = p.in[t];
  lane::barrier();
  const float sum = values[t] + values[(t + 1) % threads];
  if (waits) lane::barrier();
  values[t] = sum;
  lane::barrier();
  p.out[t] = values[t];
}

// p.n elements, of which there are `threads`, through memory, LDS, or LDS that the launch asked for.
void copy_memory(Params p) {
  if (lane::thread() < p.n) p.out[lane::thread()] = p.in[lane::thread()];
}
void copy_shared(Params p) {
  RF_SHARED(float, values, threads / 2);
  float* to = values;
  if (lane::thread() < p.n) to[lane::thread()] = p.in[lane::thread()];
}
void copy_dynamic(Params p) {
  auto* to = reinterpret_cast<float*>(lane::dynamic_shared());
  if (lane::thread() < p.n) to[lane::thread()] = p.in[lane::thread()];
}

void read_unwritten(Params p) {
  RF_SHARED(float, values, threads);
  if (lane::thread() < p.n) values[lane::thread()] = 1;
  lane::barrier();
  p.out[lane::thread()] = values[lane::thread()];
}

void part_in_shuffle(Params p) {
  if (lane::thread() < p.n)
    lane::barrier();
  else
    p.out[lane::thread()] = lane::shuffle_xor(1.0f, 1);
}

void load_anywhere(Params p) {
  p.out[lane::thread()] = static_cast<float>(lane::load4(p.in + p.n).w[0]);
}

template <void kernel(Params)>
std::vector<float> result_of(int n, std::size_t dynamic_bytes = 0) {
  std::vector<float> in(threads), out(threads);
  std::iota(in.begin(), in.end(), 1.0f);
  const Params params{in.data(), out.data(), n};
  sim::run({.name = "kernel",
            .call = [](const void* p) { kernel(*static_cast<const Params*>(p)); },
            .params = &params,
            .grid = {1, 1, 1},
            .threads = threads,
            .dynamic_bytes = dynamic_bytes});
  return out;
}

template <void kernel(Params)>
std::set<std::vector<float>> results_of() {
  std::set<std::vector<float>> all;
  for (int i = 0; i < 20; ++i) all.insert(result_of<kernel>(threads));
  return all;
}

// Without its barrier a kernel gives other results from run to run, and hardly ever the right one.
TEST(WrongKernels, AMissingBarrierShows) {
  std::vector<float> expected(threads);
  for (int t = 0; t < threads; ++t)
    expected[static_cast<std::size_t>(t)] = static_cast<float>(t + 1 + (t + 1) % threads + 1);
  EXPECT_EQ(results_of<add_neighbours<true>>(), std::set{expected});
  EXPECT_EQ(results_of<add_in_place<true>>(), std::set{expected});
  EXPECT_GT(results_of<add_neighbours<false>>().size(), 2u);
  EXPECT_GT(results_of<add_in_place<false>>().size(), 2u);
  EXPECT_FALSE(results_of<add_neighbours<false>>().contains(expected));
  EXPECT_FALSE(results_of<add_in_place<false>>().contains(expected));
}

TEST(WrongKernels, UnwrittenSharedMemoryShows) {
  EXPECT_EQ(result_of<read_unwritten>(threads), std::vector<float>(threads, 1.0f));
  EXPECT_NE(result_of<read_unwritten>(threads - 1).back(), 1.0f);
}

TEST(WrongKernels, AWaveOfWhichPartIsAtABarrierEnds) {
  EXPECT_EQ(result_of<part_in_shuffle>(0).back(), 1.0f);
  EXPECT_EQ(result_of<part_in_shuffle>(RF_SIM_WAVE).back(), 1.0f);  // whole waves
  EXPECT_DEATH(result_of<part_in_shuffle>(7), "kernel kernel, block .0, 0, 0., thread .*at a barrier");
}

TEST(WrongKernels, AMisalignedVectorLoadEnds) {
  result_of<load_anywhere>(4);
  EXPECT_DEATH(result_of<load_anywhere>(3), "misaligned load");
}

TEST(WrongKernels, AccessesOutOfBoundsEnd) {
  result_of<copy_memory>(threads);
  result_of<copy_shared>(threads / 2);
  result_of<copy_dynamic>(threads / 2, threads / 2 * sizeof(float));
#ifdef RF_ASAN
  const auto narrow = [] {
    std::vector<float> in(threads), out(threads - 1);
    const Params params{in.data(), out.data(), threads};
    sim::run({.name = "kernel",
              .call = [](const void* p) { copy_memory(*static_cast<const Params*>(p)); },
              .params = &params,
              .grid = {1, 1, 1},
              .threads = threads,
              .dynamic_bytes = 0});
  };
  EXPECT_DEATH(narrow(), "heap-buffer-overflow");
  EXPECT_DEATH(result_of<copy_shared>(threads / 2 + 1), "heap-buffer-overflow");
  EXPECT_DEATH(result_of<copy_dynamic>(threads / 2 + 1, threads / 2 * sizeof(float)), "heap-buffer-overflow");
#else
  GTEST_SKIP() << "found by the address sanitizer alone";
#endif
}

}  // namespace
}  // namespace rf::gpu
