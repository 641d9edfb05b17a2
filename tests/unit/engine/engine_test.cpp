// The engine end to end on tiny models, over the reference backend.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "golden.h"
#include "unit/model/variant.h"

namespace rf {
namespace {

using Tokens = std::vector<std::int32_t>;

Engine load_file(const std::string& path, EngineOptions options) {
  options.kv = KvType::f32;
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(make_reference());
  return Engine(path, std::move(backends), options);
}

Engine load(const std::string& model, EngineOptions options = {}) {
  const std::string path = test::golden("arch/" + model + "/model.gguf");
  if (path.empty()) fail("no golden data of {}", model);
  return load_file(path, options);
}

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

struct Outcome {
  Tokens tokens;
  std::string text;
  Finish finish = Finish::unfinished;
  int cached = 0, prompt_done = 0;
};

// Runs until nothing is left to do. A request has no event after its last.
std::map<std::uint64_t, Outcome> run(Engine& engine) {
  std::map<std::uint64_t, Outcome> outcomes;
  std::vector<Event> events;
  while (engine.step(events)) {
    for (const Event& event : events) {
      Outcome& outcome = outcomes[event.request];
      EXPECT_EQ(outcome.finish, Finish::unfinished);
      if (event.token >= 0) outcome.tokens.push_back(event.token);
      outcome.text += event.text;
      outcome.finish = event.finish;
      EXPECT_GE(event.prompt_done, outcome.prompt_done);
      outcome.prompt_done = event.prompt_done;
      outcome.cached = event.prompt_cached;
    }
    events.clear();
  }
  EXPECT_TRUE(engine.idle());
  return outcomes;
}

std::vector<Outcome> run(Engine& engine, const std::vector<Request>& requests) {
  std::vector<std::uint64_t> ids;
  for (const Request& request : requests) ids.push_back(engine.submit(request));
  auto outcomes = run(engine);
  std::vector<Outcome> ordered;
  for (const std::uint64_t id : ids) ordered.push_back(outcomes.at(id));
  return ordered;
}

Request greedy(Tokens prompt, int max_tokens) {
  return {.prompt = std::move(prompt),
          .sampling = {.temperature = 0},
          .max_tokens = max_tokens,
          .ignore_eos = true};
}

Tokens some_prompt(int length, int seed = 1) {
  Tokens tokens;
  for (int i = 0; i < length; ++i) tokens.push_back((i * 37 + seed * 101) % 256);
  return tokens;
}

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

class EngineGolden : public testing::TestWithParam<std::string> {};

TEST_P(EngineGolden, GreedyContinuations) {
  if (test::golden("arch/" + GetParam()).empty()) GTEST_SKIP() << "no golden data";
  for (const int page_tokens : {1, 5, 64})
    for (const int batch_rows : {1, 3, 512}) {
      const std::vector<Continuation> expected = golden_greedy(GetParam());
      ASSERT_FALSE(expected.empty());
      Engine engine = load(
          GetParam(), {.context = 64, .parallel = 2, .page_tokens = page_tokens, .batch_rows = batch_rows});
      std::vector<Request> requests;
      for (const Continuation& c : expected)
        requests.push_back(greedy(c.prompt, static_cast<int>(c.ids.size())));
      const std::vector<Outcome> outcomes = run(engine, requests);
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
    requests.push_back({.prompt = some_prompt(3 + 5 * i, i % 2),
                        .sampling = {.temperature = 1.0f, .repetition_penalty = 1.1f, .seed = i < 4 ? 7 : 8},
                        .max_tokens = 20,
                        .ignore_eos = true});
  Engine alone = load("qwen3", {.context = 64, .page_tokens = 4});
  std::vector<Outcome> expected;
  for (const Request& request : requests) expected.push_back(run(alone, {request}).front());
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
    Engine engine = load("qwen3", options);
    const std::vector<Outcome> together = run(engine, requests);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(together[i].tokens, expected[i].tokens) << i;
      EXPECT_EQ(together[i].text, expected[i].text) << i;
    }
  }
}

TEST(Engine, TextIsThatOfTheTokens) {
  Engine engine = load("llama-spm", {.context = 100});
  const Outcome outcome = run(engine, {greedy(some_prompt(9), 80)}).front();
  Detokenizer text(engine.tokenizer(), false, true);
  std::string expected;
  for (const std::int32_t token : outcome.tokens) expected += text.push(token);
  EXPECT_EQ(outcome.text, expected + text.finish());
  EXPECT_EQ(outcome.tokens.size(), 80u);
}

TEST(Engine, PrefixesComeFromTheCache) {
  Engine engine = load("llama", {.context = 64, .parallel = 2, .page_tokens = 5});
  const Tokens prompt = some_prompt(20);
  const Outcome first = run(engine, {greedy(prompt, 12)}).front();
  EXPECT_EQ(first.cached, 0);
  const Outcome again = run(engine, {greedy(prompt, 12)}).front();
  EXPECT_EQ(again.cached, 15) << "the last token is read for its logits, hence its page is";
  EXPECT_EQ(again.tokens, first.tokens);
  // A conversation goes on: the answer is in the cache too.
  Tokens longer = prompt;
  longer.insert(longer.end(), first.tokens.begin(), first.tokens.begin() + 6);
  const Outcome next = run(engine, {greedy(longer, 6)}).front();
  EXPECT_EQ(next.cached, 25);
  EXPECT_EQ(next.tokens, Tokens(first.tokens.begin() + 6, first.tokens.end()));
  Tokens other = prompt;
  other[2] ^= 1;
  EXPECT_EQ(run(engine, {greedy(other, 3)}).front().cached, 0);
}

// As above, of models with recurrent states: what is gone on from is a snapshot of them.
TEST(Engine, StatesComeFromTheCache) {
  for (const char* model : {"mamba2", "granitehybrid", "lfm2", "qwen3.5"}) {
    if (test::golden(std::string("arch/") + model).empty()) continue;
    SCOPED_TRACE(model);
    Engine engine = load(model, {.context = 64, .parallel = 2, .page_tokens = 5});
    const Tokens prompt = some_prompt(20);
    const Outcome first = run(engine, {greedy(prompt, 12)}).front();
    EXPECT_EQ(first.cached, 0);
    const Outcome again = run(engine, {greedy(prompt, 12)}).front();
    EXPECT_EQ(again.cached, 15);
    EXPECT_EQ(again.tokens, first.tokens);
    Tokens longer = prompt;
    longer.insert(longer.end(), first.tokens.begin(), first.tokens.end());
    const Tokens more = some_prompt(6, 2);
    longer.insert(longer.end(), more.begin(), more.end());
    const Outcome next = run(engine, {greedy(longer, 9)}).front();
    EXPECT_EQ(next.cached, 30);
    Engine fresh = load(model, {.context = 64, .page_tokens = 5, .state_snapshots = 0});
    EXPECT_EQ(next.tokens, run(fresh, {greedy(longer, 9)}).front().tokens);
    const Outcome reread = run(fresh, {greedy(longer, 9)}).front();
    EXPECT_EQ(reread.cached, 0) << "without snapshots nothing can be gone on from";
    EXPECT_EQ(reread.tokens, next.tokens);
    // Among others, with pages for two of three, and with an evaluation in between.
    Engine narrow =
        load(model, {.context = 64, .parallel = 3, .page_tokens = 5, .cache_tokens = 90, .batch_rows = 7});
    const std::uint64_t ids[] = {narrow.submit(greedy(longer, 9)),
                                 narrow.submit(greedy(some_prompt(30, 3), 20)),
                                 narrow.submit(greedy(some_prompt(25, 4), 20))};
    std::vector<Event> events;
    for (int i = 0; i < 6; ++i) narrow.step(events);
    int rows = 0;
    narrow.evaluate(some_prompt(33, 5), [&](int, int count, const float*) { rows += count; });
    EXPECT_EQ(rows, 33);
    std::map<std::uint64_t, Tokens> tokens;
    while (narrow.step(events)) {
    }
    for (const Event& event : events)
      if (event.token >= 0) tokens[event.request].push_back(event.token);
    EXPECT_EQ(tokens[ids[0]], next.tokens);
    EXPECT_EQ(tokens[ids[1]], run(fresh, {greedy(some_prompt(30, 3), 20)}).front().tokens);
    EXPECT_EQ(tokens[ids[2]], run(fresh, {greedy(some_prompt(25, 4), 20)}).front().tokens);
  }
}

TEST(Engine, PromptsReportTheirProgress) {
  Engine engine = load("llama", {.context = 64, .batch_rows = 8});
  const std::uint64_t id = engine.submit(greedy(some_prompt(20), 1));
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

TEST(Engine, StopStringsCutTheText) {
  Engine engine = load("llama-spm", {.context = 100});
  const Request plain = greedy(some_prompt(9), 60);
  const std::string text = run(engine, {plain}).front().text;
  int tried = 0;
  for (std::size_t at = 3; at + 4 < text.size(); ++at) {
    const std::string stop = text.substr(at, 4);
    if (std::ranges::any_of(stop, [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) continue;
    Request request = plain;
    request.stop = {"never to be found", stop};
    const Outcome outcome = run(engine, {request}).front();
    EXPECT_EQ(outcome.text, text.substr(0, text.find(stop)));
    EXPECT_EQ(outcome.finish, Finish::stop_string);
    EXPECT_LT(outcome.tokens.size(), 60u);
    ++tried;
  }
  EXPECT_GT(tried, 3);
  // Held back as the beginning of a stop string, released when the end comes first.
  Request request = plain;
  request.stop = {text.substr(text.size() - 5) + "more"};
  const Outcome outcome = run(engine, {request}).front();
  EXPECT_EQ(outcome.text, text);
  EXPECT_EQ(outcome.finish, Finish::length);
}

TEST(Engine, EndOfGenerationEndsTheTextUnlessIgnored) {
  Engine engine = load("llama", {.context = 32});
  std::int32_t eos = -1;
  for (std::int32_t id = 0; id < engine.tokenizer().vocab_size() && eos < 0; ++id)
    if (engine.tokenizer().is_end_of_generation(id)) eos = id;
  ASSERT_GE(eos, 0);
  Request request = greedy(some_prompt(4), 5);
  request.sampling.logit_bias = {{eos, 1e6f}};
  EXPECT_EQ(run(engine, {request}).front().tokens, Tokens(5, eos));
  request.ignore_eos = false;
  const Outcome outcome = run(engine, {request}).front();
  EXPECT_EQ(outcome.tokens, Tokens{eos});
  EXPECT_EQ(outcome.text, "");
  EXPECT_EQ(outcome.finish, Finish::end_of_text);
}

TEST(Engine, GivesNoTokenThatTheFileSuppresses) {
  const Continuation usual = golden_greedy("llama").front();
  const test::Variant model(test::golden("arch/llama/model.gguf"), {.add = [&](GgufWriter& writer) {
                              writer.set("tokenizer.ggml.suppress_tokens",
                                         std::vector<std::int32_t>{usual.ids.front()});
                            }});
  Engine engine = load_file(model.path(), {.context = 64});
  const Outcome outcome = run(engine, {greedy(usual.prompt, 5)}).front();
  EXPECT_EQ(outcome.tokens.size(), 5u);
  EXPECT_EQ(std::ranges::count(outcome.tokens, usual.ids.front()), 0);
}

// Allows `ids` one after the other, then what ends a text; nothing where `end` is -1.
class Dictation : public TokenConstraint {
 public:
  Dictation(Tokens ids, std::int32_t end) : ids_(std::move(ids)), end_(end) {}
  std::unique_ptr<TokenMatcher> start() const override {
    struct Matcher : TokenMatcher {
      explicit Matcher(const Dictation& d) : dictation(d) {}
      std::int32_t next() const { return at < dictation.ids_.size() ? dictation.ids_[at] : dictation.end_; }
      void mask(std::span<std::uint64_t> allowed) override {
        std::ranges::fill(allowed, 0);
        allowed[static_cast<std::size_t>(next()) / 64] |= std::uint64_t{1} << (next() % 64);
      }
      bool accept(std::int32_t token) override { return token == next() && ++at > 0; }
      bool ended() const override {
        return at > dictation.ids_.size() || (at == dictation.ids_.size() && dictation.end_ < 0);
      }
      const Dictation& dictation;
      std::size_t at = 0;
    };
    return std::make_unique<Matcher>(*this);
  }

 private:
  Tokens ids_;
  std::int32_t end_;
};

TEST(Engine, ConstraintsHoldOfTheirOwnRequestOnly) {
  Engine engine = load("llama", {.context = 64, .parallel = 3});
  const Request free = greedy(some_prompt(5), 6);
  const std::int32_t eos = engine.tokenizer().eos();
  Request dictated = greedy(some_prompt(9, 2), 20), endless = greedy(some_prompt(7, 3), 20);
  dictated.constraint = std::make_shared<Dictation>(Tokens{70, 71, 72}, eos);
  endless.constraint = std::make_shared<Dictation>(Tokens{80, 81}, -1);
  const auto alone = run(engine, {free});
  const auto together = run(engine, {dictated, free, endless, dictated});
  EXPECT_EQ(together[0].tokens, (Tokens{70, 71, 72, eos}));  // though ignore_eos is set
  EXPECT_EQ(together[0].finish, Finish::end_of_text);
  EXPECT_EQ(together[1].tokens, alone[0].tokens);
  EXPECT_EQ(together[2].tokens, (Tokens{80, 81}));
  EXPECT_EQ(together[2].finish, Finish::end_of_text);
  EXPECT_EQ(together[3].tokens, together[0].tokens);
}

TEST(Engine, LimitsEndTheText) {
  Engine engine = load("llama", {.context = 32, .page_tokens = 5});
  EXPECT_EQ(engine.context(), 32);
  Outcome outcome = run(engine, {greedy(some_prompt(20), 1)}).front();
  EXPECT_EQ(outcome.tokens.size(), 1u);
  EXPECT_EQ(outcome.finish, Finish::length);
  for (const int max_tokens : {-1, 100}) {
    outcome = run(engine, {greedy(some_prompt(20), max_tokens)}).front();
    EXPECT_EQ(outcome.tokens.size(), 12u) << "until the context is full";
    EXPECT_EQ(outcome.finish, Finish::length);
  }
  EXPECT_EQ(run(engine, {greedy(some_prompt(31), -1)}).front().tokens.size(), 1u);
}

TEST(Engine, ContextComesFromTheModel) {
  EXPECT_EQ(load("llama").context(), 512);
}

TEST(Engine, CancelEndsARequestAndLeavesTheOthers) {
  Engine engine = load("llama", {.context = 64, .parallel = 2});
  const Tokens expected = run(engine, {greedy(some_prompt(8, 2), 20)}).front().tokens;
  const std::uint64_t running = engine.submit(greedy(some_prompt(8, 1), 20));
  const std::uint64_t stays = engine.submit(greedy(some_prompt(8, 2), 20));
  const std::uint64_t waiting = engine.submit(greedy(some_prompt(8, 3), 20));
  std::vector<Event> events;
  for (int i = 0; i < 3; ++i) engine.step(events);
  const auto before = std::ranges::count(events, running, &Event::request);
  EXPECT_EQ(before, 3);
  engine.cancel(running);
  engine.cancel(running);
  engine.cancel(waiting);
  engine.cancel(12345);
  const auto outcomes = run(engine);
  EXPECT_EQ(outcomes.at(running).finish, Finish::cancelled);
  EXPECT_EQ(outcomes.at(running).tokens, Tokens{});
  EXPECT_EQ(outcomes.at(waiting).finish, Finish::cancelled);
  Tokens tokens;
  for (const Event& event : events)
    if (event.request == stays) tokens.push_back(event.token);
  tokens.insert(tokens.end(), outcomes.at(stays).tokens.begin(), outcomes.at(stays).tokens.end());
  EXPECT_EQ(tokens, expected);
  engine.cancel(stays);
  EXPECT_FALSE(engine.step(events)) << "a finished request cannot be cancelled";
}

TEST(Engine, EvaluateGivesTheLogitsOfEveryPosition) {
  const Continuation expected = golden_greedy("llama").front();
  Tokens tokens = expected.prompt;
  tokens.insert(tokens.end(), expected.ids.begin(), expected.ids.end());
  Engine engine = load("llama", {.context = 64, .page_tokens = 5, .wanted_rows = 7});
  // While another request is half way: it goes on afterwards as if nothing had been.
  const Tokens undisturbed = run(engine, {greedy(some_prompt(50), 10)}).front().tokens;
  const std::uint64_t id = engine.submit(greedy(some_prompt(50), 10));
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
  const Tokens prompt = some_prompt(40);
  for (const int batch_rows : {1, 7, 512})
    for (const int wanted_rows : {3, 16, 0}) {
      Engine engine = load("llama", {.context = 64,
                                     .parallel = 3,
                                     .page_tokens = 5,
                                     .batch_rows = batch_rows,
                                     .wanted_rows = wanted_rows});
      const std::vector<double> expected = foretold(engine, prompt);
      Request request = greedy(prompt, 4);
      request.logprobs = 2;
      const Tokens undisturbed = run(engine, {request}).front().tokens;
      request.prompt_logprobs = true;
      Request only = request;
      only.max_tokens = 0;
      // Beside others that decode, begin alike and read as slowly.
      engine.submit(greedy(some_prompt(9, 2), 30));
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
  Engine engine = load("llama", {.context = 32});
  for (int i = 0; i < 3; ++i)
    EXPECT_THROW(engine.evaluate(some_prompt(30), [](int, int, const float*) { fail("enough"); }), Error);
  EXPECT_EQ(run(engine, {greedy(some_prompt(30), -1)}).front().tokens.size(), 2u);
}

TEST(Engine, RefusesWhatCannotBeDone) {
  Engine engine = load("llama", {.context = 32});
  const auto submit = [&](const auto& change) {
    Request request = greedy(some_prompt(4), 5);
    change(request);
    return error_of([&] { engine.submit(request); });
  };
  EXPECT_EQ(submit([](Request& r) { r.prompt.clear(); }), "prompt: expected at least one token, found none");
  EXPECT_EQ(submit([](Request& r) { r.prompt[2] = 384; }),
            "prompt[2]: expected a token id under 384, found 384");
  EXPECT_EQ(submit([](Request& r) { r.prompt[0] = -1; }),
            "prompt[0]: expected a token id under 384, found -1");
  EXPECT_EQ(submit([](Request& r) { r.prompt = some_prompt(32); }),
            "prompt: expected at most 31 tokens in a context of 32, found 32");
  EXPECT_NE(submit([](Request& r) { r.max_tokens = 0; }).find("max_tokens: expected"), std::string::npos);
  EXPECT_NE(submit([](Request& r) { r.prompt_logprobs = true; }).find("logprobs: expected"),
            std::string::npos);
  EXPECT_NE(submit([](Request& r) { r.sampling.top_p = 2; }).find("top_p"), std::string::npos);
  EXPECT_NE(submit([](Request& r) { r.stop = {""}; }).find("stop"), std::string::npos);
  EXPECT_TRUE(engine.idle());
  const auto ignore = [](int, int, const float*) {};
  EXPECT_NE(error_of([&] { engine.evaluate({}, ignore); }).find("tokens: expected"), std::string::npos);
  EXPECT_NE(error_of([&] { engine.evaluate({400}, ignore); }).find("tokens[0]"), std::string::npos);
  EXPECT_NE(error_of([&] { engine.evaluate(some_prompt(33), ignore); }).find("at most 32"),
            std::string::npos);
}

TEST(Engine, RefusesOptionsOutOfRange) {
  const auto refusal = [](const EngineOptions& options) { return error_of([&] { load("llama", options); }); };
  EXPECT_EQ(refusal({.context = -1}), "context: expected at least 0, found -1");
  EXPECT_EQ(refusal({.parallel = 0}), "parallel: expected at least 1, found 0");
  EXPECT_EQ(refusal({.page_tokens = 0}), "page_tokens: expected at least 1, found 0");
  EXPECT_EQ(refusal({.batch_rows = -1}), "batch_rows: expected at least 0, found -1");
  EXPECT_EQ(refusal({.context = 64, .cache_tokens = 63}), "cache_tokens: expected at least 64, found 63");
  EXPECT_NE(refusal({.parallel = 1 << 30}).find("parallel: "), std::string::npos);
}

}  // namespace
}  // namespace rf
