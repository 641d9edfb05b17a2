#include "plan/placement.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace rf {
namespace {

std::string describe(const Program& program, const Step& step) {
  std::string text = op_name(step.op);
  if (step.layer != none) text += fmt::format(" of layer {}", step.layer);
  for (const Linear& linear : step.linear) {
    if (linear.weight == none) continue;
    const Weight& weight = program.weights[static_cast<std::size_t>(linear.weight)];
    text += fmt::format(", '{}' {}", weight.name, type_info(weight.tensor.type).name);
  }
  return text;
}

// The order in which layers are given up: those that every token needs least come first.
int rank_of(const Step& step, int layers) {
  if (step.layer != none) return step.layer;
  return step.op == Op::embed ? layers : layers + 1;
}

}  // namespace

Placement::Placement(const Program& program, std::span<const std::unique_ptr<Backend>> backends,
                     const std::function<int(const Step&)>& prefer)
    : program_(program), backends_(backends), dropped_(backends.size()) {
  if (backends.empty()) fail("plan: no backend to run the program on");
  for (const Step& step : program.steps) places_.push_back(choose(step, prefer ? prefer(step) : -1));
  unite_caches();
}

std::vector<int> Placement::steps_on(int place) const {
  std::vector<int> steps;
  for (std::size_t i = 0; i < places_.size(); ++i)
    if (places_[i] == place) steps.push_back(static_cast<int>(i));
  return steps;
}

// If not, *why is the backend's name and its reason.
bool Placement::can(const Step& step, int place, std::string* why) const {
  const Backend& backend = *backends_[static_cast<std::size_t>(place)];
  std::string reason = "it is lost";
  if (!dropped_[static_cast<std::size_t>(place)] && backend.can(program_, step, &reason)) return true;
  *why = backend.name() + ": " + reason;
  return false;
}

int Placement::choose(const Step& step, int preferred) {
  const int count = static_cast<int>(backends_.size());
  if (preferred >= count) fail("plan: place {} was asked for, of {} backends", preferred, count);
  const int first = std::max(preferred, 0);
  std::string reasons, why;
  if (can(step, first, &reasons)) return first;
  for (int i = 0; i < count; ++i) {
    if (i == first) continue;
    if (can(step, i, &why)) {
      tell(step, first, i, reasons);
      return i;
    }
    reasons += "; " + why;
  }
  fail("no backend can run {}: {}", describe(program_, step), reasons);
}

void Placement::tell(const Step& step, int preferred, int place, const std::string& reason) {
  if (dropped_[static_cast<std::size_t>(preferred)]) return;  // which has been told
  const std::string line = fmt::format("{} steps run on {} instead of {} ({})", op_name(step.op),
                                       backends_[static_cast<std::size_t>(place)]->name(),
                                       backends_[static_cast<std::size_t>(preferred)]->name(), reason);
  if (told_.insert(line).second) spdlog::warn(line);
}

// What reads a cache goes where the step that fills it is; that one comes first.
void Placement::unite_caches() {
  std::vector<int> place_of(program_.caches.size(), none);
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const Step& step = program_.steps[i];
    if (cache_of(step) == none) continue;
    int& place = place_of[static_cast<std::size_t>(cache_of(step))];
    if (place == none) place = places_[i];
    std::string why;
    if (!can(step, place, &why)) fail("{} reads a cache of {}", describe(program_, step), why);
    places_[i] = place;
  }
}

// To backends that are not closed. All stay where they are when one cannot be moved.
void Placement::move(const std::vector<int>& steps, int from, std::vector<bool> closed) {
  const std::vector<int> old = places_;
  const std::vector<bool> before = std::exchange(dropped_, std::move(closed));
  try {
    for (const int step : steps)
      places_[static_cast<std::size_t>(step)] = choose(program_.steps[static_cast<std::size_t>(step)], from);
    dropped_ = before;
    unite_caches();
  } catch (const Error&) {
    places_ = old;
    dropped_ = before;
    throw;
  }
}

MemoryNeed Placement::need(int place, const RunLimits& limits) const {
  const std::vector<int> steps = steps_on(place);
  return steps.empty() ? MemoryNeed{}
                       : backends_[static_cast<std::size_t>(place)]->need(program_, steps, limits);
}

void Placement::fit(const RunLimits& limits) {
  for (int place = 0; place < static_cast<int>(backends_.size()); ++place) {
    if (steps_on(place).empty()) continue;
    const std::optional<std::size_t> free = backends_[static_cast<std::size_t>(place)]->free_memory();
    while (free && need(place, limits).total() > *free && shed(place)) {
    }
  }
}

bool Placement::shed(int place) {
  const std::vector<int> all = steps_on(place);
  if (all.empty()) return false;
  int layers = 0;
  for (const Step& step : program_.steps) layers = std::max(layers, step.layer + 1);
  const auto rank = [&](int step) { return rank_of(program_.steps[static_cast<std::size_t>(step)], layers); };
  const int first = rank(*std::ranges::min_element(all, {}, rank));
  std::vector<int> steps;
  std::ranges::copy_if(all, std::back_inserter(steps), [&](int step) { return rank(step) == first; });
  // Only backends that come later: those before have been loaded.
  std::vector<bool> closed = dropped_;
  std::fill_n(closed.begin(), place + 1, true);
  try {
    move(steps, place, std::move(closed));
  } catch (const Error&) {
    return false;
  }
  return steps_on(place).size() < all.size();
}

void Placement::drop(int place) {
  dropped_[static_cast<std::size_t>(place)] = true;
  move(steps_on(place), place, dropped_);
}

}  // namespace rf
