// What steps multiply their weights with, row by row: their input after the norm that the step itself
// applies.
#pragma once
#include <cstdint>
#include <functional>
#include <span>

#include "ops/batch.h"
#include "ops/program.h"

namespace rf {

// A row that is multiplied by matrix `matrix` of `matrices` (experts, heads, else one) of a weight.
using Observer = std::function<void(WeightId weight, std::int64_t matrix, std::int64_t matrices,
                                    std::span<const float> row)>;

// Calls `observer` for every weight and row of `step`. x: f32 [rows, width], the step's input slot; routes:
// that of its routes, of steps that have them. Tables that are only looked up multiply nothing.
void observe_step(const Program& program, const Step& step, const Batch& batch, const float* x,
                  const float* routes, const Observer& observer);

}  // namespace rf
