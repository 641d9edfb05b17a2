// Candidate: a token and its logit, and which of two is the better choice.
#pragma once
#include <cstdint>

namespace rf {

struct Candidate {
  float logit;
  std::int32_t token;
};
// All lists are sorted so.
inline bool better(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

// Of each wanted row, what a backend finds out where a batch asks for no more (Batch::ask_for_best).
inline constexpr int best_candidates = 64;

}  // namespace rf
