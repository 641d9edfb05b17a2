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

// In lanes of their own, so that the compiler may take a vector of them.
float highest_of(std::span<const float> logits) {
  float lanes[16];
  std::ranges::fill(lanes, minus_infinity);
  std::size_t i = 0;
  for (; i + 16 <= logits.size(); i += 16)
    for (std::size_t lane = 0; lane < 16; ++lane)
      lanes[lane] = logits[i + lane] > lanes[lane] ? logits[i + lane] : lanes[lane];
  for (; i < logits.size(); ++i) lanes[0] = std::max(lanes[0], logits[i]);
  return *std::ranges::max_element(lanes);
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
  check_range("typical_p", typical_p, 0.0f, 1.0f);
  check_finite("top_n_sigma", top_n_sigma);
  check_range("xtc_probability", xtc_probability, 0.0f, 1.0f);
  check_range("xtc_threshold", xtc_threshold, 0.0f, 1.0f);
  check_range("dynatemp_range", dynamic_range, 0.0f, 1e6f);
  check_range("dynatemp_exponent", dynamic_exponent, 0.0f, 1e6f);
  if (mirostat < 0 || mirostat > 2) fail("mirostat: expected 0, 1 or 2, found {}", mirostat);
  check_range("mirostat_tau", mirostat_tau, 0.0f, 1e6f);
  check_range("mirostat_eta", mirostat_eta, 0.0f, 1e6f);
  check_range("dry_multiplier", dry.multiplier, 0.0f, 1e6f);
  check_range("dry_base", dry.base, 1.0f, 1e6f);
  if (dry.allowed_length < 0) fail("dry_allowed_length: expected 0 or more, found {}", dry.allowed_length);
  if (dry.last_n < -1) fail("dry_penalty_last_n: expected -1 or more, found {}", dry.last_n);
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
  if (options_.mirostat != 0) surprise_ = 2 * options_.mirostat_tau;
}

void Sampler::resume(std::uint64_t samples, float surprise) {
  samples_ = samples;
  if (options_.mirostat != 0 && surprise >= 0.0f) surprise_ = surprise;
}

std::int32_t Sampler::sample(std::span<const float> logits, std::span<const std::int32_t> history,
                             std::span<const std::uint64_t> allowed) {
  ++samples_;
  logits_.assign(logits.begin(), logits.end());
  ban(allowed);
  penalise(history);
  for (const auto& [token, penalty] : dry_penalties(options_.dry, history, breaks_))
    if (token >= 0 && static_cast<std::size_t>(token) < logits_.size())
      logits_[static_cast<std::size_t>(token)] -= penalty;
  for (const auto& [token, bias] : options_.logit_bias) {
    float& logit = logits_[static_cast<std::size_t>(token)];
    logit = bias == minus_infinity ? minus_infinity : logit + bias;
  }
  for (float& logit : logits_) logit = std::isnan(logit) ? minus_infinity : logit;
  const bool greedy = is_greedy(), plain = greedy || is_plain();
  if (greedy)
    collect_best(1);
  else if (plain)
    cut();
  else
    run_stages();
  if (candidates_.empty()) return lowest_of(allowed);
  return draw(plain && !greedy ? static_cast<double>(options_.temperature) : 1.0);
}

bool Sampler::is_greedy() const {
  return options_.temperature == 0.0f && options_.dynamic_range == 0.0f && options_.mirostat == 0;
}

bool Sampler::best_will_do() const {
  const bool as_they_are = options_.repetition_penalty == 1.0f && options_.presence_penalty == 0.0f &&
                           options_.frequency_penalty == 0.0f && options_.dry.multiplier <= 0.0f &&
                           options_.logit_bias.empty();
  return as_they_are &&
         (is_greedy() || (is_plain() && options_.top_k > 0 && options_.top_k <= best_candidates));
}

std::int32_t Sampler::sample_best(std::span<const Candidate> best) {
  ++samples_;
  const bool greedy = is_greedy();
  const std::size_t most = greedy ? 1 : static_cast<std::size_t>(options_.top_k);
  candidates_.clear();
  for (const Candidate& each : best.first(std::min(best.size(), most)))
    if (each.token >= 0 && each.logit != minus_infinity) candidates_.push_back(each);
  if (candidates_.empty()) return 0;
  if (!greedy && (options_.top_p < 1.0f || options_.min_p > 0.0f))
    cut_tail(candidates_, total_weight(candidates_), static_cast<double>(options_.top_p),
             static_cast<double>(options_.min_p));
  return draw(greedy ? 1.0 : static_cast<double>(options_.temperature));
}

