#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>

#include "base/error.h"

namespace rf {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

// Everything off but the draw itself.
SamplerOptions plain(float temperature = 1.0f) {
  return {.temperature = temperature, .top_k = 0, .top_p = 1.0f, .min_p = 0.0f, .seed = 7};
}

std::int32_t one(const SamplerOptions& options, std::vector<float> logits,
                 std::vector<std::int32_t> history = {}) {
  return Sampler(options, static_cast<std::int32_t>(logits.size())).sample(logits, history);
}

std::map<std::int32_t, int> draws(const SamplerOptions& options, const std::vector<float>& logits, int count,
                                  const std::vector<std::int32_t>& history = {}) {
  Sampler sampler(options, static_cast<std::int32_t>(logits.size()));
  std::map<std::int32_t, int> counts;
  for (int i = 0; i < count; ++i) ++counts[sampler.sample(logits, history)];
  return counts;
}

// Pearson's chi-squared of the counts against the softmax of `logits` (-infinity: must not occur).
double chi_squared(const std::map<std::int32_t, int>& counts, const std::vector<float>& logits, int draws) {
  double total = 0.0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit));
  double sum = 0.0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double expected = std::exp(static_cast<double>(logits[i])) / total * draws;
    const auto found = counts.find(static_cast<std::int32_t>(i));
    const double got = found == counts.end() ? 0.0 : found->second;
    if (expected > 0.0)
      sum += (got - expected) * (got - expected) / expected;
    else
      EXPECT_EQ(got, 0.0) << "token " << i;
  }
  return sum;
}

TEST(Sampler, GreedyTakesTheHighestAndTheLowestIdOfEquals) {
  EXPECT_EQ(one(plain(0.0f), {1, 5, 5, 3}), 1);
  EXPECT_EQ(one(plain(0.0f), {-infinity, -3, not_a_number}), 1);
  EXPECT_EQ(one(plain(0.0f), {not_a_number, -8}), 1);
  EXPECT_EQ(one(plain(0.0f), {1, infinity, 7}), 1);
  EXPECT_EQ(one(plain(0.0f), {not_a_number, not_a_number}), 0);
}

TEST(Sampler, DrawsFollowTheSoftmax) {
  const std::vector<float> logits = {0.0f, 1.0f, -1.0f, 2.5f, -infinity, 0.5f};
  constexpr int count = 100000;
  // 4 degrees of freedom: 18.5 is exceeded once in a thousand seeds.
  EXPECT_LT(chi_squared(draws(plain(), logits, count), logits, count), 18.5);
  std::vector<float> halved = logits;
  for (float& logit : halved) logit /= 2.0f;
  EXPECT_LT(chi_squared(draws(plain(2.0f), logits, count), halved, count), 18.5);
  EXPECT_GT(chi_squared(draws(plain(2.0f), logits, count), logits, count), 1000.0);
}

TEST(Sampler, TheBestDecideAsAllDo) {
  std::mt19937 random(20);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> logits(1 + random() % 700);
    for (float& logit : logits) {
      logit =
          static_cast<float>(static_cast<int>(random() % 2000) - 1000) / (round % 3 == 0 ? 400.0f : 50.0f);
      if (random() % 50 == 0) logit = random() % 2 == 0 ? -infinity : not_a_number;
    }
    std::vector<Candidate> best;
    for (std::size_t t = 0; t < logits.size(); ++t)
      best.push_back({std::isnan(logits[t]) ? -infinity : logits[t], static_cast<std::int32_t>(t)});
    std::sort(best.begin(), best.end(), better);
    best.resize(best_candidates, {0, -1});
    SamplerOptions options{.temperature = round % 4 == 0 ? 0.0f : 0.5f + static_cast<float>(round % 5) / 4,
                           .top_k = 1 + static_cast<int>(random() % best_candidates),
                           .top_p = round % 2 == 0 ? 1.0f : 0.8f,
                           .min_p = round % 5 == 0 ? 0.0f : 0.02f,
                           .seed = random()};
    Sampler of_all(options, static_cast<std::int32_t>(logits.size())), of_best = of_all;
    ASSERT_TRUE(of_best.best_will_do());
    for (int i = 0; i < 4; ++i) ASSERT_EQ(of_best.sample_best(best), of_all.sample(logits, {})) << round;
  }
}

