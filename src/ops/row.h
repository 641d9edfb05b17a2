// Work on whole rows that is small beside the products: the same code for every backend that does it on the
// host.
#pragma once
#include "ops/program.h"

namespace rf {

// The rows that a step of Op::row reads, null where it has no such operand.
struct RowInputs {
  const float *x = nullptr, *add = nullptr, *mul = nullptr, *side = nullptr;
};

// Computes one row of the step's output. Sums are made in double precision.
void row_work(const Program& program, const Step& step, const RowInputs& in, float* out);

}  // namespace rf
