// Team: a standing team of threads that runs one function at a time on all its members, and their barrier.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace rf {

// Members spin a short while for the next piece of work, then sleep: an idle team uses no CPU.
class Team {
 public:
  explicit Team(int size);  // the calling thread of run() is member 0; size - 1 threads are started
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return size_; }

  // Calls work(member) once for every member in [0, size) and returns when all have returned.
  // One run at a time; `work` must not throw.
  void run(const std::function<void(int)>& work);

  // Inside run(): returns when every member has called it as often as this one. All memory written before it
  // by any member is visible after it. `prepare` runs once, on the last member to arrive, before any is let
  // go.
  template <class Prepare>
  void barrier(Prepare&& prepare) {
    const std::uint32_t phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == size_ - 1) {
      prepare();
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      phase_.notify_all();
    } else {
      wait_phase(phase);
    }
  }
  void barrier() {
    barrier([] {});
  }

 private:
  void wait_phase(std::uint32_t phase);
  void member(int index);

  const int size_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<std::uint32_t> phase_{0};
  alignas(64) std::atomic<std::uint64_t> round_{0};  // bumped for each run
  const std::function<void(int)>* work_ = nullptr;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

// How many threads a team should have by default: the processors this process may run on.
int default_threads();

}  // namespace rf
