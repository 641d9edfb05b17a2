// Constrained output over a vocabulary of 150 000 tokens: masks along a usual answer, and compiling schemas.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/clock.h"
#include "chat/constraints.h"
#include "chat/grammar/json_schema.h"
#include "chat/grammar/token_grammar.h"
#include "golden.h"

namespace {

using namespace rf;

struct Loaded {
  Gguf file = Gguf::open(test::golden("tokenizer/qwen3-vocab.gguf"));
  std::unique_ptr<Tokenizer> tokenizer = Tokenizer::from(file);
  Constraints constraints{*tokenizer};
  std::shared_ptr<const grammar::TokenTrie> trie = std::make_shared<const grammar::TokenTrie>(*tokenizer);
};

Loaded& loaded() {
  static Loaded all;
  return all;
}

const char* const person = R"({"type":"object","properties":{
  "name":{"type":"string"},"nick":{"type":"string","maxLength":60},"age":{"type":"integer","minimum":0,"maximum":150},
  "email":{"type":"string","format":"email"},"tags":{"type":"array","items":{"type":"string"},"maxItems":8},
  "address":{"type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}},"required":["street"]},
  "score":{"type":"number"},"kind":{"enum":["user","admin","guest"]}},
  "required":["name","nick","age","email","tags","address","score","kind"]})";
const char* const answer = R"({
  "name": "Wolfgang Amadeus Mozart, composer of the classical period",
  "nick": "Wolferl, as his family and his friends called him",
  "age": 35, "email": "w.a.mozart@example.org",
  "tags": ["music", "opera and chamber music", "Salzburg", "Vienna"],
  "address": {"street": "Domgasse 5, behind the cathedral", "city": "Vienna"},
  "score": 9.75,
  "kind": "user"
})";

void report(benchmark::State& state, std::vector<std::int64_t> times) {
  std::ranges::sort(times);
  const auto at = [&](double share) {
    return static_cast<double>(
               times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))]) *
           1e-3;
  };
  state.counters["p50_us"] = at(0.5);
  state.counters["p99_us"] = at(0.99);
  state.counters["max_us"] = at(1);
}

// `again`: the grammar has served another request before, as a server's usually has.
void masks(benchmark::State& state, bool again) {
  Loaded& l = loaded();
  const auto tokens = l.tokenizer->encode(answer, {.add_special = false});
  std::vector<std::uint64_t> mask((static_cast<std::size_t>(l.tokenizer->vocab_size()) + 63) / 64);
  std::vector<std::int64_t> times;
  auto made = grammar::TokenGrammar::make(grammar::parse_json_schema(person), l.trie);
  const auto walk = [&] {
    const auto matcher = made->start();
    for (const std::int32_t token : tokens) {
      const std::int64_t begin = now_ns();
      matcher->mask(mask);
      times.push_back(now_ns() - begin);
      if (!matcher->accept(token)) throw std::runtime_error("the answer is not what the schema allows");
    }
  };
  if (again) walk();
  times.clear();
  for (auto unused : state) {
    if (!again) made = grammar::TokenGrammar::make(grammar::parse_json_schema(person), l.trie);
    walk();
  }
  report(state, std::move(times));
}

std::string wide_schema(int properties, bool optional) {
  nlohmann::ordered_json schema = {{"type", "object"}};
  for (int i = 0; i < properties; ++i) {
    const std::string name = "property_number_" + std::to_string(i);
    nlohmann::ordered_json its = {{"type", "string"}};
    if (i % 4 == 1) its = {{"type", "integer"}, {"minimum", i}, {"maximum", i * 1000}};
    if (i % 4 == 2)
      its = {{"type", "array"}, {"items", {{"type", "string"}, {"maxLength", i}}}, {"maxItems", i % 10 + 1}};
    if (i % 4 == 3) its = {{"enum", {"red " + std::to_string(i), "green", "blue"}}};
    schema["properties"][name] = its;
    if (!optional) schema["required"].push_back(name);
  }
  return schema.dump();
}

void compile(benchmark::State& state, bool optional) {
  const std::string text = wide_schema(200, optional);
  for (auto unused : state)
    benchmark::DoNotOptimize(grammar::TokenGrammar::make(grammar::parse_json_schema(text), loaded().trie));
}

void cached(benchmark::State& state) {
  const std::string text = wide_schema(200, false);
  for (auto unused : state)
    benchmark::DoNotOptimize(loaded().constraints.get({ConstraintSource::Kind::json_schema, {text}}));
}

void first_mask_of_many_optional(benchmark::State& state) {
  const auto made =
      grammar::TokenGrammar::make(grammar::parse_json_schema(wide_schema(200, true)), loaded().trie);
  std::vector<std::uint64_t> mask((static_cast<std::size_t>(loaded().tokenizer->vocab_size()) + 63) / 64);
  for (auto unused : state) {
    const auto matcher = made->start();
    matcher->accept(loaded().tokenizer->encode("{", {.add_special = false})[0]);
    matcher->mask(mask);
  }
}

void vocabulary(benchmark::State& state) {
  for (auto unused : state) benchmark::DoNotOptimize(grammar::TokenTrie(*loaded().tokenizer));
}

BENCHMARK_CAPTURE(masks, warm, true)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(masks, cold, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(compile, required, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(compile, optional, true)->Unit(benchmark::kMillisecond);
BENCHMARK(cached)->Unit(benchmark::kMicrosecond);
BENCHMARK(first_mask_of_many_optional)->Unit(benchmark::kMicrosecond);
BENCHMARK(vocabulary)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
