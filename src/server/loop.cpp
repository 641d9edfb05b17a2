#include "server/loop.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <list>
#include <utility>

namespace rf {

namespace asio = boost::asio;

namespace {

// Re-arms itself as long as its handle lives, where it repeats.
struct Ticker : std::enable_shared_from_this<Ticker> {
  Ticker(asio::io_context& context, std::chrono::milliseconds every, std::function<void()> what, bool again)
      : timer(context), delay(every), task(std::move(what)), repeats(again) {}

  void arm() {
    timer.expires_after(delay);
    timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (error || self == nullptr) return;
      self->task();
      if (self->repeats && self.use_count() > 1) self->arm();
    });
  }

  asio::steady_timer timer;
  std::chrono::milliseconds delay;
  std::function<void()> task;
  bool repeats;
};

}  // namespace

struct Loop::State {
  asio::io_context context{1};
  asio::thread_pool pool{2};
  std::list<asio::signal_set> signals;

  void wait(asio::signal_set& set, std::function<void()> task) {
    set.async_wait([this, &set, task = std::move(task)](const boost::system::error_code& error, int) {
      if (error) return;
      task();
      wait(set, task);
    });
  }
};

Loop::Loop() : state_(std::make_unique<State>()) {}

Loop::~Loop() {
  state_->pool.join();
}

void Loop::run() {
  const auto work = asio::make_work_guard(state_->context);
  state_->context.run();
}

void Loop::stop() {
  state_->context.stop();
}

void Loop::post(std::function<void()> task) {
  asio::post(state_->context, std::move(task));
}

void Loop::background(std::function<void()> work, std::function<void()> done) {
  asio::post(state_->pool, [this, work = std::move(work), done = std::move(done)]() mutable {
    work();
    post(std::move(done));
  });
}

Loop::Timer Loop::after(std::chrono::milliseconds delay, std::function<void()> task) {
  auto ticker = std::make_shared<Ticker>(state_->context, delay, std::move(task), false);
  ticker->arm();
  return ticker;
}

Loop::Timer Loop::every(std::chrono::milliseconds delay, std::function<void()> task) {
  auto ticker = std::make_shared<Ticker>(state_->context, delay, std::move(task), true);
  ticker->arm();
  return ticker;
}

void Loop::on_signal(int signal, std::function<void()> task) {
  state_->wait(state_->signals.emplace_back(state_->context, signal), std::move(task));
}

asio::io_context& Loop::context() {
  return state_->context;
}

}  // namespace rf
