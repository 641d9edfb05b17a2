#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string_view>

#include "base/error.h"

namespace rf {
namespace {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

void check_range(std::string_view field, float value, float low, float high) {
  if (!(value >= low && value <= high)) fail("{}: expected {} to {}, found {}", field, low, high, value);
}

void check_finite(std::string_view field, float value) {
  if (!std::isfinite(value)) fail("{}: expected a finite number, found {}", field, value);
}

// exp of what a logit lies below `highest`, which may be infinite, times `sharpness`.
double weight_of(float logit, float highest, double sharpness = 1.0) {
  if (logit == highest) return 1.0;
  return std::exp((static_cast<double>(logit) - static_cast<double>(highest)) * sharpness);
}

// The first token of a mask, 0 where it has none.
std::int32_t lowest_of(std::span<const std::uint64_t> allowed) {
  const auto word = std::ranges::find_if(allowed, [](std::uint64_t bits) { return bits != 0; });
  if (word == allowed.end()) return 0;
  return static_cast<std::int32_t>((word - allowed.begin()) * 64 + std::countr_zero(*word));
}

std::uint64_t random_seed() {
  std::random_device device;
  return static_cast<std::uint64_t>(device()) << 32 | device();
}

}  // namespace

void SamplerOptions::check(std::int32_t vocab_size) const {
  check_range("temperature", temperature, 0.0f, std::numeric_limits<float>::max());
  if (top_k < -1) fail("top_k: expected -1 or more, found {}", top_k);
  check_range("top_p", top_p, 0.0f, 1.0f);
  check_range("min_p", min_p, 0.0f, 1.0f);
  check_finite("repetition_penalty", repetition_penalty);
  if (repetition_penalty <= 0.0f) fail("repetition_penalty: expected above 0, found {}", repetition_penalty);
  if (penalty_last_n < -1) fail("penalty_last_n: expected -1 or more, found {}", penalty_last_n);
  check_finite("presence_penalty", presence_penalty);
  check_finite("frequency_penalty", frequency_penalty);
  for (const auto& [token, bias] : logit_bias) {
    if (token < 0 || token >= vocab_size)
      fail("logit_bias: expected token ids under {}, found {}", vocab_size, token);
    if (bias != minus_infinity) check_finite("logit_bias", bias);
  }
}

Sampler::Sampler(SamplerOptions options, std::int32_t vocab_size) : options_(std::move(options)) {
  options_.check(vocab_size);
  seed_ = options_.seed ? *options_.seed : random_seed();
}

void Sampler::resume(std::uint64_t samples, float surprise) {
  samples_ = samples;
  surprise_ = surprise;
}

std::int32_t Sampler::sample(std::span<const float> logits, std::span<const std::int32_t> history,
                             std::span<const std::uint64_t> allowed) {
  ++samples_;
  logits_.assign(logits.begin(), logits.end());
  ban(allowed);
  penalise(history);
  for (const auto& [token, bias] : options_.logit_bias) {
    float& logit = logits_[static_cast<std::size_t>(token)];
    logit = bias == minus_infinity ? minus_infinity : logit + bias;
  }
  for (float& logit : logits_) logit = std::isnan(logit) ? minus_infinity : logit;
  if (options_.temperature == 0.0f)
    collect_best(1);
  else
    cut_tail();
  if (candidates_.empty() && !allowed.empty()) return lowest_of(allowed);
  return draw();
}

// Most words of a mask are all zeros or all ones.
void Sampler::ban(std::span<const std::uint64_t> allowed) {
  if (allowed.empty()) return;
  for (std::size_t begin = 0, word = 0; begin < logits_.size(); begin += 64, ++word) {
    const std::size_t end = std::min(begin + 64, logits_.size());
    const std::uint64_t bits = word < allowed.size() ? allowed[word] : 0;
    if (bits == ~std::uint64_t{0}) continue;
    for (std::size_t i = begin; i < end; ++i)
      if ((bits >> (i - begin) & 1) == 0) logits_[i] = minus_infinity;
  }
}

void Sampler::penalise(std::span<const std::int32_t> history) {
  const bool off = options_.repetition_penalty == 1.0f && options_.presence_penalty == 0.0f &&
                   options_.frequency_penalty == 0.0f;
  if (off) return;
  if (options_.penalty_last_n >= 0)
    history = history.last(std::min(history.size(), static_cast<std::size_t>(options_.penalty_last_n)));
  recent_.assign(history.begin(), history.end());
  std::sort(recent_.begin(), recent_.end());
  for (auto at = recent_.begin(); at != recent_.end();) {
    const auto end = std::upper_bound(at, recent_.end(), *at);
    if (*at >= 0 && static_cast<std::size_t>(*at) < logits_.size()) {
      float& logit = logits_[static_cast<std::size_t>(*at)];
      logit = logit > 0.0f ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
      logit -= options_.presence_penalty + static_cast<float>(end - at) * options_.frequency_penalty;
    }
    at = end;
  }
}

// Makes candidates_ the `count` best tokens, without those at -infinity. Logits at or under the worst of
// `count` already seen are passed over, so that few are ever stored.
void Sampler::collect_best(std::size_t count) {
  candidates_.clear();
  float threshold = minus_infinity;
  const std::size_t room = 2 * count + 64;
  const auto keep_best = [&] {
    if (candidates_.size() <= count) return;
    const auto last = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
    std::nth_element(candidates_.begin(), last - 1, candidates_.end(), better);
    candidates_.erase(last, candidates_.end());
    threshold = candidates_.back().logit;
  };
  for (std::size_t i = 0; i < logits_.size(); ++i) {
    if (!(logits_[i] > threshold)) continue;
    candidates_.push_back({logits_[i], static_cast<std::int32_t>(i)});
    if (candidates_.size() == room) keep_best();
  }
  keep_best();
}

// Leaves in candidates_ what top_k, top_p and min_p leave. All three keep a best-first prefix, hence only as
// much is sorted as the shortest of them needs.
void Sampler::cut_tail() {
  const std::size_t all = logits_.size();
  const bool limited = options_.top_k > 0 && static_cast<std::size_t>(options_.top_k) < all;
  const std::size_t most = limited ? static_cast<std::size_t>(options_.top_k) : all;
  const bool cuts = options_.top_p < 1.0f || options_.min_p > 0.0f;
  constexpr std::size_t first_try = 256;
  double total = 0.0;  // over the `most` best
  if (!limited && !logits_.empty()) {
    const float highest = *std::max_element(logits_.begin(), logits_.end());
    for (const float logit : logits_) total += weight_of(logit, highest);
  }
  for (std::size_t count = limited || !cuts ? most : std::min(first_try, most);;
       count = std::min(8 * count, most)) {
    collect_best(count);
    if (limited || cuts) std::sort(candidates_.begin(), candidates_.end(), better);
    if (!cuts || candidates_.empty()) return;
    const float highest = candidates_.front().logit;
    if (limited) {
      total = 0.0;
      for (const Candidate& candidate : candidates_) total += weight_of(candidate.logit, highest);
    }
    double sum = 0.0;
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      const double weight = weight_of(candidates_[i].logit, highest);
      const bool enough = options_.top_p < 1.0f && sum >= static_cast<double>(options_.top_p) * total;
      if (i > 0 && (enough || weight < static_cast<double>(options_.min_p))) {
        candidates_.resize(i);
        return;
      }
      sum += weight;
    }
    if (count == most || candidates_.size() < count) return;
  }
}

std::int32_t Sampler::draw() {
  if (candidates_.empty()) return 0;
  if (candidates_.size() == 1) return candidates_.front().token;
  const float highest = std::min_element(candidates_.begin(), candidates_.end(), better)->logit;
  const double sharpness = 1.0 / static_cast<double>(options_.temperature);
  const auto weight = [&](const Candidate& candidate) {
    return weight_of(candidate.logit, highest, sharpness);
  };
  double total = 0.0;
  for (const Candidate& candidate : candidates_) total += weight(candidate);
  double rest = uniform() * total;
  for (const Candidate& candidate : candidates_) {
    rest -= weight(candidate);
    if (rest < 0.0) return candidate.token;
  }
  return candidates_.front().token;  // rounding used up the last of `rest`
}

// 53 bits of the samples_th value of SplitMix64 (Steele et al. 2014): in [0, 1), the same on every machine.
double Sampler::uniform() {
  std::uint64_t x = seed_ + samples_ * 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return static_cast<double>((x ^ x >> 31) >> 11) * 0x1p-53;
}

}  // namespace rf
