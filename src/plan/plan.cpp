#include "plan/plan.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

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
      placement_(program, backends_, prefer),
      stats_(program.steps.size()) {
  try {
    load(progress);
    cut();
  } catch (const DeviceError& error) {
    recover(error);
  }
}

Plan::~Plan() = default;

void Plan::tell_what_was_shed(std::span<const std::size_t> steps_before) const {
  for (std::size_t place = 0; place < backends_.size(); ++place) {
    const std::size_t left = placement_.steps_on(static_cast<int>(place)).size();
    if (left < steps_before[place])
      spdlog::warn("{}: its memory has room for {} of {} steps, the others run elsewhere",
                   backends_[place]->name(), left, steps_before[place]);
  }
}

void Plan::load(const Progress& progress) {
  std::vector<std::size_t> steps_before;
  for (std::size_t place = 0; place < backends_.size(); ++place)
    steps_before.push_back(placement_.steps_on(static_cast<int>(place)).size());
  placement_.fit(limits_);
  for (int place = 0; place < static_cast<int>(backends_.size());) {
    memory_ = {};
    for (int each = 0; each < static_cast<int>(backends_.size()); ++each) {
      const MemoryNeed one = placement_.need(each, limits_);
      memory_.weights += one.weights;
      memory_.cache += one.cache;
      memory_.activations += one.activations;
    }
    Share share{&progress, 0, memory_.weights};
    for (int each = 0; each < place; ++each) share.before += placement_.need(each, limits_).weights;
    const std::vector<int> steps = placement_.steps_on(place);
    busy_ = place;
    try {
      if (!steps.empty()) at(place).load(program_, steps, limits_, Share::report, &share);
      ++place;
    } catch (const DeviceError& error) {
      // Steps only ever move to places that come later, or nowhere.
      if (!error.out_of_memory() || !placement_.shed(place)) throw;
    }
  }
  tell_what_was_shed(steps_before);
}

void Plan::recover(const DeviceError& error) {
  const std::string name = at(busy_).name();
  try {
    placement_.drop(busy_);
  } catch (const Error& nobody) {
    fail("{} is given up ({}): {}", name, error.what(), nobody.what());
  }
  load({});
  cut();
  spdlog::error("{} is given up ({}); going on without it", name, error.what());
}

void Plan::cut() {
  parts_.clear();
  std::vector<int> written_at(program_.slots.size(), none);       // the place with a slot's newest rows
  std::vector<std::vector<bool>> current(program_.slots.size());  // [slot][place] holds them
  const int steps = static_cast<int>(program_.steps.size());
  for (int first = 0, last = 0; first < steps; first = last) {
    Part part;
    part.place = place(first);
    part.first = first;
    const auto here = static_cast<std::size_t>(part.place);
    for (; last < steps && place(last) == part.place && !(observer_ && last > first); ++last) {
      const Step& step = program_.steps[static_cast<std::size_t>(last)];
      // What is left of a slot that is written in part is needed too.
      const bool in_part = step.first_column != 0 || step.columns != 0;
      std::vector<SlotId> read{in_part ? step.out : none};
      for (const SlotId slot : inputs(step)) read.push_back(slot);
      for (const SlotId slot : read) {
        if (slot == none || written_at[static_cast<std::size_t>(slot)] == none ||
            current[static_cast<std::size_t>(slot)][here])
          continue;
        part.copies.push_back({slot, written_at[static_cast<std::size_t>(slot)]});
        current[static_cast<std::size_t>(slot)][here] = true;
      }
      const auto out = static_cast<std::size_t>(step.out);
      written_at[out] = part.place;
      current[out].assign(backends_.size(), false);
      current[out][here] = true;
    }
    busy_ = part.place;
    part.run = at(part.place).prepare(first, last);
    parts_.push_back(std::move(part));
  }
  logits_at_ = written_at[static_cast<std::size_t>(program_.logits)];
}

