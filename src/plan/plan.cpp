#include "plan/plan.h"

#include <algorithm>
#include <utility>

#include "plan/placement.h"

namespace rf {
namespace {

using Progress = std::function<void(std::size_t done, std::size_t total)>;

// Turns one backend's progress into the whole plan's.
struct Share {
  const Progress* progress;
  std::size_t before, total;  // bytes

  static void report(void* context, std::size_t done, std::size_t) {
    const Share& share = *static_cast<Share*>(context);
    if (*share.progress) (*share.progress)(share.before + done, share.total);
  }
};

}  // namespace

struct Plan::Part {
  struct Copy {
    SlotId slot;
    int from;
  };
  int place = 0;
  int first = 0;             // the step that the run begins with
  std::vector<Copy> copies;  // into this place, before the run
  std::unique_ptr<Run> run;
};

Plan::Plan(const Program& program, std::vector<std::unique_ptr<Backend>> backends, const RunLimits& limits,
           const std::function<int(const Step&)>& prefer, const Progress& progress)
    : program_(program),
      backends_(std::move(backends)),
      limits_(limits),
      placement_(place_steps(program, backends_, prefer)),
      stats_(program.steps.size()) {
  load(progress);
  cut();
}

Plan::~Plan() = default;

void Plan::load(const Progress& progress) {
  std::vector<std::vector<int>> steps(backends_.size());
  for (std::size_t i = 0; i < placement_.size(); ++i)
    steps[static_cast<std::size_t>(placement_[i])].push_back(static_cast<int>(i));
  std::vector<MemoryNeed> needs(backends_.size());
  for (std::size_t place = 0; place < backends_.size(); ++place) {
    if (steps[place].empty()) continue;
    needs[place] = backends_[place]->need(program_, steps[place], limits_);
    memory_.weights += needs[place].weights;
    memory_.cache += needs[place].cache;
    memory_.activations += needs[place].activations;
  }
  Share share{&progress, 0, memory_.weights};
  for (std::size_t place = 0; place < backends_.size(); ++place) {
    if (steps[place].empty()) continue;
    backends_[place]->load(program_, steps[place], limits_, Share::report, &share);
    share.before += needs[place].weights;
  }
}

void Plan::cut() {
  parts_.clear();
  std::vector<int> written_at(program_.slots.size(), none);       // the place with a slot's newest rows
  std::vector<std::vector<bool>> current(program_.slots.size());  // [slot][place] holds them
  const int steps = static_cast<int>(placement_.size());
  for (int first = 0, last = 0; first < steps; first = last) {
    Part part;
    part.place = place(first);
    part.first = first;
    const auto here = static_cast<std::size_t>(part.place);
    for (; last < steps && place(last) == part.place && !(observer_ && last > first); ++last) {
      const Step& step = program_.steps[static_cast<std::size_t>(last)];
      std::vector<SlotId> read{step.out};  // where a step writes only a part of it, the rest must be there
      if (step.columns == 0 || written_at[static_cast<std::size_t>(step.out)] == none) read.clear();
      for (const SlotId slot : inputs(step)) read.push_back(slot);
      for (const SlotId slot : read) {
        if (slot == none || current[static_cast<std::size_t>(slot)][here]) continue;
        part.copies.push_back({slot, written_at[static_cast<std::size_t>(slot)]});
        current[static_cast<std::size_t>(slot)][here] = true;
      }
      const auto out = static_cast<std::size_t>(step.out);
      written_at[out] = part.place;
      current[out].assign(backends_.size(), false);
      current[out][here] = true;
    }
    part.run = at(part.place).prepare(first, last);
    parts_.push_back(std::move(part));
  }
  logits_at_ = written_at[static_cast<std::size_t>(program_.logits)];
}

void Plan::copy(SlotId slot, int from, int to, int rows) {
  const float* source = at(from).host(slot);
  if (source == nullptr) {
    const std::int64_t width = program_.slots[static_cast<std::size_t>(slot)].width;
    staging_.resize(static_cast<std::size_t>(rows) * static_cast<std::size_t>(width));
    at(from).read(slot, rows, staging_.data());
    source = staging_.data();
  }
  at(to).write(slot, rows, source);
}

void Plan::run(const Batch& batch) {
  const std::span<Stat> stats = measuring_ ? std::span<Stat>(stats_) : std::span<Stat>();
  for (const Part& part : parts_) {
    for (const Part::Copy& each : part.copies) copy(each.slot, each.from, part.place, batch.rows());
    if (observer_) show(part, batch);
    at(part.place).run(*part.run, batch, stats);
  }
}

std::span<const float> Plan::logits(int wanted) {
  const Slot& result = program_.slots[static_cast<std::size_t>(program_.logits)];
  const std::size_t count = static_cast<std::size_t>(wanted) * static_cast<std::size_t>(result.width);
  if (const float* rows = at(logits_at_).host(program_.logits)) return {rows, count};
  staging_.resize(count);
  at(logits_at_).read(program_.logits, wanted, staging_.data());
  return staging_;
}

bool Plan::used(std::size_t place) const {
  return std::ranges::find(placement_, static_cast<int>(place)) != placement_.end();
}

void Plan::observe(Observer observer) {
  observer_ = std::move(observer);
  cut();
}

void Plan::show(const Part& part, const Batch& batch) {
  const Step& step = program_.steps[static_cast<std::size_t>(part.first)];
  std::vector<float> copied[2];
  const auto rows_of = [&](SlotId slot, std::vector<float>& kept) -> const float* {
    if (slot == none) return nullptr;
    if (const float* rows = at(part.place).host(slot)) return rows;
    const auto width = static_cast<std::size_t>(program_.slots[static_cast<std::size_t>(slot)].width);
    kept.resize(static_cast<std::size_t>(batch.rows()) * width);
    at(part.place).read(slot, batch.rows(), kept.data());
    return kept.data();
  };
  const float* x = rows_of(step.x, copied[0]);
  observe_step(program_, step, batch, x, rows_of(step.routes, copied[1]), observer_);
}

std::size_t Plan::page_bytes() const {
  std::size_t bytes = 0;
  for (std::size_t place = 0; place < backends_.size(); ++place)
    if (used(place)) bytes += backends_[place]->page_bytes();
  return bytes;
}

std::size_t Plan::state_bytes() const {
  std::size_t bytes = 0;
  for (std::size_t place = 0; place < backends_.size(); ++place)
    if (used(place)) bytes += backends_[place]->state_bytes();
  return bytes;
}

void Plan::copy_state(int from, int to) {
  for (std::size_t place = 0; place < backends_.size(); ++place)
    if (used(place)) backends_[place]->copy_state(from, to);
}

void Plan::read_state(int slot, std::byte* out) {
  for (std::size_t place = 0; place < backends_.size(); ++place) {
    if (!used(place)) continue;
    backends_[place]->read_state(slot, out);
    out += backends_[place]->state_bytes();
  }
}

void Plan::write_state(int slot, const std::byte* in) {
  for (std::size_t place = 0; place < backends_.size(); ++place) {
    if (!used(place)) continue;
    backends_[place]->write_state(slot, in);
    in += backends_[place]->state_bytes();
  }
}

void Plan::measure(bool on) {
  measuring_ = on;
  if (on) stats_.assign(stats_.size(), Stat{});
}

}  // namespace rf
