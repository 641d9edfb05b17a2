// An answer that another engine goes on with, and answers that do not depend on company, to the last bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <map>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/message.h"
#include "golden.h"

namespace rf {
namespace {

using Tokens = std::vector<std::int32_t>;

Engine load(EngineOptions options, const std::string& model = "qwen3") {
  const std::string path = test::golden("arch/" + model + "/model.gguf");
  if (path.empty()) fail("no golden data of {}", model);
  options.context = 128;
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(make_reference());
  return Engine(path, std::move(backends), options);
}

// All that clients could see of an answer; log-probabilities as bits.
struct Seen {
  Tokens tokens;
  std::vector<std::string> texts;
  std::vector<std::uint32_t> logprobs;
  float surprise = -1;
  Finish finish = Finish::unfinished;
};

std::map<std::uint64_t, Seen> run(Engine& engine) {
  std::map<std::uint64_t, Seen> all;
  std::vector<Event> events;
  while (engine.step(events)) {
    for (const Event& event : events) {
      Seen& seen = all[event.request];
      seen.finish = event.finish;
      if (event.token < 0) continue;
      seen.tokens.push_back(event.token);
      seen.texts.push_back(event.text);
      seen.surprise = event.surprise;
      for (const TokenLogprob& top : event.top) {
        seen.logprobs.push_back(static_cast<std::uint32_t>(top.token));
        seen.logprobs.push_back(std::bit_cast<std::uint32_t>(top.logprob));
      }
    }
    events.clear();
  }
  return all;
}

Seen run(Engine& engine, const Request& request) {
  const std::uint64_t id = engine.submit(request);
  return run(engine).at(id);
}

Tokens prompt_of(int length, int seed) {
  Tokens tokens;
  for (int i = 0; i < length; ++i) tokens.push_back((i * 31 + seed * 7 + 3) % 250);
  return tokens;
}

// The whole distribution is told, so that equal logits are what is compared.
Request request_of(int length, int seed, SamplerOptions sampling) {
  sampling.seed = static_cast<std::uint64_t>(seed);
  return {.prompt = prompt_of(length, seed),
          .sampling = std::move(sampling),
          .max_tokens = 24,
          .ignore_eos = true,
          .logprobs = 1000};
}

std::vector<SamplerOptions> samplings() {
  using Stage = SamplerStage;
  return {{.temperature = 0},
          {.temperature = 1.5f, .top_k = 0, .top_p = 1, .min_p = 0},
          {.temperature = 1.2f, .repetition_penalty = 1.3f, .presence_penalty = 0.2f},
          {.temperature = 1, .top_k = 0, .mirostat = 1, .mirostat_tau = 4},
          {.temperature = 1, .top_k = 0, .mirostat = 2, .mirostat_tau = 3, .mirostat_eta = 0.3f},
          {.temperature = 1, .top_k = 100, .xtc_probability = 0.7f, .xtc_threshold = 0.01f},
          {.temperature = 1, .typical_p = 0.6f, .dynamic_range = 0.5f, .dry = {.multiplier = 0.8f}},
          {.temperature = 1,
           .top_n_sigma = 1.5f,
           .order = {Stage::temperature, Stage::top_n_sigma, Stage::top_p}}};
}

TEST(Resume, TheRestIsThatOfTheUninterruptedAnswer) {
  for (const SamplerOptions& sampling : samplings()) {
    const Request request = request_of(9, 5, sampling);
    Engine first = load({.page_tokens = 8});
    std::vector<Event> events;
    const std::uint64_t id = first.submit(request);
    std::vector<float> surprises;
    Seen whole;
    while (first.step(events)) {
      for (const Event& event : events)
        if (event.request == id && event.token >= 0) {
          whole.tokens.push_back(event.token);
          whole.texts.push_back(event.text);
          surprises.push_back(event.surprise);
        }
      events.clear();
    }
    ASSERT_EQ(whole.tokens.size(), 24u);
    for (const std::size_t given : {std::size_t{1}, std::size_t{8}, std::size_t{23}}) {
      Request rest = request;
      rest.given.assign(whole.tokens.begin(), whole.tokens.begin() + static_cast<std::ptrdiff_t>(given));
      rest.surprise = surprises[given - 1];
      Engine second = load({.page_tokens = 8});
      const Seen seen = run(second, rest);
      EXPECT_EQ(seen.tokens,
                Tokens(whole.tokens.begin() + static_cast<std::ptrdiff_t>(given), whole.tokens.end()));
      EXPECT_EQ(seen.texts, std::vector<std::string>(whole.texts.begin() + static_cast<std::ptrdiff_t>(given),
                                                     whole.texts.end()));
      EXPECT_EQ(seen.finish, Finish::length);
    }
  }
}

TEST(Resume, RefusesAnAnswerThatWasOver) {
  Engine engine = load({});
  Request request = request_of(4, 1, {});
  request.given = prompt_of(24, 2);
  EXPECT_THROW(engine.submit(request), Error);
  request.given = {1, 2, 99999};
  EXPECT_THROW(engine.submit(request), Error);
}

TEST(Invariance, AloneAndAmongSixteenOthersToTheLastBit) {
  const std::vector<SamplerOptions> kinds = samplings();
  std::vector<Request> requests;
  for (int i = 0; i < 17; ++i)
    requests.push_back(
        request_of(3 + (i * 5) % 40, i % 4, kinds[static_cast<std::size_t>(i) % kinds.size()]));
  Engine alone = load({.page_tokens = 4});
  std::vector<Seen> expected;
  for (const Request& request : requests) expected.push_back(run(alone, request));
  for (const EngineOptions& options :
       {EngineOptions{.parallel = 17, .page_tokens = 4},
        EngineOptions{.parallel = 17, .page_tokens = 4, .batch_rows = 19},
        EngineOptions{.parallel = 5, .page_tokens = 4, .cache_tokens = 200, .gap = 1.5}}) {
    Engine engine = load(options);
    for (int round = 0; round < 2; ++round) {  // the second one finds its prompts in the cache
      std::vector<std::uint64_t> ids;
      for (const Request& request : requests) ids.push_back(engine.submit(request));
      const auto seen = run(engine);
      for (std::size_t i = 0; i < requests.size(); ++i) {
        EXPECT_EQ(seen.at(ids[i]).tokens, expected[i].tokens) << "request " << i << ", round " << round;
        EXPECT_EQ(seen.at(ids[i]).logprobs, expected[i].logprobs) << "request " << i << ", round " << round;
      }
    }
  }
}

TEST(Scheduling, ASharedBeginningIsReadOnce) {
  Engine engine = load({.parallel = 8, .page_tokens = 8, .batch_rows = 16});
  for (int i = 0; i < 8; ++i) {
    Request request = request_of(64, 3, {});
    request.prompt.push_back(i);
    engine.submit(request);
  }
  std::vector<Event> events;
  std::map<std::uint64_t, int> cached;
  while (engine.step(events))
    for (const Event& event : events) cached[event.request] = event.prompt_cached;
  EXPECT_EQ(cached.begin()->second, 0);
  for (auto at = std::next(cached.begin()); at != cached.end(); ++at) EXPECT_EQ(at->second, 64);
}

TEST(Scheduling, PrioritiesGoFirst) {
  Engine engine = load({.parallel = 1});
  std::vector<std::uint64_t> ids;
  for (const auto& [priority, rank] : {std::pair(0, 2), {0, 1}, {5, 9}, {0, 1}}) {
    Request request = request_of(5, 1, {});
    request.priority = priority;
    request.rank = static_cast<std::uint64_t>(rank);
    ids.push_back(engine.submit(request));
  }
  std::vector<Event> events;
  while (engine.step(events)) {
  }
  Tokens order;
  for (const Event& event : events)
    if (event.finish != Finish::unfinished)
      order.push_back(static_cast<std::int32_t>(std::ranges::find(ids, event.request) - ids.begin()));
  EXPECT_EQ(order, (Tokens{2, 1, 3, 0}));
}

TEST(Message, RoundTrip) {
  message::Submit submit{
      .id = 7, .request = request_of(5, 3, samplings()[6]), .constraint = {1, {"root ::= \"a\""}}};
  submit.request.stop = {"x", "yz"};
  submit.request.given = {1, 2, 3};
  submit.request.sampling.logit_bias = {{3, -1.0f}};
  const std::string bytes = message::encode(submit);
  const auto [length, kind] = message::decode_header(bytes);
  EXPECT_EQ(kind, message::Kind::submit);
  EXPECT_EQ(length + message::header_bytes, bytes.size());
  const std::string_view payload = std::string_view(bytes).substr(message::header_bytes);
  EXPECT_EQ(message::encode(message::decode<message::Submit>(payload)), bytes);
  for (std::size_t cut = 0; cut < payload.size(); ++cut)
    EXPECT_THROW(message::decode<message::Submit>(payload.substr(0, cut)), Error) << cut;
  EXPECT_THROW(message::decode<message::Cancel>(payload), Error);
}

}  // namespace
}  // namespace rf
