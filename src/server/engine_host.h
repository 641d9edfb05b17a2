// EngineHost: a model's engine in a process that may die, and the journal of what it was asked and has given.
// When the process ends, hangs or breaks the protocol, a new one is started and every live request goes on
// where it was.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/message.h"
#include "server/loop.h"
#include "server/metrics.h"
#include "server/worker_process.h"

namespace rf {

struct Job {
  Request request;  // its seed is set; `given` is the journal of its answer
  message::ConstraintText constraint;
  // On the loop. After an event with a finish, or after failed(), nothing more comes.
  std::function<void()> accepted;
  std::function<void(const Event&)> event;
  std::function<void(int status, const std::string& what)> failed;  // 400: the request is at fault
};

struct EmbedJob {
  std::vector<std::int32_t> tokens;
  std::optional<Pooling> pooling;  // none: as the model says
  std::function<void(std::vector<float> values)> done;
  std::function<void(int status, const std::string& what)> failed;
};

class EngineHost {
 public:
  struct Options {
    std::vector<std::string> command;  // of WorkerProcess
    int watchdog_seconds = 120;        // without a step while there is work
    std::string name;                  // of the model
  };
  enum class State : std::uint8_t { stopped, loading, ready, broken };

  EngineHost(Loop& loop, Options options, Metrics& metrics);

  void start();  // where it is stopped or broken
  void stop();   // only while there are no jobs
  // Starts the engine where it is not running. Returns the job's id.
  std::uint64_t submit(Job job);
  std::uint64_t submit(EmbedJob job);
  // Calls `then` once facts() are those of this model, or it cannot be loaded; perhaps at once.
  void when_known(std::function<void()> then);
  void cancel(std::uint64_t id);  // its event with Finish::cancelled comes soon
  void forget(std::uint64_t id);  // cancels it; it is told nothing more

  void set_watchdog(int seconds) { options_.watchdog_seconds = seconds; }

  State state() const { return state_; }
  bool awaited() const { return !waiting_to_know_.empty(); }
  int jobs() const { return static_cast<int>(jobs_.size() + embeds_.size()); }
  int waiting() const;  // of them, those that have not begun
  const message::Ready& facts() const { return facts_; }
  const EngineLoad& load() const { return load_; }
  const std::string& trouble() const { return trouble_; }  // why it is broken, or last ended
  double loaded_part() const { return loaded_part_; }
  std::uint64_t restarts() const { return restarts_; }
  int pid() const { return process_ ? process_->pid() : 0; }
  std::function<void()> on_state;  // state() has changed

 private:
  struct Live {
    Job job;
    bool sent = false, accepted = false, begun = false, cancelled = false;
    int deaths = 0;  // engines that ended while it ran, since its last token
  };

  void launch();
  void take(message::Kind kind, std::string_view payload);
  void take(const message::Ready& facts);
  void take(const message::Events& events);
  void ended(const std::string& why);
  void fail_all(int status, const std::string& what);
  void send(std::uint64_t id, Live& live);
  void reject(std::uint64_t id, int status, const std::string& what);
  void change(State state);
  void watch();
  int most_failed() const;  // starts, until a model counts as broken

  Loop& loop_;
  Options options_;
  Metrics& metrics_;
  State state_ = State::stopped;
  std::unique_ptr<WorkerProcess> process_;
  std::map<std::uint64_t, Live> jobs_;
  std::map<std::uint64_t, EmbedJob> embeds_;
  std::vector<std::function<void()>> waiting_to_know_;
  std::uint64_t last_id_ = 0;
  message::Ready facts_;
  EngineLoad load_;
  std::string trouble_;
  double loaded_part_ = 0;
  std::uint64_t restarts_ = 0;
  int failed_starts_ = 0;  // in a row
  int early_ends_ = 0;     // in a row
  std::int64_t ready_ns_ = 0;
  std::uint64_t pings_ = 0, steps_ = 0;
  std::int64_t alive_ns_ = 0;  // it last did what it should
  Loop::Timer ticker_, retry_;
};

}  // namespace rf
