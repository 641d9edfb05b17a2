#include "engine/stop.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>

#include "base/error.h"

namespace rf {
namespace {

struct Outcome {
  std::string text;
  bool stopped;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome run(const std::vector<std::string>& stops, std::string_view text, std::size_t piece) {
  StopMatcher matcher(stops);
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += piece) out += matcher.push(text.substr(at, piece));
  out += matcher.finish();
  return {out, matcher.stopped()};
}

// The definition, by looking everywhere: the match that ends first, of those the longest.
Outcome by_definition(const std::vector<std::string>& stops, std::string_view text) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& stop : stops)
      if (text.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    if (longest > 0) return {std::string(text.substr(0, end - longest)), true};
  }
  return {std::string(text), false};
}

TEST(StopMatcher, FindsAStopStringAcrossPieces) {
  StopMatcher matcher({"</s>"});
  EXPECT_EQ(matcher.push("Hello <"), "Hello ");
  EXPECT_EQ(matcher.push("/"), "");
  EXPECT_EQ(matcher.push("b> and </"), "</b> and ");
  EXPECT_FALSE(matcher.stopped());
  EXPECT_EQ(matcher.push("s> more"), "");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.matched(), "</s>");
  EXPECT_EQ(matcher.push("after"), "");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, ReleasesWhatCannotStopAnyMore) {
  StopMatcher matcher({"STOP"});
  EXPECT_EQ(matcher.push("wait STO"), "wait ");
  EXPECT_EQ(matcher.finish(), "STO");
  EXPECT_FALSE(matcher.stopped());
  EXPECT_EQ(matcher.matched(), "");
}

TEST(StopMatcher, HoldsNothingWithoutStopStrings) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.push("anything"), "anything");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, RefusesAnEmptyStopString) {
  EXPECT_THROW(StopMatcher({"a", ""}), Error);
}

TEST(StopMatcher, SurvivesACopyInTheMiddle) {
  auto first = std::make_unique<StopMatcher>(std::vector<std::string>{"end"});
  EXPECT_EQ(first->push("the en"), "the ");
  StopMatcher second = *first;
  EXPECT_EQ(first->push("d"), "");
  StopMatcher third = *first;
  first.reset();
  EXPECT_EQ(second.push("t"), "ent");
  EXPECT_EQ(third.matched(), "end");
}

TEST(StopMatcher, AgreesWithTheDefinitionOnManyTexts) {
  std::mt19937 random(5);
  const auto word = [&](std::size_t longest) {
    std::string text(random() % longest + 1, 'a');
    for (char& c : text) c = static_cast<char>('a' + random() % 2);
    return text;
  };
  int stopped = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops;
    for (std::size_t i = 0; i < 1 + random() % 3; ++i) stops.push_back(word(7));
    const std::string text = word(20);
    const Outcome wanted = by_definition(stops, text);
    stopped += wanted.stopped;
    for (const std::size_t piece : {1u, 2u, 3u, 20u})
      ASSERT_EQ(run(stops, text, piece), wanted) << text << " in pieces of " << piece;
  }
  EXPECT_GT(stopped, 300);
  EXPECT_LT(stopped, 2900);
}

TEST(StopMatcher, TakesLinearTimeOnRepetitiveText) {
  const std::string stop = std::string(10000, 'a') + "b";
  const std::clock_t start = std::clock();  // of the processor, which may be somebody else's for a while
  const Outcome outcome = run({stop}, std::string(2000000, 'a'), 5);
  EXPECT_EQ(outcome.text.size(), 2000000u);
  EXPECT_LT(std::clock() - start, 20 * CLOCKS_PER_SEC);
}

}  // namespace
}  // namespace rf
