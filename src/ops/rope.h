// The angles of rotary position embedding, the same for every backend.
#pragma once
#include <vector>

#include "ops/program.h"

namespace rf {

// Radians per position of each rotated pair, [rope.dims / 2], computed in double and rounded to f32.
// `factors` are the values of rope.factors, [rope.dims / 2], or null when it has none.
// Sources: RoFormer (arXiv:2104.09864); YaRN's blend by wavelength (arXiv:2309.00071, section 3.2).
std::vector<float> rope_frequencies(const Rope& rope, const float* factors);

}  // namespace rf
