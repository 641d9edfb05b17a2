// DRY: the penalty against repeating what was said before (p-e-w 2024): a token that would make the end of
// the history go on as an earlier place did is worth the less the longer the repetition already is.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace rf {

struct DryOptions {
  float multiplier = 0;  // 0: off
  float base = 1.75f;
  int allowed_length = 2;  // repetitions of so many tokens cost nothing
  int last_n = -1;         // tokens looked back; 0: off, -1: all
};

// Tokens and what is to be taken off their logits. `breaks`: whether a repetition cannot go on across this
// token. Linear in the history.
std::vector<std::pair<std::int32_t, float>> dry_penalties(const DryOptions& options,
                                                          std::span<const std::int32_t> history,
                                                          const std::function<bool(std::int32_t)>& breaks);

}  // namespace rf
