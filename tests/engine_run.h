// Whole requests through an engine, and the check that an answer depends on its request alone: to the last
// bit, in any company, cut into any pieces, with and without a known beginning, and after having given way.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <map>

#include "base/error.h"
#include "engine/engine.h"
#include "golden.h"
#include "temporary_folder.h"

namespace rf::test {

using Tokens = std::vector<std::int32_t>;

inline Engine load_reference_of(const std::string& path, const EngineOptions& options) {
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(make_reference());
  return Engine(path, std::move(backends), options);
}

inline Engine load_reference(const std::string& model, const EngineOptions& options) {
  const std::string path = golden("arch/" + model + "/model.gguf");
  if (path.empty()) fail("no golden data of {}", model);
  return load_reference_of(path, options);
}

// With a cache that keeps numbers as they are.
inline Engine load_exact(const std::string& model, EngineOptions options = {}) {
  options.kv = KvType::f32;
  return load_reference(model, options);
}

// What `call` throws, "" where it does not.
inline std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// All that clients could see of an answer; log-probabilities as bits.
struct Seen {
  Tokens tokens;
  std::vector<std::string> texts;  // of each token
  std::string text;
  std::vector<std::uint32_t> logprobs;
  float surprise = -1;
  Finish finish = Finish::unfinished;
  int cached = 0, prompt_done = 0;
};

// Runs until nothing is left to do. A request has no event after its last.
inline std::map<std::uint64_t, Seen> run(Engine& engine) {
  std::map<std::uint64_t, Seen> all;
  std::vector<Event> events;
  while (engine.step(events)) {
    for (const Event& event : events) {
      Seen& seen = all[event.request];
      EXPECT_EQ(seen.finish, Finish::unfinished);
      EXPECT_GE(event.prompt_done, seen.prompt_done);
      seen.finish = event.finish;
      seen.cached = event.prompt_cached;
      seen.prompt_done = event.prompt_done;
      seen.text += event.text;
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
  EXPECT_TRUE(engine.idle());
  return all;
}

inline Seen run(Engine& engine, const Request& request) {
  const std::uint64_t id = engine.submit(request);
  return run(engine).at(id);
}

inline std::vector<Seen> run(Engine& engine, const std::vector<Request>& requests) {
  std::vector<std::uint64_t> ids;
  for (const Request& request : requests) ids.push_back(engine.submit(request));
  const auto all = run(engine);
  std::vector<Seen> ordered;
  for (const std::uint64_t id : ids) ordered.push_back(all.at(id));
  return ordered;
}

inline Tokens prompt_of(int length, int seed = 1) {
  Tokens tokens;
  for (int i = 0; i < length; ++i) tokens.push_back((i * 31 + seed * 7 + 3) % 250);
  return tokens;
}

inline Request greedy(Tokens prompt, int max_tokens) {
  return {.prompt = std::move(prompt),
          .sampling = {.temperature = 0},
          .max_tokens = max_tokens,
          .ignore_eos = true};
}

// The whole distribution is told, so that equal logits are what is compared.
inline Request request_of(int length, int seed, SamplerOptions sampling) {
  sampling.seed = static_cast<std::uint64_t>(seed);
  return {.prompt = prompt_of(length, seed),
          .sampling = std::move(sampling),
          .max_tokens = 24,
          .ignore_eos = true,
          .logprobs = 1000};
}

inline std::vector<SamplerOptions> samplings() {
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

// `load` makes an engine of one model with the given options; `tokens`: of each answer; `vocabulary`: tokens
// of prompts are below it.
inline void expect_invariance(const std::function<Engine(EngineOptions)>& load, int requests = 17,
                              int tokens = 24, int vocabulary = 250) {
  const std::vector<SamplerOptions> kinds = samplings();
  std::vector<Request> all;
  for (int i = 0; i < requests; ++i) {
    all.push_back(request_of(3 + (i * 5) % 40, i % 4, kinds[static_cast<std::size_t>(i) % kinds.size()]));
    all.back().max_tokens = tokens;
    for (std::int32_t& token : all.back().prompt) token %= vocabulary;
  }
  constexpr int page_tokens = 8;
  std::vector<Seen> expected;
  for (const Request& request : all) {
    Engine alone = load({.context = 80, .page_tokens = page_tokens});
    expected.push_back(run(alone, request));
    EXPECT_EQ(expected.back().cached, 0);
  }
  const auto compare = [&](Engine& engine, const char* what, bool warm) {
    std::vector<std::uint64_t> ids;
    for (const Request& request : all) ids.push_back(engine.submit(request));
    const auto seen = run(engine);
    int cached = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(seen.at(ids[i]).tokens, expected[i].tokens) << what << ", request " << i;
      EXPECT_TRUE(seen.at(ids[i]).logprobs == expected[i].logprobs) << what << ", request " << i;
      cached += seen.at(ids[i]).cached;
    }
    if (warm) {
      EXPECT_GT(cached, 4 * requests) << what;
    }
  };
  const auto twice = [&](EngineOptions options, const char* what) {
    options.context = 80;
    options.page_tokens = page_tokens;
    options.state_snapshots = 200;
    Engine engine = load(options);
    compare(engine, what, false);
    compare(engine, what, true);
    return engine.load();
  };
  twice({.parallel = requests}, "together");
  twice({.parallel = requests, .batch_rows = 19}, "in pieces");
  const EngineLoad narrow =
      twice({.parallel = 5, .cache_tokens = 80, .host_cache_bytes = 1 << 28, .gap = 1.5}, "giving way");
  EXPECT_GT(narrow.sent_back, 0u);
  EXPECT_EQ(narrow.read_again, 0u);
  const TemporaryFolder folder;
  for (const bool warm : {false, true}) {
    Engine engine = load({.context = 80,
                          .parallel = 3,
                          .page_tokens = page_tokens,
                          .state_snapshots = 200,
                          .host_cache_bytes = 0,
                          .cache_folder = folder.path()});
    compare(engine, "from a folder", warm);
  }
}

}  // namespace rf::test
