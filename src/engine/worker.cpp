#include "engine/worker.h"

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

namespace rf {
namespace {

// Whole messages over the socket; any thread may send, one receives.
class Connection {
 public:
  explicit Connection(int socket) : socket_(socket) {}
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  template <class Message>
  void send(const Message& message) {
    const std::string bytes = message::encode(message);
    const std::lock_guard lock(mutex_);
    for (std::size_t sent = 0; sent < bytes.size() && open_;) {
      const ssize_t n = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n > 0)
        sent += static_cast<std::size_t>(n);
      else if (errno != EINTR)
        open_ = false;
    }
  }
  // False when the peer has closed.
  bool receive(message::Kind& kind, std::string& payload) {
    std::string header(message::header_bytes, '\0');
    if (!fill(header)) return false;
    const auto [length, found] = message::decode_header(header);
    kind = found;
    payload.resize(length);
    return fill(payload);
  }

 private:
  bool fill(std::string& bytes) {
    for (std::size_t got = 0; got < bytes.size();) {
      const ssize_t n = ::recv(socket_, bytes.data() + got, bytes.size() - got, 0);
      if (n > 0)
        got += static_cast<std::size_t>(n);
      else if (n == 0 || errno != EINTR)
        return false;
    }
    return true;
  }

  const int socket_;
  std::mutex mutex_;
  bool open_ = true;
};

class Worker {
 public:
  Worker(Connection& connection, Engine& engine, const WorkerParts& parts)
      : connection_(connection), engine_(engine), constraint_(parts.constraints(engine)) {
    engine_.plan().measure(true);
  }

  void read_messages();  // until the peer closes, on a thread of its own
  void run();            // until then, all else

 private:
  using Order = std::variant<message::Submit, message::Cancel, message::Embed>;

  void take_in(message::Kind kind, const std::string& payload);
  bool wait_for_work();  // false: the peer has closed
  void carry_out(message::Submit order);
  void carry_out(const message::Cancel& order);
  void carry_out(const message::Embed& order);
  void step();

  Connection& connection_;
  Engine& engine_;
  const std::function<std::shared_ptr<const TokenConstraint>(const message::ConstraintText&)> constraint_;
  std::map<std::uint64_t, std::uint64_t> theirs_, ours_;  // ids of live requests, by the other's

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Order> orders_;
  bool closed_ = false;
  EngineLoad load_;
  std::uint64_t steps_ = 0;
  bool idle_ = true;
};

void Worker::take_in(message::Kind kind, const std::string& payload) {
  const auto add = [this](Order order) {
    const std::lock_guard lock(mutex_);
    orders_.push_back(std::move(order));
    idle_ = false;
    changed_.notify_one();
  };
  if (kind == message::Kind::submit) {
    message::Submit order = message::decode<message::Submit>(payload);
    try {
      if (!order.constraint.texts.empty()) order.request.constraint = constraint_(order.constraint);
    } catch (const Error& error) {
      return connection_.send(message::Rejected{order.id, fmt::format("constraint: {}", error.what())});
    }
    add(std::move(order));
  } else if (kind == message::Kind::cancel) {
    add(message::decode<message::Cancel>(payload));
  } else if (kind == message::Kind::embed) {
    add(message::decode<message::Embed>(payload));
  } else if (kind == message::Kind::ping) {
    const auto ping = message::decode<message::Ping>(payload);
    std::unique_lock lock(mutex_);
    const message::Pong pong{.number = ping.number, .steps = steps_, .idle = idle_, .load = load_};
    lock.unlock();
    connection_.send(pong);
  } else {
    fail("engine message: there is no kind {} to an engine", static_cast<int>(kind));
  }
}

void Worker::read_messages() {
  try {
    message::Kind kind{};
    std::string payload;
    while (connection_.receive(kind, payload)) take_in(kind, payload);
  } catch (const std::exception& error) {
    spdlog::error("{}", error.what());
  }
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_one();
}

bool Worker::wait_for_work() {
  std::vector<Order> orders;
  {
    std::unique_lock lock(mutex_);
    load_ = engine_.load();
    idle_ = engine_.idle() && orders_.empty();
    changed_.wait(lock, [&] { return closed_ || !orders_.empty() || !engine_.idle(); });
    if (closed_) return false;
    orders.swap(orders_);
  }
  for (Order& order : orders) std::visit([this](auto& each) { carry_out(std::move(each)); }, order);
  return true;
}

void Worker::carry_out(message::Submit order) {
  try {
    const std::uint64_t ours = engine_.submit(std::move(order.request));
    theirs_[ours] = order.id;
    ours_[order.id] = ours;
    connection_.send(message::Accepted{order.id});
  } catch (const Error& error) {
    connection_.send(message::Rejected{order.id, error.what()});
  }
}

void Worker::carry_out(const message::Cancel& order) {
  const auto at = ours_.find(order.id);
  if (at != ours_.end()) engine_.cancel(at->second);
}

void Worker::carry_out(const message::Embed& order) {
  try {
    const std::uint64_t ours =
        engine_.submit(EmbeddingRequest{.tokens = order.tokens, .pooling = order.pooling});
    theirs_[ours] = order.id;
    ours_[order.id] = ours;
  } catch (const Error& error) {
    connection_.send(message::Rejected{order.id, error.what()});
  }
}

void Worker::step() {
  const auto moved = [this] {
    double bytes = 0;
    for (const Stat& stat : engine_.plan().stats()) bytes += stat.bytes;
    return bytes;
  };
  message::Events result;
  const double before = moved();
  const std::int64_t start = now_ns();
  engine_.step(result.events);
  result.ns = now_ns() - start;
  result.bytes = moved() - before;
  const EngineLoad load = engine_.load();
  result.rows = load.rows;
  result.decoding = load.decoding_rows;
  for (Event& event : result.events) {
    const auto at = theirs_.find(event.request);
    event.request = at->second;
    if (!event.embedding.empty())
      connection_.send(message::Embedding{at->second, std::move(event.embedding)});
    if (event.finish == Finish::unfinished) continue;
    ours_.erase(at->second);
    theirs_.erase(at);
  }
  connection_.send(result);
  const std::lock_guard lock(mutex_);
  ++steps_;
}

void Worker::run() {
  while (wait_for_work())
    if (!engine_.idle()) step();
}

}  // namespace

int run_worker(int socket, const WorkerParts& parts) {
  Connection connection(socket);
  std::unique_ptr<Engine> engine;
  try {
    std::int64_t next = 0;
    engine = parts.load([&](std::size_t done, std::size_t total) {
      if (now_ns() < next) return;
      next = now_ns() + 100'000'000;
      connection.send(message::Loading{done, total});
    });
  } catch (const std::exception& error) {
    connection.send(message::Failed{error.what()});
    return 1;
  }
  const RunLimits& limits = engine->plan().limits();
  const MemoryNeed memory = engine->plan().memory();
  Worker worker(connection, *engine, parts);
  connection.send(message::Ready{.context = engine->context(),
                                 .parallel = limits.batch.sequences,
                                 .pages = limits.cache_pages,
                                 .page_tokens = limits.page_tokens,
                                 .load_seconds = engine->load_seconds(),
                                 .weight_bytes = memory.weights,
                                 .cache_bytes = memory.cache,
                                 .host_bytes = engine->most_host_bytes()});
  std::thread reader([&] { worker.read_messages(); });
  try {
    worker.run();
  } catch (const std::exception& error) {  // the server starts another engine
    spdlog::critical("the engine failed: {}", error.what());
    ::_exit(1);
  }
  reader.join();
  return 0;
}

}  // namespace rf
