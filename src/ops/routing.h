// The choice of experts, the same for every backend that makes it on the host.
#pragma once
#include <span>

#include "ops/program.h"

namespace rf {

// From a row's `logits` [experts] to its row of the routes slot, out[2 * used]: the numbers of the experts
// chosen, then their weights. `bias` and `factors`: [experts], or null.
void choose_experts(const Routing& routing, std::span<const float> logits, const float* bias,
                    const float* factors, float* out);

}  // namespace rf
