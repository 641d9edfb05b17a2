#include "base/team.h"

#include <sched.h>

#include <algorithm>
#include <system_error>

#include "base/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace rf {
namespace {

// Roughly 20 to 50 microseconds: longer than the gap between two steps, too short to show as load.
constexpr int spins = 2000;

inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns once `value` differs from `old`: spins first, then sleeps in the kernel.
template <class T>
void await_change(const std::atomic<T>& value, T old) {
  for (int i = 0; i < spins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    relax();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

// Holds the calling thread on one of the processors it may use while this lives, if they are as many as the
// team has members: members that wake each other all the time must not be put on the same one, which the
// kernel does where another program keeps one busy.
class OnProcessor {
 public:
  OnProcessor(int member, int team) {
    CPU_ZERO(&before_);
    if (team == 1 || sched_getaffinity(0, sizeof before_, &before_) != 0 || CPU_COUNT(&before_) != team)
      return;
    int cpu = 0;
    for (int left = member; left > 0 || !CPU_ISSET(cpu, &before_); ++cpu) left -= CPU_ISSET(cpu, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    held_ = sched_setaffinity(0, sizeof one, &one) == 0;
  }
  ~OnProcessor() {
    if (held_) sched_setaffinity(0, sizeof before_, &before_);
  }
  OnProcessor(const OnProcessor&) = delete;
  OnProcessor& operator=(const OnProcessor&) = delete;

 private:
  cpu_set_t before_;
  bool held_ = false;
};

// The members find `stop` set in the round that this begins.
template <class Round>
void end(std::atomic<bool>& stop, Round& round, std::vector<std::thread>& threads) {
  stop.store(true, std::memory_order_relaxed);
  round.fetch_add(1, std::memory_order_release);
  round.notify_all();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

Team::Team(int size) : size_(std::max(1, size)) {
  threads_.reserve(static_cast<std::size_t>(size_ - 1));
  try {
    for (int i = 1; i < size_; ++i) threads_.emplace_back([this, i] { member(i); });
  } catch (const std::system_error& error) {
    const std::size_t started = threads_.size();
    end(stop_, round_, threads_);
    fail("threads: {} can be started beside this one, not {}: {} (--threads N takes fewer)", started,
         size_ - 1, error.code().message());
  }
}

Team::~Team() {
  end(stop_, round_, threads_);
}

void Team::wait_phase(std::uint32_t phase) {
  await_change(phase_, phase);
}

void Team::run(const std::function<void(int)>& work) {
  const OnProcessor held(0, size_);
  if (size_ > 1) {
    work_ = &work;
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
  }
  work(0);
  if (size_ > 1) barrier();
}

void Team::member(int index) {
  const OnProcessor held(index, size_);
  std::uint64_t seen = 0;
  for (;;) {
    await_change(round_, seen);
    seen = round_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    (*work_)(index);
    barrier();
  }
}

int default_threads() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return std::max(1, CPU_COUNT(&allowed));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace rf