TEST(Sampler, WhatTheBestCannotDecide) {
  const auto will_do = [](SamplerOptions options) {
    return Sampler(std::move(options), 1000).best_will_do();
  };
  EXPECT_TRUE(will_do({}));
  EXPECT_TRUE(will_do({.temperature = 0, .top_k = 0}));
  EXPECT_FALSE(will_do({.top_k = 0}));
  EXPECT_FALSE(will_do({.top_k = best_candidates + 1}));
  EXPECT_FALSE(will_do({.temperature = 0, .repetition_penalty = 1.1f}));
  EXPECT_FALSE(will_do({.temperature = 0, .presence_penalty = 0.5f}));
  EXPECT_FALSE(will_do({.frequency_penalty = 0.5f}));
  EXPECT_FALSE(will_do({.logit_bias = {{3, 1.0f}}}));
  EXPECT_FALSE(will_do({.typical_p = 0.9f}));
  EXPECT_FALSE(will_do({.mirostat = 2}));
  EXPECT_FALSE(will_do({.dry = {.multiplier = 0.8f}}));
}

TEST(Sampler, TopKKeepsTheBest) {
  SamplerOptions options = plain();
  options.top_k = 2;
  const std::vector<float> logits = {0.0f, 1.0f, 0.5f, -1.0f};
  constexpr int count = 50000;
  EXPECT_LT(chi_squared(draws(options, logits, count), {-infinity, 1.0f, 0.5f, -infinity}, count), 10.8);
  options.top_k = 1;
  EXPECT_EQ(draws(options, logits, 100), (std::map<std::int32_t, int>{{1, 100}}));
}

TEST(Sampler, TopKOfEqualsKeepsTheLowestIds) {
  SamplerOptions options = plain();
  options.top_k = 3;
  const auto counts = draws(options, std::vector<float>(1000, 1.0f), 3000);
  ASSERT_EQ(counts.size(), 3u);
  EXPECT_EQ(counts.rbegin()->first, 2);
}

TEST(Sampler, TopPKeepsTheShortestPrefixThatReachesIt) {
  SamplerOptions options = plain();
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.15f), std::log(0.25f)};
  options.top_p = 0.7f;
  EXPECT_EQ(draws(options, logits, 5000).size(), 2u);
  options.top_p = 0.8f;
  EXPECT_EQ(draws(options, logits, 5000).size(), 3u);
  options.top_p = 0.0f;
  EXPECT_EQ(draws(options, logits, 100), (std::map<std::int32_t, int>{{1, 100}}));
}

TEST(Sampler, MinPKeepsWhatIsNearTheBest) {
  SamplerOptions options = plain();
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.15f), std::log(0.25f)};
  options.min_p = 0.25f;
  const auto counts = draws(options, logits, 5000);
  EXPECT_EQ(counts.size(), 3u);
  EXPECT_FALSE(counts.contains(0));
  options.min_p = 1.0f;
  EXPECT_EQ(draws(options, logits, 100), (std::map<std::int32_t, int>{{1, 100}}));
}

// top_p is taken of what top_k left: of {0.5, 0.25, 0.15} the best has 0.56.
TEST(Sampler, CutsApplyInOrder) {
  SamplerOptions options = plain();
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.15f), std::log(0.25f)};
  options.top_p = 0.53f;
  EXPECT_EQ(draws(options, logits, 5000).size(), 2u);
  options.top_k = 3;
  EXPECT_EQ(draws(options, logits, 5000).size(), 1u);
}

