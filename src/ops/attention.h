// What attention depends on besides its operands, the same for every backend.
#pragma once
#include "ops/program.h"

namespace rf {

// The positions [first, end) that the row at `position` sees of its sequence, which has `length` positions so
// far. Where a row sees all, a window reaches as far to both sides.
struct Visible {
  int first, end;
};
inline Visible visible_positions(Attention::Sees sees, int window, int position, int length) {
  if (sees == Attention::Sees::chunk) return {position / window * window, position + 1};
  const bool all = sees == Attention::Sees::all;
  const int before = all ? window / 2 : window - 1, end = all ? length : position + 1;
  if (window == 0) return {0, end};
  const int first = position > before ? position - before : 0;
  return {first, all && position + before + 1 < end ? position + before + 1 : end};
}

// The ALiBi slope of a query head, 0 where there is none. For head counts that are no power of two the
// further heads take the odd slopes of twice the power of two below (arXiv:2108.12409).
double alibi_slope(const Attention& attention, int head);

// What queries at `position` are multiplied by.
double query_temperature(const Attention& attention, int position);

}  // namespace rf
