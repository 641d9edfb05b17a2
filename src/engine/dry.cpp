#include "engine/dry.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace rf {

std::vector<std::pair<std::int32_t, float>> dry_penalties(const DryOptions& options,
                                                          std::span<const std::int32_t> history,
                                                          const std::function<bool(std::int32_t)>& breaks) {
  if (options.multiplier == 0) return {};
  if (options.last_n >= 0)
    history = history.last(std::min(history.size(), static_cast<std::size_t>(options.last_n)));
  const auto from_break = std::find_if(history.rbegin(), history.rend(), breaks);
  const std::span<const std::int32_t> tail =
      history.last(static_cast<std::size_t>(from_break - history.rbegin()));
  if (tail.empty()) return {};
  // match[i]: how many tokens up to and with history[i] are also the end of `tail`: the Z function of the
  // reversed history, in which `tail` bounds the length.
  const std::size_t n = history.size();
  const auto at = [&](std::size_t i) { return history[n - 1 - i]; };
  std::vector<std::size_t> z(n, 0);
  std::unordered_map<std::int32_t, std::size_t> longest;  // repetition that each token would continue
  for (std::size_t i = 1, left = 0, right = 0; i < n; ++i) {
    if (i < right) z[i] = std::min(right - i, z[i - left]);
    while (i + z[i] < n && at(z[i]) == at(i + z[i])) ++z[i];
    if (i + z[i] > right) {
      left = i;
      right = i + z[i];
    }
    const std::size_t length = std::min(z[i], tail.size());
    std::size_t& known = longest[at(i - 1)];
    known = std::max(known, length);
  }
  std::vector<std::pair<std::int32_t, float>> penalties;
  constexpr int longest_counted = 128;  // beyond it the penalty is beyond measure
  for (const auto& [token, length] : longest) {
    const int over = std::min(static_cast<int>(length) - options.allowed_length, longest_counted);
    if (length == 0 || over < 0) continue;
    const double penalty =
        static_cast<double>(options.multiplier) * std::pow(static_cast<double>(options.base), over);
    penalties.emplace_back(token, static_cast<float>(std::min(penalty, 1e30)));
  }
  return penalties;
}

}  // namespace rf
