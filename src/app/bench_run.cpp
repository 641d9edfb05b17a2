#include "app/bench_run.h"

#include <algorithm>
#include <map>

#include "base/clock.h"
#include "base/error.h"

namespace rf {
namespace {

double seconds_since(std::int64_t start) {
  return static_cast<double>(now_ns() - start) * 1e-9;
}

void add(Stat& sum, const Stat& stat) {
  sum.calls += stat.calls;
  sum.ns += stat.ns;
  sum.bytes += stat.bytes;
  sum.flops += stat.flops;
}

std::vector<Stat> snapshot(Plan& plan) {
  return {plan.stats().begin(), plan.stats().end()};
}

}  // namespace

BenchRun::BenchRun(Engine& engine, const BenchShape& shape) : engine_(engine), shape_(shape) {}

std::vector<std::int32_t> BenchRun::random_tokens(int count) {
  std::vector<std::int32_t> tokens;
  const auto vocab = static_cast<std::uint32_t>(engine_.spec().vocab);
  for (int i = 0; i < count; ++i) tokens.push_back(static_cast<std::int32_t>(random_() % vocab));
  return tokens;
}

std::uint64_t BenchRun::submit(int prompt, int tokens) {
  Request request;
  request.prompt = random_tokens(prompt);
  request.sampling.temperature = 0;
  request.max_tokens = tokens;
  request.ignore_eos = true;
  return engine_.submit(std::move(request));
}

double BenchRun::prefill() {
  submit(shape_.prompt, 1);
  std::vector<Event> events;
  const std::int64_t start = now_ns();
  while (engine_.step(events)) {
  }
  return seconds_since(start);
}

template <class Mark>
double BenchRun::streams(int& tokens, const Mark& mark) {
  std::map<std::uint64_t, int> given;  // tokens of each stream
  // Streams start one after the other; the first goes on until the last has begun.
  for (int i = 0; i < shape_.batch; ++i) given[submit(std::max(shape_.depth, 1), shape_.decode + 1)] = 0;
  std::size_t begun = 0;
  std::int64_t start = 0;
  tokens = 0;
  std::vector<Event> events;
  bool measuring = false, done = false;
  double seconds = 0;
  while (engine_.step(events)) {
    for (const Event& event : events) {
      if (event.token < 0) continue;
      begun += given[event.request]++ == 0 ? 1 : 0;
      tokens += measuring && !done ? 1 : 0;
    }
    if (measuring && !done && std::any_of(events.begin(), events.end(), [](const Event& e) {
          return e.finish != Finish::unfinished;
        })) {
      seconds = seconds_since(start);
      done = true;
      mark(false);
    }
    if (!measuring && begun == given.size()) {
      measuring = true;
      mark(true);
      start = now_ns();
    }
    events.clear();
  }
  if (tokens == 0)
    fail("bench: no stream was left to measure once all had begun: more tokens (-n) or fewer streams (-b)");
  return seconds;
}

double BenchRun::decode() {
  int tokens = 0;
  const double seconds = streams(tokens, [](bool) {});
  return seconds / tokens * shape_.batch;
}

PhaseSteps BenchRun::steps_since(const std::vector<Stat>& before) const {
  const Program& program = engine_.plan().program();
  std::map<std::pair<Op, int>, Stat> by_op_and_place;
  PhaseSteps phase;
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    Stat stat = engine_.plan().stats()[i];
    stat.calls -= before[i].calls;
    stat.ns -= before[i].ns;
    stat.bytes -= before[i].bytes;
    stat.flops -= before[i].flops;
    add(by_op_and_place[{program.steps[i].op, engine_.plan().place(static_cast<int>(i))}], stat);
    add(phase.total, stat);
  }
  for (const auto& [key, stat] : by_op_and_place) phase.steps.push_back({key.first, key.second, stat});
  std::sort(phase.steps.begin(), phase.steps.end(),
            [](const StepTime& a, const StepTime& b) { return a.stat.ns > b.stat.ns; });
  return phase;
}

PhaseSteps BenchRun::prefill_steps() {
  engine_.plan().measure(true);
  const std::vector<Stat> before = snapshot(engine_.plan());
  prefill();
  PhaseSteps phase = steps_since(before);
  engine_.plan().measure(false);
  return phase;
}

PhaseSteps BenchRun::decode_steps() {
  engine_.plan().measure(true);
  std::vector<Stat> before;
  PhaseSteps phase;
  int tokens = 0;
  streams(tokens, [&](bool begins) {
    if (begins)
      before = snapshot(engine_.plan());
    else
      phase = steps_since(before);
  });
  engine_.plan().measure(false);
  return phase;
}

}  // namespace rf
