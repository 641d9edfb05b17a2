// The stages of samplers against figures worked out by hand, and DRY against its definition.
#include "engine/sampler_stages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "engine/dry.h"
#include "engine/sampler.h"

namespace rf {
namespace {

// Candidates of these probabilities, which must fall.
Candidates of(const std::vector<double>& p) {
  Candidates candidates;
  for (const double each : p)
    candidates.push_back({static_cast<float>(std::log(each)), static_cast<std::int32_t>(candidates.size())});
  return candidates;
}

std::vector<std::int32_t> tokens(const Candidates& candidates) {
  std::vector<std::int32_t> all;
  for (const Candidate& candidate : candidates) all.push_back(candidate.token);
  return all;
}

using Ids = std::vector<std::int32_t>;

TEST(SamplerStages, Tail) {
  Candidates c = of({0.5, 0.3, 0.15, 0.05});
  EXPECT_TRUE(cut_tail(c, total_weight(c), 0.75, 0));
  EXPECT_EQ(tokens(c), (Ids{0, 1}));
  c = of({0.5, 0.3, 0.15, 0.05});
  EXPECT_TRUE(cut_tail(c, total_weight(c), 1, 0.25));
  EXPECT_EQ(tokens(c), (Ids{0, 1, 2}));
  EXPECT_FALSE(cut_tail(c, total_weight(c), 1, 0));
}

TEST(SamplerStages, Sigma) {
  Candidates c = {{4, 0}, {2, 1}, {0, 2}, {-2, 3}};  // deviation: sqrt(5)
  cut_sigma(c, 1.0);
  EXPECT_EQ(tokens(c), (Ids{0, 1}));
}

TEST(SamplerStages, Typical) {
  // The entropy is 1.03 nats; the surprises are 0.69, 1.20, 1.61: the second is nearest, then the first.
  Candidates c = of({0.5, 0.3, 0.2});
  cut_atypical(c, 0.2);
  EXPECT_EQ(tokens(c), (Ids{1}));
  c = of({0.5, 0.3, 0.2});
  cut_atypical(c, 0.5);
  EXPECT_EQ(tokens(c), (Ids{0, 1}));
}

TEST(SamplerStages, TopChoices) {
  Candidates c = of({0.4, 0.3, 0.2, 0.1});
  exclude_top_choices(c, 0.15);
  EXPECT_EQ(tokens(c), (Ids{2, 3}));
  c = of({0.9, 0.1});
  exclude_top_choices(c, 0.5);
  EXPECT_EQ(tokens(c), (Ids{0, 1}));
}

TEST(SamplerStages, Temperature) {
  Candidates c = {{4, 0}, {2, 1}};
  apply_temperature(c, 2, 0, 1);
  EXPECT_FLOAT_EQ(c[0].logit, 2);
  c = {{1, 0}, {1, 1}};  // as uncertain as can be: the highest temperature
  apply_temperature(c, 1, 0.5, 1);
  EXPECT_NEAR(c[0].logit, 1 / 1.5, 1e-6);
  c = {{4, 0}, {2, 1}};
  apply_temperature(c, 0, 0, 1);
  EXPECT_EQ(tokens(c), (Ids{0}));
}

TEST(SamplerStages, SurprisesOfMirostat) {
  Candidates c = of({0.5, 0.25, 0.125, 0.125});
  cut_surprising(c, 2, 2.5, 4);
  EXPECT_EQ(tokens(c), (Ids{0, 1}));
  c = of({0.5, 0.25, 0.125, 0.125});
  cut_surprising(c, 1, 1e-3, 4);
  EXPECT_GE(c.size(), 1u);
}

// Mirostat keeps the mean surprise of what it draws near the one asked for.
TEST(SamplerStages, MirostatReachesItsAim) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 2);
  for (const int version : {1, 2}) {
    Sampler sampler({.temperature = 1, .mirostat = version, .mirostat_tau = 3, .seed = 5}, 2000);
    double sum = 0;
    int count = 0;
    for (int i = 0; i < 600; ++i) {
      std::vector<float> logits(2000);
      for (float& logit : logits) logit = normal(random);
      const auto token = static_cast<std::size_t>(sampler.sample(logits, {}));
      double total = 0;
      for (const float logit : logits) total += std::exp(static_cast<double>(logit));
      if (i < 100) continue;
      sum -= std::log2(std::exp(static_cast<double>(logits[token])) / total);
      ++count;
    }
    // The surprise it steers by is that among what was left, which is less than that among all.
    EXPECT_GT(sum / count, 2.9) << version;
    EXPECT_LT(sum / count, 9) << version;
  }
}

// The definition, tried at every place.
std::vector<std::pair<std::int32_t, float>> slow_dry(const DryOptions& o, const Ids& history,
                                                     std::int32_t breaker) {
  std::vector<std::pair<std::int32_t, float>> all;
  const std::size_t n = history.size();
  for (std::int32_t token = 0; token < 6; ++token) {
    std::size_t longest = 0;
    for (std::size_t i = 0; i < n; ++i) {  // history[i] is the token that followed an earlier occurrence
      if (history[i] != token) continue;
      std::size_t length = 0;
      while (length < i && history[i - 1 - length] == history[n - 1 - length] &&
             history[n - 1 - length] != breaker)
        ++length;
      longest = std::max(longest, length);
    }
    if (longest > 0 && static_cast<int>(longest) >= o.allowed_length)
      all.emplace_back(token, static_cast<float>(static_cast<double>(o.multiplier) *
                                                 std::pow(static_cast<double>(o.base),
                                                          static_cast<int>(longest) - o.allowed_length)));
  }
  return all;
}

TEST(Dry, AsDefined) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    Ids history;
    for (std::uint64_t i = 0, n = random() % 40; i < n; ++i)
      history.push_back(static_cast<std::int32_t>(random() % 4));
    const DryOptions options{.multiplier = 0.8f, .allowed_length = static_cast<int>(random() % 3)};
    auto found = dry_penalties(options, history, [](std::int32_t token) { return token == 3; });
    std::ranges::sort(found);
    EXPECT_EQ(found, slow_dry(options, history, 3));
  }
}

}  // namespace
}  // namespace rf
