// Bytes of text per second through the tokenizers of the golden vocabularies. The text is that of
// RF_BENCH_TEXT, a file, or else the golden corpus over and over in ever new orders, 10 MB of it.
#include "text/tokenizer.h"

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "golden.h"

namespace {

std::string corpus() {
  constexpr std::size_t size = 10000000;
  std::ifstream in(rf::test::golden("tokenizer/corpus.json"));
  std::vector<std::string> texts;
  for (const auto& entry : nlohmann::json::parse(in)) texts.push_back(entry["text"]);
  std::mt19937 random(1);
  std::string all;
  while (all.size() < size) all += texts[random() % texts.size()] + ' ';
  return all;
}

std::string text() {
  const char* path = std::getenv("RF_BENCH_TEXT");
  if (path == nullptr) return corpus();
  std::stringstream all;
  all << std::ifstream(path, std::ios::binary).rdbuf();
  return all.str();
}

void encode(benchmark::State& state, const std::string& vocabulary) {
  static const std::string input = text();
  const rf::Gguf file = rf::Gguf::open(vocabulary);
  const auto tokenizer = rf::Tokenizer::from(file);
  std::size_t ids = 0;
  for (auto _ : state) benchmark::DoNotOptimize(ids = tokenizer->encode(input).size());
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * input.size()));
  state.counters["bytes/id"] = static_cast<double>(input.size()) / static_cast<double>(ids);
}

void load(benchmark::State& state, const std::string& vocabulary) {
  const rf::Gguf file = rf::Gguf::open(vocabulary);
  for (auto _ : state) benchmark::DoNotOptimize(rf::Tokenizer::from(file));
}

}  // namespace

// Arguments that are files are vocabularies to measure instead of the golden ones.
int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  std::vector<std::string> files(argv + 1, argv + argc);
  if (files.empty())
    for (const char* name : {"ggml-vocab-gpt-2", "llama3-vocab", "qwen3-vocab", "ggml-vocab-llama-spm"})
      files.push_back(rf::test::golden(std::string("tokenizer/") + name + ".gguf"));
  for (const std::string& file : files) {
    benchmark::RegisterBenchmark(("encode/" + file).c_str(), encode, file)->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(("load/" + file).c_str(), load, file)->Unit(benchmark::kMillisecond);
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
