#include "cpu/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/team.h"
#include "cpu/cpu.h"

namespace rf {

Arena::Arena(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  void* block =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block == MAP_FAILED) fail("out of memory: {} MB wanted: {}", bytes >> 20, std::strerror(errno));
  ::madvise(block, bytes, MADV_HUGEPAGE);
  data_ = static_cast<std::byte*>(block);
}

Arena::~Arena() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Arena::Arena(Arena&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

double measure_read_bandwidth(int threads) {
  constexpr std::size_t bytes = std::size_t{256} << 20;  // far beyond any cache
  const Arena arena(bytes);
  std::memset(arena.data(), 1, bytes);
  Team team(threads > 0 ? threads : default_threads());
  const auto* words = reinterpret_cast<const std::uint64_t*>(arena.data());
  const std::size_t share = bytes / sizeof(std::uint64_t) / static_cast<std::size_t>(team.size());
  std::atomic<std::uint64_t> sink{0};
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    const std::int64_t start = now_ns();
    team.run([&](int member) {
      std::uint64_t sums[8] = {};
      const std::uint64_t* from = words + share * static_cast<std::size_t>(member);
      for (std::size_t i = 0; i + 8 <= share; i += 8)
        for (std::size_t j = 0; j < 8; ++j) sums[j] += from[i + j];
      for (const std::uint64_t s : sums) sink.fetch_add(s, std::memory_order_relaxed);
    });
    best = std::max(best, static_cast<double>(bytes) / static_cast<double>(now_ns() - start) * 1e9);
  }
  return sink.load() == 0 ? 0 : best;
}

}  // namespace rf