// No branch depends on a single bit, which no processor could foresee: of each word whichever is less is
// visited, what it bans or what it leaves.
void Sampler::ban(std::span<const std::uint64_t> allowed) {
  if (allowed.empty()) return;
  for (std::size_t begin = 0, word = 0; begin < logits_.size(); begin += 64, ++word) {
    const std::size_t count = std::min<std::size_t>(64, logits_.size() - begin);
    float* const logits = logits_.data() + begin;
    const std::uint64_t inside = ~std::uint64_t{0} >> (64 - count);
    const std::uint64_t left = word < allowed.size() ? allowed[word] & inside : 0;
    if (std::popcount(left) > 32) {
      for (std::uint64_t bits = inside & ~left; bits != 0; bits &= bits - 1)
        logits[std::countr_zero(bits)] = minus_infinity;
      continue;
    }
    float kept[32];
    std::size_t at = 0;
    for (std::uint64_t bits = left; bits != 0; bits &= bits - 1) kept[at++] = logits[std::countr_zero(bits)];
    std::fill_n(logits, count, minus_infinity);
    at = 0;
    for (std::uint64_t bits = left; bits != 0; bits &= bits - 1) logits[std::countr_zero(bits)] = kept[at++];
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
  for (std::size_t begin = 0; begin < logits_.size(); begin += 64) {
    const std::size_t end = std::min(begin + 64, logits_.size());
    if (!(highest_of({logits_.data() + begin, end - begin}) > threshold)) continue;
    for (std::size_t i = begin; i < end; ++i) {
      if (!(logits_[i] > threshold)) continue;
      candidates_.push_back({logits_[i], static_cast<std::int32_t>(i)});
      if (candidates_.size() == room) keep_best();
    }
  }
  keep_best();
}

bool Sampler::is_plain() const {
  static const SamplerOptions usual;
  return options_.order == usual.order && options_.typical_p == 1.0f && options_.top_n_sigma <= 0.0f &&
         options_.xtc_probability == 0.0f && options_.dynamic_range == 0.0f && options_.mirostat == 0;
}

// Leaves in candidates_ what top_k, top_p and min_p leave. All three keep a best-first prefix, hence only as
// much is sorted as the shortest of them needs.
void Sampler::cut() {
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
    if (limited) total = total_weight(candidates_);
    const std::size_t found = candidates_.size();
    if (cut_tail(candidates_, total, static_cast<double>(options_.top_p),
                 static_cast<double>(options_.min_p)))
      return;
    if (count == most || found < count) return;
  }
}

void Sampler::run_stages() {
  collect_best(logits_.size());
  std::sort(candidates_.begin(), candidates_.end(), better);
  if (candidates_.empty()) return;
  if (options_.mirostat != 0) {
    run(SamplerStage::temperature);
    return cut_surprising(candidates_, options_.mirostat, static_cast<double>(surprise_),
                          static_cast<std::int32_t>(logits_.size()));
  }
  for (const SamplerStage stage : options_.order) run(stage);
}

void Sampler::run(SamplerStage stage) {
  const SamplerOptions& o = options_;
  switch (stage) {
    case SamplerStage::top_n_sigma:
      if (o.top_n_sigma > 0.0f) cut_sigma(candidates_, static_cast<double>(o.top_n_sigma));
      return;
    case SamplerStage::top_k:
      if (o.top_k > 0) candidates_.resize(std::min(candidates_.size(), static_cast<std::size_t>(o.top_k)));
      return;
    case SamplerStage::typical_p:
      if (o.typical_p < 1.0f) cut_atypical(candidates_, static_cast<double>(o.typical_p));
      return;
    case SamplerStage::top_p:
      cut_tail(candidates_, total_weight(candidates_), static_cast<double>(o.top_p), 0.0);
      return;
    case SamplerStage::min_p:
      cut_tail(candidates_, 0.0, 1.0, static_cast<double>(o.min_p));
      return;
    case SamplerStage::xtc:
      if (o.xtc_threshold <= 0.5f && uniform(1) < static_cast<double>(o.xtc_probability))
        exclude_top_choices(candidates_, static_cast<double>(o.xtc_threshold));
      return;
    case SamplerStage::temperature:
      apply_temperature(candidates_, static_cast<double>(o.temperature), static_cast<double>(o.dynamic_range),
                        static_cast<double>(o.dynamic_exponent));
  }
}

std::int32_t Sampler::draw(double temperature) {
  const float highest = std::min_element(candidates_.begin(), candidates_.end(), better)->logit;
  const auto weight = [&](const Candidate& candidate) {
    return weight_of(candidate.logit, highest, 1.0 / temperature);
  };
  double total = 0.0;
  for (const Candidate& candidate : candidates_) total += weight(candidate);
  double rest = uniform(0) * total;
  const auto at =
      std::ranges::find_if(candidates_, [&](const Candidate& each) { return (rest -= weight(each)) < 0.0; });
  const Candidate& chosen =
      at == candidates_.end() ? candidates_.front() : *at;  // rounding used up the last of it
  if (options_.mirostat != 0) {
    const double found = -std::log2(weight(chosen) / total);
    const double error = found - static_cast<double>(options_.mirostat_tau);
    surprise_ = std::max(0.0f, surprise_ - options_.mirostat_eta * static_cast<float>(error));
  }
  return chosen.token;
}

// 53 bits of the samples_th value of the stream's SplitMix64 (Steele et al. 2014): in [0, 1), the same on
// every machine.
double Sampler::uniform(std::uint64_t stream) const {
  std::uint64_t x = (seed_ ^ stream * 0xd1342543de82ef95u) + samples_ * 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return static_cast<double>((x ^ x >> 31) >> 11) * 0x1p-53;
}

}  // namespace rf
