// The self-test: a tiny model of every operation, run on a backend and on the reference, compared.
#pragma once
#include <memory>

#include "ops/backend.h"

namespace rf {

// The largest difference between the logits of `backend` and the reference's, as a fraction of their range.
// Throws Error when the backend cannot run a step.
double self_test(std::unique_ptr<Backend> backend);
inline constexpr double self_test_tolerance = 5e-3;  // backends may round activations to 8 bits a block

}  // namespace rf
