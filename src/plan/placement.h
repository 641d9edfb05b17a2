// Placement: which backend runs each step of a program.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "ops/backend.h"

namespace rf {

// For every step an index into `backends`: the one that `prefer` names if it can run the step (-1: no wish),
// else the first that can. Logs once for each kind of step that its first choice cannot run. Throws Error
// when none can, with the step, its tensors and every backend's reason.
std::vector<int> place_steps(const Program& program, std::span<const std::unique_ptr<Backend>> backends,
                             const std::function<int(const Step&)>& prefer);

}  // namespace rf
