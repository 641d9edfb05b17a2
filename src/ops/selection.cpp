#include "ops/selection.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace rf {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// scores[b] = the largest one of block b's positions; what is no number counts as the lowest.
void take_largest(const Selection& selection, int position, int count, float* scores) {
  for (int b = 0; b < count; ++b) {
    float best = -infinity;
    const int end = std::min((b + 1) * selection.block, position + 1);
    for (int p = b * selection.block; p < end; ++p)
      if (scores[p] > best) best = scores[p];
    scores[b] = b + selection.local >= count ? infinity : best;
  }
}

}  // namespace

void choose_blocks(const Selection& selection, int position, float* scores, float* scratch, float* out) {
  const int count = position / selection.block + 1;
  float* end = out;
  if (selection.sees_all(position)) {
    for (int b = 0; b < count; ++b) *end++ = static_cast<float>(b);
    std::fill(end, out + selection.blocks, -1.0f);
    return;
  }
  take_largest(selection, position, count, scores);
  std::copy_n(scores, count, scratch);
  float* last = scratch + selection.blocks - 1;
  std::nth_element(scratch, last, scratch + count, std::greater<>());
  auto equals = selection.blocks - std::count_if(scratch, last, [&](float score) { return score > *last; });
  for (int b = 0; b < count; ++b)
    if (scores[b] > *last || (scores[b] == *last && equals-- > 0)) *end++ = static_cast<float>(b);
}

}  // namespace rf
