// How answers end, and what the engine refuses to begin with.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "engine_run.h"
#include "golden.h"
#include "unit/model/variant.h"

namespace rf {
namespace {

using test::error_of;
using test::greedy;
using test::load_exact;
using test::prompt_of;
using test::run;
using test::Seen;
using test::Tokens;

TEST(Engine, StopStringsCutTheText) {
  Engine engine = load_exact("llama-spm", {.context = 100});
  const Request plain = greedy(prompt_of(9), 60);
  const std::string text = run(engine, plain).text;
  int tried = 0;
  for (std::size_t at = 3; at + 4 < text.size(); ++at) {
    const std::string stop = text.substr(at, 4);
    if (std::ranges::any_of(stop, [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) continue;
    Request request = plain;
    request.stop = {"never to be found", stop};
    const Seen outcome = run(engine, request);
    EXPECT_EQ(outcome.text, text.substr(0, text.find(stop)));
    EXPECT_EQ(outcome.finish, Finish::stop_string);
    EXPECT_LT(outcome.tokens.size(), 60u);
    ++tried;
  }
  EXPECT_GT(tried, 3);
  // Held back as the beginning of a stop string, released when the end comes first.
  Request request = plain;
  request.stop = {text.substr(text.size() - 5) + "more"};
  const Seen outcome = run(engine, request);
  EXPECT_EQ(outcome.text, text);
  EXPECT_EQ(outcome.finish, Finish::length);
}

TEST(Engine, EndOfGenerationEndsTheTextUnlessIgnored) {
  Engine engine = load_exact("llama", {.context = 32});
  std::int32_t eos = -1;
  for (std::int32_t id = 0; id < engine.tokenizer().vocab_size() && eos < 0; ++id)
    if (engine.tokenizer().is_end_of_generation(id)) eos = id;
  ASSERT_GE(eos, 0);
  Request request = greedy(prompt_of(4), 5);
  request.sampling.logit_bias = {{eos, 1e6f}};
  EXPECT_EQ(run(engine, request).tokens, Tokens(5, eos));
  request.ignore_eos = false;
  const Seen outcome = run(engine, request);
  EXPECT_EQ(outcome.tokens, Tokens{eos});
  EXPECT_EQ(outcome.text, "");
  EXPECT_EQ(outcome.finish, Finish::end_of_text);
}

TEST(Engine, GivesNoTokenThatTheFileSuppresses) {
  const EngineOptions options{.context = 64, .kv = KvType::f32};
  const Request request = greedy(prompt_of(9), 5);
  Engine free = load_exact("llama", options);
  const std::int32_t usual = run(free, request).tokens.front();
  const test::Variant model(test::golden("arch/llama/model.gguf"), {.add = [&](GgufWriter& writer) {
                              writer.set("tokenizer.ggml.suppress_tokens", std::vector<std::int32_t>{usual});
                            }});
  Engine engine = test::load_reference_of(model.path(), options);
  const Seen outcome = run(engine, request);
  EXPECT_EQ(outcome.tokens.size(), 5u);
  EXPECT_EQ(std::ranges::count(outcome.tokens, usual), 0);
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
  Engine engine = load_exact("llama", {.context = 64, .parallel = 3});
  const Request free = greedy(prompt_of(5), 6);
  const std::int32_t eos = engine.tokenizer().eos();
  Request dictated = greedy(prompt_of(9, 2), 20), endless = greedy(prompt_of(7, 3), 20);
  dictated.constraint = std::make_shared<Dictation>(Tokens{70, 71, 72}, eos);
  endless.constraint = std::make_shared<Dictation>(Tokens{80, 81}, -1);
  const Seen alone = run(engine, free);
  const auto together = run(engine, {dictated, free, endless, dictated});
  EXPECT_EQ(together[0].tokens, (Tokens{70, 71, 72, eos}));  // though ignore_eos is set
  EXPECT_EQ(together[0].finish, Finish::end_of_text);
  EXPECT_EQ(together[1].tokens, alone.tokens);
  EXPECT_EQ(together[2].tokens, (Tokens{80, 81}));
  EXPECT_EQ(together[2].finish, Finish::end_of_text);
  EXPECT_EQ(together[3].tokens, together[0].tokens);
}

TEST(Engine, LimitsEndTheText) {
  Engine engine = load_exact("llama", {.context = 32, .page_tokens = 5});
  EXPECT_EQ(engine.context(), 32);
  Seen outcome = run(engine, greedy(prompt_of(20), 1));
  EXPECT_EQ(outcome.tokens.size(), 1u);
  EXPECT_EQ(outcome.finish, Finish::length);
  for (const int max_tokens : {-1, 100}) {
    outcome = run(engine, greedy(prompt_of(20), max_tokens));
    EXPECT_EQ(outcome.tokens.size(), 12u) << "until the context is full";
    EXPECT_EQ(outcome.finish, Finish::length);
  }
  EXPECT_EQ(run(engine, greedy(prompt_of(31), -1)).tokens.size(), 1u);
}

TEST(Engine, ContextComesFromTheModel) {
  EXPECT_EQ(load_exact("llama").context(), 512);
}

TEST(Engine, CancelEndsARequestAndLeavesTheOthers) {
  Engine engine = load_exact("llama", {.context = 64, .parallel = 2});
  const Tokens expected = run(engine, greedy(prompt_of(8, 2), 20)).tokens;
  const std::uint64_t running = engine.submit(greedy(prompt_of(8, 1), 20));
  const std::uint64_t stays = engine.submit(greedy(prompt_of(8, 2), 20));
  const std::uint64_t waiting = engine.submit(greedy(prompt_of(8, 3), 20));
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

TEST(Engine, RefusesWhatCannotBeDone) {
  Engine engine = load_exact("llama", {.context = 32});
  const auto submit = [&](const auto& change) {
    Request request = greedy(prompt_of(4), 5);
    change(request);
    return error_of([&] { engine.submit(request); });
  };
  EXPECT_EQ(submit([](Request& r) { r.prompt.clear(); }), "prompt: expected at least one token, found none");
  EXPECT_EQ(submit([](Request& r) { r.prompt[2] = 384; }),
            "prompt[2]: expected a token id under 384, found 384");
  EXPECT_EQ(submit([](Request& r) { r.prompt[0] = -1; }),
            "prompt[0]: expected a token id under 384, found -1");
  EXPECT_EQ(submit([](Request& r) { r.prompt = prompt_of(32); }),
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
  EXPECT_NE(error_of([&] { engine.evaluate(prompt_of(33), ignore); }).find("at most 32"), std::string::npos);
}

TEST(Engine, RefusesOptionsOutOfRange) {
  const auto refusal = [](const EngineOptions& options) {
    return error_of([&] { load_exact("llama", options); });
  };
  EXPECT_EQ(refusal({.context = -1}), "context: expected at least 0, found -1");
  EXPECT_EQ(refusal({.parallel = 0}), "parallel: expected at least 1, found 0");
  EXPECT_EQ(refusal({.page_tokens = 0}), "page_tokens: expected at least 1, found 0");
  EXPECT_EQ(refusal({.batch_rows = -1}), "batch_rows: expected at least 0, found -1");
  EXPECT_EQ(refusal({.context = 64, .cache_tokens = 63}), "cache_tokens: expected at least 64, found 63");
  EXPECT_NE(refusal({.parallel = 1 << 30}).find("parallel: "), std::string::npos);
}

}  // namespace
}  // namespace rf