// A flat distribution over a large vocabulary needs far more than the first few hundred candidates.
TEST(Sampler, TopPWithoutTopKReachesFarIntoALargeVocabulary) {
  SamplerOptions options = plain();
  options.top_p = 0.5f;
  std::vector<float> logits(20000);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i) * 1e-6f;
  const auto counts = draws(options, logits, 300);
  EXPECT_GT(counts.size(), 250u);
  EXPECT_GE(counts.begin()->first, 9900);
}

TEST(Sampler, RepetitionPenaltyDividesAboveZeroAndMultipliesBelow) {
  SamplerOptions options = plain(0.0f);
  options.repetition_penalty = 2.0f;
  EXPECT_EQ(one(options, {3.0f, 2.0f}, {0}), 1);
  EXPECT_EQ(one(options, {-2.0f, -3.0f}, {0}), 1);
  EXPECT_EQ(one(options, {5.0f, 2.0f}, {0, 0, 0}), 0) << "occurrences do not add up";
  EXPECT_EQ(one(options, {3.0f, 2.0f}, {-1, 99}), 0) << "ids outside the vocabulary are passed over";
}

TEST(Sampler, PresenceCountsOnceAndFrequencyEachTime) {
  SamplerOptions presence = plain(0.0f), frequency = plain(0.0f);
  presence.presence_penalty = 1.0f;
  frequency.frequency_penalty = 1.0f;
  const std::vector<float> logits = {3.0f, 1.5f};
  EXPECT_EQ(one(presence, logits, {0, 0}), 0);
  EXPECT_EQ(one(frequency, logits, {0}), 0);
  EXPECT_EQ(one(frequency, logits, {0, 0}), 1);
}

TEST(Sampler, PenaltiesLookAtTheLastTokensOnly) {
  SamplerOptions options = plain(0.0f);
  options.repetition_penalty = 2.0f;
  options.penalty_last_n = 2;
  EXPECT_EQ(one(options, {3.0f, 2.0f, 0.0f}, {0, 2, 2}), 0);
  EXPECT_EQ(one(options, {3.0f, 2.0f, 0.0f}, {0, 2}), 1);
  options.penalty_last_n = -1;
  EXPECT_EQ(one(options, {3.0f, 2.0f, 0.0f}, std::vector<std::int32_t>(1000, 0)), 1);
  options.penalty_last_n = 0;
  EXPECT_EQ(one(options, {3.0f, 2.0f, 0.0f}, {0}), 0);
}

TEST(Sampler, BiasMovesAndBans) {
  SamplerOptions options = plain(0.0f);
  options.logit_bias = {{0, -2.0f}};
  EXPECT_EQ(one(options, {3.0f, 2.0f}), 1);
  options.logit_bias = {{0, -infinity}};
  EXPECT_EQ(one(options, {infinity, 2.0f}), 1);
  options.temperature = 1.0f;
  EXPECT_FALSE(draws(options, {9.0f, 0.0f, 0.0f}, 1000).contains(0));
}

TEST(Sampler, OnlyAllowedTokensAreChosen) {
  std::vector<float> logits(200, 1.0f);
  logits[7] = 50.0f;
  std::vector<std::uint64_t> allowed(4, 0);
  allowed[0] = 1u << 3;
  allowed[2] = std::uint64_t{1} << 40 | 2;  // tokens 168 and 129
  allowed[3] = ~std::uint64_t{0};           // 192 to 199, and none beyond
  for (const float temperature : {0.0f, 1.0f}) {
    Sampler sampler(plain(temperature), 200);
    for (int i = 0; i < 200; ++i) {
      const std::int32_t token = sampler.sample(logits, {}, allowed);
      EXPECT_TRUE(token == 3 || token == 129 || token == 168 || token >= 192) << token;
    }
    // Nothing else than the mask says counts where all that is allowed has no probability.
    EXPECT_EQ(sampler.sample(std::vector<float>(200, not_a_number), {}, allowed), 3);
  }
}

