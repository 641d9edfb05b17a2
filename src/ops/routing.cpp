#include "ops/routing.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace rf {
namespace {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

void softmax(std::span<float> x) {
  const float largest = *std::ranges::max_element(x);
  float sum = 0;
  for (float& value : x) sum += value = std::exp(value - largest);
  for (float& value : x) value /= sum;
}

// Puts the scores of all but the best groups out of reach.
void keep_best_groups(const Routing& routing, bool biased, std::span<float> scores) {
  const auto size = static_cast<std::size_t>(routing.experts / routing.groups);
  std::vector<std::pair<float, int>> groups;
  for (int g = 0; g < routing.groups; ++g) {
    std::vector<float> own(scores.begin() + static_cast<std::ptrdiff_t>(g * static_cast<int>(size)),
                           scores.begin() + static_cast<std::ptrdiff_t>((g + 1) * static_cast<int>(size)));
    std::ranges::partial_sort(own, own.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(2, size)),
                              std::greater{});
    groups.emplace_back(-(biased && size > 1 ? own[0] + own[1] : own[0]), g);
  }
  std::ranges::sort(groups);
  for (std::size_t i = static_cast<std::size_t>(routing.groups_used); i < groups.size(); ++i)
    std::ranges::fill(scores.subspan(static_cast<std::size_t>(groups[i].second) * size, size),
                      minus_infinity);
}

void mix_sparsely(const Routing& routing, std::span<const float> logits, float* out) {
  std::vector<float> left(logits.begin(), logits.end());
  for (int k = 0; k < routing.used; ++k) {
    const auto best = std::ranges::max_element(left);  // the first of equal ones
    const float top = *best;
    float sum = 0;
    for (std::size_t e = 0; e < left.size(); ++e)
      if (top - left[e] <= 0.02f * std::max(std::abs(logits[e]), top)) sum += std::exp(left[e] - top);
    out[k] = static_cast<float>(best - left.begin());
    out[routing.used + k] = 1 / sum;
    *best = minus_infinity;
  }
}

}  // namespace

void choose_experts(const Routing& routing, std::span<const float> logits, const float* bias,
                    const float* factors, float* out) {
  if (routing.gating == Routing::Gating::sparse_mixer) return mix_sparsely(routing, logits, out);
  std::vector<float> p(logits.begin(), logits.end());
  for (float& x : p) x *= routing.logit_scale;
  if (routing.gating == Routing::Gating::softmax) softmax(p);
  if (routing.gating == Routing::Gating::sigmoid)
    for (float& x : p) x = 1 / (1 + std::exp(-x));
  std::vector<float> scores = p;
  if (bias != nullptr)
    for (std::size_t e = 0; e < scores.size(); ++e) scores[e] += bias[e];
  if (routing.groups_used < routing.groups) keep_best_groups(routing, bias != nullptr, scores);

  std::vector<int> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::partial_sort(order, order.begin() + routing.used, [&](int a, int b) {
    const float x = scores[static_cast<std::size_t>(a)], y = scores[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  });
  const std::span<float> weights(out + routing.used, static_cast<std::size_t>(routing.used));
  for (std::size_t k = 0; k < weights.size(); ++k) {
    out[k] = static_cast<float>(order[k]);
    weights[k] = p[static_cast<std::size_t>(order[k])];
  }
  if (routing.gating == Routing::Gating::softmax_of_chosen) softmax(weights);
  if (routing.normalise) {
    const float sum = std::max(std::accumulate(weights.begin(), weights.end(), 0.0f), 0x1p-100f);
    for (float& weight : weights) weight /= sum;
  }
  for (std::size_t k = 0; k < weights.size(); ++k) {
    weights[k] *= routing.scale;
    if (factors != nullptr) weights[k] *= factors[order[k]];
  }
}

}  // namespace rf
