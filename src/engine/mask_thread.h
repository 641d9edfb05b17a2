// MaskThread: finds out what constrained replies may say next while a batch runs.
#pragma once
#include <semaphore>
#include <span>
#include <thread>

#include "engine/reply.h"

namespace rf {

// A thread that sleeps between batches: it never spins, as it may share its core with the batch.
class MaskThread {
 public:
  MaskThread() = default;
  ~MaskThread() {
    thread_.request_stop();
    due_.release();
  }
  MaskThread(const MaskThread&) = delete;
  MaskThread& operator=(const MaskThread&) = delete;

  // Prepares `replies`, which are not to be touched until finish() returns.
  void start(std::span<Reply* const> replies) {
    replies_ = replies;
    due_.release();
  }
  void finish() { done_.acquire(); }

 private:
  void work(const std::stop_token& stop) {
    for (due_.acquire(); !stop.stop_requested(); due_.acquire()) {
      for (Reply* reply : replies_) reply->prepare();
      done_.release();
    }
  }

  std::span<Reply* const> replies_;
  std::binary_semaphore due_{0}, done_{0};
  std::jthread thread_{[this](const std::stop_token& stop) { work(stop); }};
};

}  // namespace rf
