#include "server/engine_host.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

namespace rf {
namespace {

// In a row; what was loaded before is more likely killed by others than broken.
constexpr int most_failed_starts = 5, most_failed_restarts = 20;
// A request that is there each time that the engine dies, and gets no token in between, may well be why.
constexpr int most_deaths = 10;

}  // namespace

EngineHost::EngineHost(Loop& loop, Options options, Metrics& metrics)
    : loop_(loop), options_(std::move(options)), metrics_(metrics) {}

void EngineHost::change(State state) {
  if (std::exchange(state_, state) == state) return;
  if (on_state) on_state();
  if (state == State::loading) return;
  for (const auto& then : std::exchange(waiting_to_know_, {})) then();
}

void EngineHost::when_known(std::function<void()> then) {
  if (facts_.context > 0 || state_ == State::broken) return then();
  waiting_to_know_.push_back(std::move(then));
  start();
}

void EngineHost::start() {
  if (state_ == State::loading || state_ == State::ready) return;
  failed_starts_ = 0;
  launch();
}

void EngineHost::stop() {
  ticker_ = retry_ = nullptr;
  process_ = nullptr;
  load_ = {};
  change(State::stopped);
}

void EngineHost::launch() {
  alive_ns_ = now_ns();
  loaded_part_ = 0;
  try {
    process_ = std::make_unique<WorkerProcess>(
        loop_, options_.command,
        WorkerProcess::Handlers{
            .message = [this](message::Kind kind, std::string_view payload) { take(kind, payload); },
            .ended = [this](const std::string& why) { ended(why); }});
  } catch (const Error& error) {  // no descriptor is left, perhaps: for a while
    change(State::loading);
    trouble_ = error.what();
    return ended(trouble_);
  }
  ticker_ = loop_.every(std::chrono::milliseconds(500), [this] { watch(); });
  change(State::loading);
}

std::uint64_t EngineHost::submit(Job job) {
  const std::uint64_t id = ++last_id_;
  Live& live = jobs_[id];
  live.job = std::move(job);
  if (state_ == State::ready)
    send(id, live);
  else
    start();
  return id;
}

std::uint64_t EngineHost::submit(EmbedJob job) {
  const std::uint64_t id = ++last_id_;
  if (state_ == State::ready)
    process_->send(message::Embed{id, job.tokens, job.pooling});
  else
    start();
  embeds_[id] = std::move(job);
  return id;
}

void EngineHost::send(std::uint64_t id, Live& live) {
  live.sent = true;
  process_->send(message::Submit{id, live.job.request, live.job.constraint});
  if (live.cancelled) process_->send(message::Cancel{id});
}

void EngineHost::cancel(std::uint64_t id) {
  const auto at = jobs_.find(id);
  if (at == jobs_.end() || std::exchange(at->second.cancelled, true)) return;
  if (at->second.sent) {
    process_->send(message::Cancel{id});
    return;
  }
  const Live live = std::move(at->second);
  jobs_.erase(at);
  Event last;
  last.request = id;
  last.finish = Finish::cancelled;
  loop_.post([tell = live.job.event, last] { tell(last); });
}

void EngineHost::forget(std::uint64_t id) {
  embeds_.erase(id);
  const auto at = jobs_.find(id);
  if (at == jobs_.end()) return;
  if (at->second.sent && state_ == State::ready) process_->send(message::Cancel{id});
  jobs_.erase(at);
}

int EngineHost::waiting() const {
  return static_cast<int>(std::ranges::count_if(jobs_, [](const auto& each) { return !each.second.begun; }));
}

void EngineHost::take(message::Kind kind, std::string_view payload) {
  using message::Kind;
  switch (kind) {
    case Kind::loading: {
      const auto loading = message::decode<message::Loading>(payload);
      alive_ns_ = now_ns();
      if (loading.total > 0)
        loaded_part_ = static_cast<double>(loading.done) / static_cast<double>(loading.total);
      return;
    }
    case Kind::ready:
      return take(message::decode<message::Ready>(payload));
    case Kind::failed:
      trouble_ = message::decode<message::Failed>(payload).text;
      failed_starts_ = std::max(failed_starts_, restarts_ == 0 ? most_failed() : 0);
      return;
    case Kind::accepted: {
      const auto at = jobs_.find(message::decode<message::Accepted>(payload).id);
      if (at == jobs_.end() || std::exchange(at->second.accepted, true)) return;
      const auto tell = at->second.job.accepted;
      return tell();
    }
    case Kind::rejected: {
      const auto rejected = message::decode<message::Rejected>(payload);
      return reject(rejected.id, 400, rejected.text);
    }
    case Kind::events:
      return take(message::decode<message::Events>(payload));
    case Kind::embedding: {
      auto embedding = message::decode<message::Embedding>(payload);
      const auto at = embeds_.find(embedding.id);
      if (at == embeds_.end()) return;
      const auto tell = at->second.done;
      embeds_.erase(at);
      return tell(std::move(embedding.values));
    }
    case Kind::pong: {
      const auto pong = message::decode<message::Pong>(payload);
      metrics_.gave_way(pong.load.sent_back - load_.sent_back, pong.load.read_again - load_.read_again);
      load_ = pong.load;
      if (pong.idle || pong.steps != steps_) alive_ns_ = now_ns();
      steps_ = pong.steps;
      return;
    }
    default:
      fail("engine message: there is no kind {} from an engine", static_cast<int>(kind));
  }
}

void EngineHost::take(const message::Ready& facts) {
  if (facts.version != message::version)
    fail("engine message: expected version {}, found {}", message::version, facts.version);
  facts_ = facts;
  alive_ns_ = ready_ns_ = now_ns();
  failed_starts_ = 0;
  loaded_part_ = 1;
  change(State::ready);
  for (auto& [id, live] : jobs_) send(id, live);
  for (auto& [id, job] : embeds_) process_->send(message::Embed{id, job.tokens, job.pooling});
  spdlog::info("{}: loaded in {:.2f} s, process {}", options_.name, facts_.load_seconds, pid());
}

// The journal has each token before anyone is told of it.
void EngineHost::take(const message::Events& events) {
  alive_ns_ = now_ns();
  metrics_.step(options_.name, events);
  for (const Event& event : events.events) {
    const auto at = jobs_.find(event.request);
    if (at == jobs_.end()) continue;
    Live& live = at->second;
    live.begun = true;
    if (event.token >= 0) {
      live.job.request.given.push_back(event.token);
      live.job.request.surprise = event.surprise;
      live.deaths = 0;
    }
    const auto tell = live.job.event;
    if (event.finish != Finish::unfinished) jobs_.erase(at);
    tell(event);
  }
}

void EngineHost::reject(std::uint64_t id, int status, const std::string& what) {
  if (const auto at = embeds_.find(id); at != embeds_.end()) {
    const auto tell = at->second.failed;
    embeds_.erase(at);
    return tell(status, what);
  }
  const auto at = jobs_.find(id);
  if (at == jobs_.end()) return;
  const auto tell = at->second.job.failed;
  jobs_.erase(at);
  tell(status, what);
}

void EngineHost::fail_all(int status, const std::string& what) {
  while (!jobs_.empty()) reject(jobs_.begin()->first, status, what);
  while (!embeds_.empty()) reject(embeds_.begin()->first, status, what);
}

int EngineHost::most_failed() const {
  return ready_ns_ == 0 ? most_failed_starts : most_failed_restarts;
}

void EngineHost::ended(const std::string& why) {
  if (state_ == State::stopped) return;
  const bool was_ready = state_ == State::ready;
  if (was_ready || trouble_.empty()) trouble_ = fmt::format("the engine of {} ended: {}", options_.name, why);
  process_ = nullptr;
  load_ = {};
  if (!was_ready && ++failed_starts_ >= most_failed()) {
    ticker_ = nullptr;
    spdlog::error("{}: cannot be loaded: {}", options_.name, trouble_);
    change(State::broken);
    return fail_all(503, trouble_);
  }
  ++restarts_;
  metrics_.restarted(options_.name);
  spdlog::error("{}; it is started again for {} requests", trouble_, jobs());
  std::vector<std::uint64_t> hopeless;
  for (auto& [id, live] : jobs_) {
    if (live.sent && ++live.deaths > most_deaths) hopeless.push_back(id);
    live.sent = false;
  }
  for (const std::uint64_t id : hopeless)
    reject(id, 500, "the engine ended each time that it ran this request");
  std::vector<std::uint64_t> cancelled;
  for (auto& [id, live] : jobs_)
    if (live.cancelled) cancelled.push_back(id);
  for (const std::uint64_t id : cancelled) {
    jobs_.at(id).cancelled = false;
    cancel(id);
  }
  // One that dies as soon as it is there is given ever more time.
  const bool soon = was_ready && now_ns() - ready_ns_ < 1'000'000'000;
  early_ends_ = soon ? early_ends_ + 1 : 0;
  if (was_ready && early_ends_ < 3) return launch();
  change(State::loading);
  retry_ = loop_.after(std::chrono::milliseconds(50 << std::min(failed_starts_ + early_ends_, 4)),
                       [this] { launch(); });
}

// An engine that has work steps, one that loads tells how far it is, and any answers.
void EngineHost::watch() {
  if (process_ == nullptr) return;
  const std::int64_t patience = std::int64_t{options_.watchdog_seconds} * 1'000'000'000;
  if (now_ns() - alive_ns_ > (state_ == State::ready ? patience : 10 * patience)) {
    spdlog::error("{}: the engine has done nothing for {} s and is killed", options_.name,
                  options_.watchdog_seconds);
    return process_->kill();
  }
  if (state_ == State::ready) process_->send(message::Ping{++pings_});
}

}  // namespace rf
