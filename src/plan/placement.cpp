#include "plan/placement.h"

#include <algorithm>
#include <set>

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

class Placement {
 public:
  Placement(const Program& program, std::span<const std::unique_ptr<Backend>> backends)
      : program_(program), backends_(backends) {}

  int place(const Step& step, int preferred) {
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

 private:
  // If not, *why is the backend's name and its reason.
  bool can(const Step& step, int place, std::string* why) const {
    const Backend& backend = *backends_[static_cast<std::size_t>(place)];
    std::string reason;
    if (backend.can(program_, step, &reason)) return true;
    *why = backend.name() + ": " + reason;
    return false;
  }

  void tell(const Step& step, int preferred, int place, const std::string& reason) {
    const std::string line = fmt::format("{} steps run on {} instead of {} ({})", op_name(step.op),
                                         backends_[static_cast<std::size_t>(place)]->name(),
                                         backends_[static_cast<std::size_t>(preferred)]->name(), reason);
    if (told_.insert(line).second) spdlog::warn(line);
  }

  const Program& program_;
  std::span<const std::unique_ptr<Backend>> backends_;
  std::set<std::string> told_;
};

}  // namespace

std::vector<int> place_steps(const Program& program, std::span<const std::unique_ptr<Backend>> backends,
                             const std::function<int(const Step&)>& prefer) {
  if (backends.empty()) fail("plan: no backend to run the program on");
  Placement placement(program, backends);
  std::vector<int> places;
  for (const Step& step : program.steps) places.push_back(placement.place(step, prefer ? prefer(step) : -1));
  return places;
}

}  // namespace rf
