// Loop: the one thread on which the server lives, its timers and signals, and a few threads for work that
// takes long.
#pragma once
#include <chrono>
#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace rf {

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void run();   // until stop()
  void stop();  // from any thread

  void post(std::function<void()> task);  // from any thread: runs it on the loop
  // Runs `work` on a thread beside the loop, then `done` on the loop. Neither may throw.
  void background(std::function<void()> work, std::function<void()> done);

  // Calls `task` after a time, or each time it has passed again; not once the handle is gone.
  using Timer = std::shared_ptr<void>;
  [[nodiscard]] Timer after(std::chrono::milliseconds delay, std::function<void()> task);
  [[nodiscard]] Timer every(std::chrono::milliseconds delay, std::function<void()> task);
  // From now on the signal does nothing but call `task`.
  void on_signal(int signal, std::function<void()> task);

  boost::asio::io_context& context();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rf