void Plan::copy(SlotId slot, int from, int to, int rows) {
  busy_ = from;
  const float* source = at(from).host(slot);
  if (source == nullptr) {
    const std::int64_t width = program_.slots[static_cast<std::size_t>(slot)].width;
    staging_.resize(static_cast<std::size_t>(rows) * static_cast<std::size_t>(width));
    at(from).read(slot, rows, staging_.data());
    source = staging_.data();
  }
  busy_ = to;
  at(to).write(slot, rows, source);
}

void Plan::run(const Batch& batch) {
  const std::span<Stat> stats = measuring_ ? std::span<Stat>(stats_) : std::span<Stat>();
  for (const Part& part : parts_) {
    for (const Part::Copy& each : part.copies) copy(each.slot, each.from, part.place, batch.rows());
    busy_ = part.place;
    if (observer_) show(part, batch);
    at(part.place).run(*part.run, batch, stats);
  }
}

std::span<const Candidate> Plan::best(int wanted) {
  return at(logits_at_).best(wanted);
}

std::span<const float> Plan::logits(int wanted) {
  const Slot& result = program_.slots[static_cast<std::size_t>(program_.logits)];
  const std::size_t count = static_cast<std::size_t>(wanted) * static_cast<std::size_t>(result.width);
  if (const float* rows = at(logits_at_).host(program_.logits)) return {rows, count};
  staging_.resize(count);
  busy_ = logits_at_;
  at(logits_at_).read(program_.logits, wanted, staging_.data());
  return staging_;
}

bool Plan::used(std::size_t place) const {
  return !placement_.steps_on(static_cast<int>(place)).empty();
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

Backend& Plan::main_backend() {
  int best = 0;
  for (int place = 1; place < static_cast<int>(backends_.size()); ++place)
    if (placement_.steps_on(place).size() > placement_.steps_on(best).size()) best = place;
  return at(best);
}

std::size_t Plan::page_bytes() const {
  std::size_t bytes = 0;
  for (std::size_t place = 0; place < backends_.size(); ++place)
    if (used(place)) bytes += backends_[place]->page_bytes();
  return bytes;
}

void Plan::read_page(int page, std::byte* out) {
  for (std::size_t place = 0; place < backends_.size(); ++place) {
    if (!used(place)) continue;
    busy_ = static_cast<int>(place);
    backends_[place]->read_page(page, out);
    out += backends_[place]->page_bytes();
  }
}

void Plan::write_page(int page, const std::byte* in) {
  for (std::size_t place = 0; place < backends_.size(); ++place) {
    if (!used(place)) continue;
    busy_ = static_cast<int>(place);
    backends_[place]->write_page(page, in);
    in += backends_[place]->page_bytes();
  }
}

std::size_t Plan::state_bytes() const {
  std::size_t bytes = 0;
  for (std::size_t place = 0; place < backends_.size(); ++place)
    if (used(place)) bytes += backends_[place]->state_bytes();
  return bytes;
}

void Plan::copy_state(int from, int to) {
  for (std::size_t place = 0; place < backends_.size(); ++place) {
    if (!used(place)) continue;
    busy_ = static_cast<int>(place);
    backends_[place]->copy_state(from, to);
  }
}

void Plan::read_state(int slot, std::byte* out) {
  for (std::size_t place = 0; place < backends_.size(); ++place) {
    if (!used(place)) continue;
    busy_ = static_cast<int>(place);
    backends_[place]->read_state(slot, out);
    out += backends_[place]->state_bytes();
  }
}

void Plan::write_state(int slot, const std::byte* in) {
  for (std::size_t place = 0; place < backends_.size(); ++place) {
    if (!used(place)) continue;
    busy_ = static_cast<int>(place);
    backends_[place]->write_state(slot, in);
    in += backends_[place]->state_bytes();
  }
}

void Plan::measure(bool on) {
  measuring_ = on;
  if (on) stats_.assign(stats_.size(), Stat{});
}

}  // namespace rf