TEST(Sampler, OddLogitsNeverBreakADraw) {
  SamplerOptions options;
  options.seed = 3;
  EXPECT_EQ(one(options, {not_a_number, -infinity, 1.0f}), 2);
  EXPECT_EQ(one(options, {not_a_number, -infinity}), 0);
  const auto infinite = draws(plain(), {infinity, 1.0f, infinity}, 1000);
  EXPECT_EQ(infinite.size(), 2u);
  EXPECT_FALSE(infinite.contains(1));
  options.temperature = std::numeric_limits<float>::min();
  EXPECT_EQ(one(options, {1.0f, 1.0001f, 0.0f}), 1);
}

// Written down once: a seed stands for the same tokens on every machine and in every release.
TEST(Sampler, ASeedGivesTheSameTokens) {
  SamplerOptions options = plain();
  std::vector<float> logits(100, 0.0f);
  Sampler first(options, 100), second(options, 100);
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < 8; ++i) {
    tokens.push_back(first.sample(logits, {}));
    EXPECT_EQ(second.sample(logits, {}), tokens.back());
  }
  EXPECT_EQ(tokens, (std::vector<std::int32_t>{38, 1, 90, 58, 45, 24, 46, 32}));
  options.seed = 8;
  Sampler other(options, 100);
  std::vector<std::int32_t> others;
  for (int i = 0; i < 8; ++i) others.push_back(other.sample(logits, {}));
  EXPECT_NE(others, tokens);
}

TEST(Sampler, WithoutASeedEachDrawsItsOwn) {
  SamplerOptions options = plain();
  options.seed.reset();
  const std::vector<float> logits(1000, 0.0f);
  Sampler first(options, 1000), second(options, 1000);
  std::vector<std::int32_t> a, b;
  for (int i = 0; i < 16; ++i) {
    a.push_back(first.sample(logits, {}));
    b.push_back(second.sample(logits, {}));
  }
  EXPECT_NE(a, b);
}

template <class Change>
std::string complaint(const Change& change) {
  SamplerOptions options;
  change(options);
  try {
    options.check(10);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Sampler, OptionsAreChecked) {
  EXPECT_EQ(complaint([](SamplerOptions&) {}), "");
  const std::pair<std::string, void (*)(SamplerOptions&)> wrong[] = {
      {"temperature", [](SamplerOptions& o) { o.temperature = -1.0f; }},
      {"temperature", [](SamplerOptions& o) { o.temperature = not_a_number; }},
      {"temperature", [](SamplerOptions& o) { o.temperature = infinity; }},
      {"top_k", [](SamplerOptions& o) { o.top_k = -2; }},
      {"top_p", [](SamplerOptions& o) { o.top_p = 1.1f; }},
      {"min_p", [](SamplerOptions& o) { o.min_p = -0.1f; }},
      {"repetition_penalty", [](SamplerOptions& o) { o.repetition_penalty = 0.0f; }},
      {"penalty_last_n", [](SamplerOptions& o) { o.penalty_last_n = -2; }},
      {"presence_penalty", [](SamplerOptions& o) { o.presence_penalty = infinity; }},
      {"frequency_penalty", [](SamplerOptions& o) { o.frequency_penalty = not_a_number; }},
      {"logit_bias", [](SamplerOptions& o) { o.logit_bias = {{10, 1.0f}}; }},
      {"logit_bias", [](SamplerOptions& o) { o.logit_bias = {{-1, 1.0f}}; }},
      {"logit_bias", [](SamplerOptions& o) { o.logit_bias = {{1, infinity}}; }},
  };
  for (const auto& [field, change] : wrong) EXPECT_TRUE(complaint(change).starts_with(field)) << field;
}

}  // namespace
}  // namespace rf
