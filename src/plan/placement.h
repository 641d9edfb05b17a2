// Placement: which backend runs each step of a program.
#pragma once
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "ops/backend.h"

namespace rf {

// Steps stay with the cache that they read, and with the other steps that do.
class Placement {
 public:
  // Each step goes to the one of `backends` that `prefer` names if it can run the step (-1: no wish), else to
  // the first that can. Logs once for each kind of step that its first choice cannot run. Throws Error when
  // none can, with the step, its tensors and every backend's reason.
  Placement(const Program& program, std::span<const std::unique_ptr<Backend>> backends,
            const std::function<int(const Step&)>& prefer);

  int at(int step) const { return places_[static_cast<std::size_t>(step)]; }
  std::vector<int> steps_on(int place) const;

  // What loading the steps on `place` takes.
  MemoryNeed need(int place, const RunLimits& limits) const;
  // Sheds layers until what is left fits into what each backend has free.
  void fit(const RunLimits& limits);
  // Moves the first layer that is on `place` to a later backend that can run it: the lowest number, then the
  // embedding, then what comes after the layers. False when none of it can be moved.
  bool shed(int place);
  // Nothing may be on `place` any more. Throws Error when no other backend can run a step that was.
  void drop(int place);

 private:
  bool can(const Step& step, int place, std::string* why) const;
  int choose(const Step& step, int preferred);
  void tell(const Step& step, int preferred, int place, const std::string& reason);
  void unite_caches();
  void move(const std::vector<int>& steps, int from, std::vector<bool> closed);

  const Program& program_;
  std::span<const std::unique_ptr<Backend>> backends_;
  std::vector<bool> dropped_;
  std::vector<int> places_;
  std::set<std::string> told_;
};

}  // namespace rf
