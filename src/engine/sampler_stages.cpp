#include "engine/sampler_stages.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace rf {
namespace {

double entropy_of(const std::vector<double>& p) {
  double sum = 0;
  for (const double each : p) sum -= each > 0 ? each * std::log(each) : 0;
  return sum;
}

void keep(Candidates& candidates, std::size_t count) {
  candidates.resize(std::clamp<std::size_t>(count, 1, candidates.size()));
}

}  // namespace

double total_weight(const Candidates& candidates) {
  double total = 0;
  for (const Candidate& candidate : candidates) total += weight_of(candidate.logit, candidates.front().logit);
  return total;
}

std::vector<double> probabilities(const Candidates& candidates) {
  const double total = total_weight(candidates);
  std::vector<double> p;
  for (const Candidate& candidate : candidates)
    p.push_back(weight_of(candidate.logit, candidates.front().logit) / total);
  return p;
}

bool cut_tail(Candidates& candidates, double total, double top_p, double min_p) {
  const float highest = candidates.front().logit;
  double sum = 0.0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const double weight = weight_of(candidates[i].logit, highest);
    const bool enough = top_p < 1.0 && sum >= top_p * total;
    if (i > 0 && (enough || weight < min_p)) {
      candidates.resize(i);
      return true;
    }
    sum += weight;
  }
  return false;
}

void cut_sigma(Candidates& candidates, double sigmas) {
  double sum = 0, squares = 0;
  for (const Candidate& candidate : candidates) sum += static_cast<double>(candidate.logit);
  const double count = static_cast<double>(candidates.size()), mean = sum / count;
  for (const Candidate& candidate : candidates)
    squares += std::pow(static_cast<double>(candidate.logit) - mean, 2);
  const double least = static_cast<double>(candidates.front().logit) - sigmas * std::sqrt(squares / count);
  const auto end = std::ranges::find_if(
      candidates, [&](const Candidate& c) { return !(static_cast<double>(c.logit) >= least); });
  keep(candidates, static_cast<std::size_t>(end - candidates.begin()));
}

void cut_atypical(Candidates& candidates, double mass) {
  const std::vector<double> p = probabilities(candidates);
  const double expected = entropy_of(p);
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto distance = [&](std::size_t i) { return std::abs(-std::log(p[i]) - expected); };
  std::ranges::sort(order, {}, [&](std::size_t i) { return std::pair(distance(i), i); });
  Candidates kept;
  double sum = 0;
  for (const std::size_t i : order) {
    kept.push_back(candidates[i]);
    if ((sum += p[i]) > mass) break;
  }
  std::sort(kept.begin(), kept.end(), better);
  candidates = std::move(kept);
}

void exclude_top_choices(Candidates& candidates, double threshold) {
  const std::vector<double> p = probabilities(candidates);
  const auto above = std::ranges::find_if(p, [&](double each) { return each < threshold; }) - p.begin();
  if (above >= 2) candidates.erase(candidates.begin(), candidates.begin() + (above - 1));
}

void apply_temperature(Candidates& candidates, double temperature, double range, double exponent) {
  if (range > 0 && candidates.size() > 1) {
    const double low = std::max(0.0, temperature - range), high = temperature + range;
    const double most = std::log(static_cast<double>(candidates.size()));
    temperature = low + (high - low) * std::pow(entropy_of(probabilities(candidates)) / most, exponent);
  }
  if (temperature <= 0) return keep(candidates, 1);
  for (Candidate& candidate : candidates)
    candidate.logit = static_cast<float>(static_cast<double>(candidate.logit) / temperature);
}

void cut_surprising(Candidates& candidates, int version, double most, std::int32_t vocab_size) {
  const std::vector<double> p = probabilities(candidates);
  if (version == 2) {
    const auto end = std::ranges::find_if(p, [&](double each) { return -std::log2(each) > most; });
    return keep(candidates, static_cast<std::size_t>(end - p.begin()));
  }
  double products = 0, squares = 0;
  const std::size_t looked_at = std::min<std::size_t>(100, p.size());
  for (std::size_t i = 0; i + 1 < looked_at; ++i) {
    const double t = std::log(static_cast<double>(i + 2) / static_cast<double>(i + 1)),
                 b = std::log(p[i] / p[i + 1]);
    products += t * b;
    squares += t * t;
  }
  const double s = squares > 0 ? products / squares : 1, epsilon = s - 1;
  const double count =
      std::pow(epsilon * std::exp2(most) / (1 - std::pow(static_cast<double>(vocab_size), -epsilon)), 1 / s);
  if (std::isfinite(count))
    keep(candidates, static_cast<std::size_t>(std::clamp(count, 1.0, static_cast<double>(p.size()))));
}

}  // namespace rf
