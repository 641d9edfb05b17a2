#include "ops/choice.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace rf {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// scores[b] = the largest one of block b's positions; what is no number counts as the lowest.
void take_largest(const Choice& choice, int position, int count, float* scores) {
  for (int b = 0; b < count; ++b) {
    float best = -infinity;
    const int end = std::min((b + 1) * choice.block, position + 1);
    for (int p = b * choice.block; p < end; ++p)
      if (scores[p] > best) best = scores[p];
    scores[b] = b + choice.local >= count ? infinity : best;
  }
}

}  // namespace

void choose_blocks(const Choice& choice, int position, float* scores, float* scratch, float* out) {
  const int count = position / choice.block + 1;
  float* end = out;
  if (choice.sees_all(position)) {
    for (int b = 0; b < count; ++b) *end++ = static_cast<float>(b);
    std::fill(end, out + choice.blocks, -1.0f);
    return;
  }
  take_largest(choice, position, count, scores);
  std::copy_n(scores, count, scratch);
  float* last = scratch + choice.blocks - 1;
  std::nth_element(scratch, last, scratch + count, std::greater<>());
  auto equals = choice.blocks - std::count_if(scratch, last, [&](float score) { return score > *last; });
  for (int b = 0; b < count; ++b)
    if (scores[b] > *last || (scores[b] == *last && equals-- > 0)) *end++ = static_cast<float>(b);
}

}  // namespace rf
