// The engine end to end: the tokens that it gives, alone and among others, and what it takes from the cache.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "engine_run.h"
#include "golden.h"

namespace rf {
namespace {

using test::greedy;
using test::load_exact;
using test::prompt_of;
using test::run;
using test::Seen;
using test::Tokens;

struct Continuation {
  Tokens prompt, ids;
};

// Greedy continuations recorded from the published implementation.
std::vector<Continuation> golden_greedy(const std::string& model) {
  std::vector<Continuation> all;
  std::ifstream file(test::golden("arch/" + model + "/tokens.json"));
  const auto facts = nlohmann::json::parse(file);
  for (const auto& entry : facts.at("greedy"))
    all.push_back({entry.at("prompt").get<Tokens>(), entry.at("ids").get<Tokens>()});
  return all;
}

class EngineGolden : public testing::TestWithParam<std::string> {};

TEST_P(EngineGolden, GreedyContinuations) {
  if (test::golden("arch/" + GetParam()).empty()) GTEST_SKIP() << "no golden data";
  for (const int page_tokens : {1, 5, 64})
    for (const int batch_rows : {1, 3, 512}) {
      const std::vector<Continuation> expected = golden_greedy(GetParam());
      ASSERT_FALSE(expected.empty());
      Engine engine = load_exact(
          GetParam(), {.context = 64, .parallel = 2, .page_tokens = page_tokens, .batch_rows = batch_rows});
      std::vector<Request> requests;
      for (const Continuation& c : expected)
        requests.push_back(greedy(c.prompt, static_cast<int>(c.ids.size())));
      const std::vector<Seen> outcomes = run(engine, requests);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(outcomes[i].tokens, expected[i].ids) << "page " << page_tokens << " rows " << batch_rows;
        EXPECT_EQ(outcomes[i].finish, Finish::length);
        EXPECT_EQ(outcomes[i].prompt_done, static_cast<int>(expected[i].prompt.size()));
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Arch, EngineGolden,
                         testing::Values("llama", "llama-spm", "qwen2", "qwen3", "mamba", "granitehybrid",
                                         "lfm2", "qwen3.5"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::ranges::replace_if(name, [](char c) { return c == '-' || c == '.'; }, '_');
                           return name;
                         });

TEST(Engine, SampledTokensDependOnTheSeedAndNotOnCompany) {
  std::vector<Request> requests;
  for (int i = 0; i < 6; ++i)
    requests.push_back({.prompt = prompt_of(3 + 5 * i, i % 2),
                        .sampling = {.temperature = 1.0f, .repetition_penalty = 1.1f, .seed = i < 4 ? 7 : 8},
                        .max_tokens = 20,
                        .ignore_eos = true});
  Engine alone = load_exact("qwen3", {.context = 64, .page_tokens = 4});
  std::vector<Seen> expected;
  for (const Request& request : requests) expected.push_back(run(alone, request));
  EXPECT_NE(expected[1].tokens, expected[5].tokens);
  // The last of these has room for little more than one sequence of the four it runs at once.
  for (const EngineOptions& options : {EngineOptions{.context = 64, .parallel = 6},
                                       EngineOptions{.context = 64, .parallel = 3, .batch_rows = 7},
                                       EngineOptions{.context = 64,
                                                     .parallel = 4,
                                                     .page_tokens = 4,
                                                     .cache_tokens = 72,
                                                     .batch_rows = 9,
                                                     .wanted_rows = 2}}) {
    Engine engine = load_exact("qwen3", options);
    const std::vector<Seen> together = run(engine, requests);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(together[i].tokens, expected[i].tokens) << i;
      EXPECT_EQ(together[i].text, expected[i].text) << i;
    }
  }
}

TEST(Engine, TextIsThatOfTheTokens) {
  Engine engine = load_exact("llama-spm", {.context = 100});
  const Seen outcome = run(engine, greedy(prompt_of(9), 80));
  Detokenizer text(engine.tokenizer(), false, true);
  std::string expected;
  for (const std::int32_t token : outcome.tokens) expected += text.push(token);
  EXPECT_EQ(outcome.text, expected + text.finish());
  EXPECT_EQ(outcome.tokens.size(), 80u);
}

TEST(Engine, PrefixesComeFromTheCache) {
  Engine engine = load_exact("llama", {.context = 64, .parallel = 2, .page_tokens = 5});
  const Tokens prompt = prompt_of(20);
  const Seen first = run(engine, greedy(prompt, 12));
  EXPECT_EQ(first.cached, 0);
  const Seen again = run(engine, greedy(prompt, 12));
  EXPECT_EQ(again.cached, 15) << "the last token is read for its logits, hence its page is";
  EXPECT_EQ(again.tokens, first.tokens);
  // A conversation goes on: the answer is in the cache too.
  Tokens longer = prompt;
  longer.insert(longer.end(), first.tokens.begin(), first.tokens.begin() + 6);
  const Seen next = run(engine, greedy(longer, 6));
  EXPECT_EQ(next.cached, 25);
  EXPECT_EQ(next.tokens, Tokens(first.tokens.begin() + 6, first.tokens.end()));
  Tokens other = prompt;
  other[2] ^= 1;
  EXPECT_EQ(run(engine, greedy(other, 3)).cached, 0);
}

// As above, of models with recurrent states: what is gone on from is a snapshot of them.
TEST(Engine, StatesComeFromTheCache) {
  for (const char* model : {"mamba2", "granitehybrid", "lfm2", "qwen3.5"}) {
    if (test::golden(std::string("arch/") + model).empty()) continue;
    SCOPED_TRACE(model);
    Engine engine = load_exact(model, {.context = 64, .parallel = 2, .page_tokens = 5});
    const Tokens prompt = prompt_of(20);
    const Seen first = run(engine, greedy(prompt, 12));
    EXPECT_EQ(first.cached, 0);
    const Seen again = run(engine, greedy(prompt, 12));
    EXPECT_EQ(again.cached, 15);
    EXPECT_EQ(again.tokens, first.tokens);
    Tokens longer = prompt;
    longer.insert(longer.end(), first.tokens.begin(), first.tokens.end());
    const Tokens more = prompt_of(6, 2);
    longer.insert(longer.end(), more.begin(), more.end());
    const Seen next = run(engine, greedy(longer, 9));
    EXPECT_EQ(next.cached, 30);
    Engine fresh = load_exact(model, {.context = 64, .page_tokens = 5, .state_snapshots = 0});
    EXPECT_EQ(next.tokens, run(fresh, greedy(longer, 9)).tokens);
    const Seen reread = run(fresh, greedy(longer, 9));
    EXPECT_EQ(reread.cached, 0) << "without snapshots nothing can be gone on from";
    EXPECT_EQ(reread.tokens, next.tokens);
    // Among others, with pages for two of three, and with an evaluation in between.
    Engine narrow = load_exact(
        model, {.context = 64, .parallel = 3, .page_tokens = 5, .cache_tokens = 90, .batch_rows = 7});
    const std::uint64_t ids[] = {narrow.submit(greedy(longer, 9)),
                                 narrow.submit(greedy(prompt_of(30, 3), 20)),
                                 narrow.submit(greedy(prompt_of(25, 4), 20))};
    std::vector<Event> events;
    for (int i = 0; i < 6; ++i) narrow.step(events);
    int rows = 0;
    narrow.evaluate(prompt_of(33, 5), [&](int, int count, const float*) { rows += count; });
    EXPECT_EQ(rows, 33);
    std::map<std::uint64_t, Tokens> tokens;
    while (narrow.step(events)) {
    }
    for (const Event& event : events)
      if (event.token >= 0) tokens[event.request].push_back(event.token);
    EXPECT_EQ(tokens[ids[0]], next.tokens);
    EXPECT_EQ(tokens[ids[1]], run(fresh, greedy(prompt_of(30, 3), 20)).tokens);
    EXPECT_EQ(tokens[ids[2]], run(fresh, greedy(prompt_of(25, 4), 20)).tokens);
  }
}

TEST(Engine, PromptsReportTheirProgress) {
  Engine engine = load_exact("llama", {.context = 64, .batch_rows = 8});
  const std::uint64_t id = engine.submit(greedy(prompt_of(20), 1));
  std::vector<Event> events;
  while (engine.step(events)) {
  }
  ASSERT_EQ(events.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(events[i].request, id);
    EXPECT_EQ(events[i].prompt_done, std::min(20, 8 * static_cast<int>(i + 1)));
    EXPECT_EQ(events[i].token >= 0, i == 2);
  }
}

TEST(Engine, EvaluateGivesTheLogitsOfEveryPosition) {
  const Continuation expected = golden_greedy("llama").front();
  Tokens tokens = expected.prompt;
  tokens.insert(tokens.end(), expected.ids.begin(), expected.ids.end());
  Engine engine = load_exact("llama", {.context = 64, .page_tokens = 5, .wanted_rows = 7});
  // While another request is half way: it goes on afterwards as if nothing had been.
  const Tokens undisturbed = run(engine, greedy(prompt_of(50), 10)).tokens;
  const std::uint64_t id = engine.submit(greedy(prompt_of(50), 10));
  std::vector<Event> events;
  engine.step(events);
  engine.step(events);
  Tokens best;
  engine.evaluate(tokens, [&](int first, int rows, const float* logits) {
    EXPECT_EQ(first, static_cast<int>(best.size()));
    EXPECT_LE(rows, 7);
    const auto vocab = static_cast<std::ptrdiff_t>(engine.spec().vocab);
    for (std::ptrdiff_t r = 0; r < rows; ++r) {
      const float* row = logits + r * vocab;
      best.push_back(static_cast<std::int32_t>(std::max_element(row, row + vocab) - row));
    }
  });
  ASSERT_EQ(best.size(), tokens.size());
  EXPECT_TRUE(std::equal(expected.ids.begin(), expected.ids.end(),
                         best.begin() + static_cast<std::ptrdiff_t>(expected.prompt.size()) - 1));
  Tokens disturbed;
  for (const Event& event : events)
    if (event.token >= 0) disturbed.push_back(event.token);
  const Tokens rest = run(engine).at(id).tokens;
  disturbed.insert(disturbed.end(), rest.begin(), rest.end());
  EXPECT_EQ(disturbed, undisturbed);
}

// The log-softmax of each row of logits at the token that follows it.
std::vector<double> foretold(Engine& engine, const Tokens& tokens) {
  std::vector<double> all;
  engine.evaluate(tokens, [&](int first, int rows, const float* logits) {
    const auto vocab = static_cast<std::size_t>(engine.spec().vocab);
    for (int r = 0; r < rows && first + r + 1 < static_cast<int>(tokens.size()); ++r) {
      const float* row = logits + static_cast<std::size_t>(r) * vocab;
      double sum = 0;
      for (std::size_t i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(row[i]));
      const auto next = static_cast<std::size_t>(tokens[static_cast<std::size_t>(first + r) + 1]);
      all.push_back(static_cast<double>(row[next]) - std::log(sum));
    }
  });
  return all;
}

TEST(Engine, PromptsTellTheirLogprobs) {
  const Tokens prompt = prompt_of(40);
  for (const int batch_rows : {1, 7, 512})
    for (const int wanted_rows : {3, 16, 0}) {
      Engine engine = load_exact("llama", {.context = 64,
                                           .parallel = 3,
                                           .page_tokens = 5,
                                           .batch_rows = batch_rows,
                                           .wanted_rows = wanted_rows});
      const std::vector<double> expected = foretold(engine, prompt);
      Request request = greedy(prompt, 4);
      request.logprobs = 2;
      const Tokens undisturbed = run(engine, request).tokens;
      request.prompt_logprobs = true;
      Request only = request;
      only.max_tokens = 0;
      // Beside others that decode, begin alike and read as slowly.
      engine.submit(greedy(prompt_of(9, 2), 30));
      const std::uint64_t whole = engine.submit(request), read = engine.submit(only);
      engine.submit(greedy(prompt, 3));
      std::map<std::uint64_t, std::vector<PromptLogprob>> told;
      std::map<std::uint64_t, Tokens> tokens;
      std::map<std::uint64_t, Finish> finishes;
      for (std::vector<Event> events; engine.step(events); events.clear())
        for (const Event& event : events) {
          for (const PromptLogprob& each : event.prompt) told[event.request].push_back(each);
          if (event.token >= 0) tokens[event.request].push_back(event.token);
          finishes[event.request] = event.finish;
        }
      EXPECT_EQ(told.size(), 2u);
      for (const std::uint64_t id : {whole, read}) {
        ASSERT_EQ(told[id].size(), prompt.size() - 1);
        for (std::size_t i = 0; i < expected.size(); ++i) {
          EXPECT_EQ(told[id][i].position, static_cast<int>(i) + 1);
          EXPECT_EQ(told[id][i].logprob.token, prompt[i + 1]);
          EXPECT_NEAR(static_cast<double>(told[id][i].logprob.logprob), expected[i], 1e-4);
          ASSERT_EQ(told[id][i].top.size(), 2u);
          EXPECT_GE(told[id][i].top[0].logprob, told[id][i].logprob.logprob);
        }
      }
      EXPECT_EQ(tokens[whole], undisturbed);
      EXPECT_TRUE(tokens[read].empty());
      EXPECT_EQ(finishes[read], Finish::length);
    }
}

TEST(Engine, PagesComeBackWhenASinkThrows) {
  Engine engine = load_exact("llama", {.context = 32});
  for (int i = 0; i < 3; ++i)
    EXPECT_THROW(engine.evaluate(prompt_of(30), [](int, int, const float*) { fail("enough"); }), Error);
  EXPECT_EQ(run(engine, greedy(prompt_of(30), -1)).tokens.size(), 2u);
}

}  // namespace
}  // namespace rf
