// The choice of the positions that a row sees, the same for every backend that makes it on the host.
#pragma once
#include "ops/program.h"

namespace rf {

// One group's part of the row of an index step, out[selection.blocks]. `scores`: of positions 0 .. position,
// not looked at where the row sees all; they are overwritten. `scratch`: as many elements.
void choose_blocks(const Selection& selection, int position, float* scores, float* scratch, float* out);

}  // namespace rf
