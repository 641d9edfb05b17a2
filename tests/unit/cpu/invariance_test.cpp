// The same request gives the same bits whatever else runs: families, formats and cache types, the latter on
// every instruction set.
#include "compared_isas.h"
#include "cpu/cpu.h"
#include "engine_run.h"
#include "random_model.h"

namespace rf::test {
namespace {

class Families : public testing::TestWithParam<std::string> {};

// Dense and with experts, windows, latent attention, chosen positions, states of several kinds, and mixtures
// of these.
INSTANTIATE_TEST_SUITE_P(Invariance, Families,
                         testing::Values("qwen3", "gemma3", "deepseek-v2-lite", "gpt-oss-f32", "mamba",
                                         "granitehybrid", "lfm2", "qwen3.5", "deepseek32", "minimax-m3"),
                         [](const auto& each) {
                           std::string name = each.param;
                           std::ranges::replace_if(name, [](char c) { return c == '-' || c == '.'; }, '_');
                           return name;
                         });

TEST_P(Families, OnTheCpu) {
  const std::string path = golden("arch/" + GetParam() + "/model.gguf");
  if (path.empty()) GTEST_SKIP() << "no golden data";
  const auto vocabulary = static_cast<int>(read_spec(Gguf::open(path)).vocab);
  expect_invariance(
      [&](const EngineOptions& options) {
        std::vector<std::unique_ptr<Backend>> backends;
        backends.push_back(make_cpu({.threads = 2, .isa = ""}));
        return Engine(path, std::move(backends), options);
      },
      17, 24, std::min(vocabulary, 250));
}

using Format = std::tuple<std::string, Type, KvType, int>;  // instruction set, weights, cache, experts

std::string name_of(const testing::TestParamInfo<Format>& each) {
  const auto& [isa, type, kv, experts] = each.param;
  return fmt::format("{}_{}_kv_{}{}", isa, type_info(type).name, kv_name(kv), experts > 0 ? "_experts" : "");
}

class Formats : public testing::TestWithParam<Format> {};

const auto instruction_sets = testing::ValuesIn(compared_isas());

INSTANTIATE_TEST_SUITE_P(Dense, Formats,
                         testing::Combine(instruction_sets,
                                          testing::Values(Type::q4_k, Type::q8_0, Type::f16),
                                          testing::Values(KvType::f16, KvType::q8_0), testing::Values(0)),
                         name_of);
INSTANTIATE_TEST_SUITE_P(SmallCache, Formats,
                         testing::Combine(instruction_sets, testing::Values(Type::q4_k),
                                          testing::Values(KvType::q4_0), testing::Values(0)),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Experts, Formats,
                         testing::Combine(instruction_sets, testing::Values(Type::q4_k, Type::f16),
                                          testing::Values(KvType::f16), testing::Values(4)),
                         name_of);

TEST_P(Formats, OnEveryInstructionSet) {
  if (golden("arch/llama/model.gguf").empty()) GTEST_SKIP() << "no golden data";
  const Format& format = GetParam();
  const RandomModel model(std::get<Type>(format), std::get<int>(format));
  expect_invariance(
      [&](EngineOptions options) {
        std::vector<std::unique_ptr<Backend>> backends;
        backends.push_back(make_cpu({.threads = 2, .isa = std::get<std::string>(format)}));
        options.kv = std::get<KvType>(format);
        return Engine(model.path(), std::move(backends), options);
      },
      17, 12);
}

// Chunks of positions of a few rows are computed apart, of many rows and of what finds no room for its parts
// together; pieces of a prompt go beside a sequence that is decoded.
TEST(LongContexts, AreReadAlikeInAnyPieces) {
  if (golden("arch/llama/model.gguf").empty()) GTEST_SKIP() << "no golden data";
  const RandomModel model(Type::q8_0);
  const auto read = [&](int threads, int rows, int parallel) {
    std::vector<std::unique_ptr<Backend>> backends;
    backends.push_back(make_cpu({.threads = threads, .isa = ""}));
    Engine engine(model.path(), std::move(backends),
                  {.context = 1500, .parallel = parallel, .page_tokens = 24, .batch_rows = rows});
    std::vector<std::uint64_t> ids;
    for (const int length : {300, 1300, 700})
      ids.push_back(engine.submit(request_of(length, length, {.temperature = 0})));
    const auto seen = run(engine);
    std::vector<std::vector<std::uint32_t>> logprobs;
    for (const std::uint64_t id : ids) logprobs.push_back(seen.at(id).logprobs);
    return logprobs;
  };
  const auto expected = read(1, 512, 1);
  for (const int rows : {1, 2, 4, 9, 33, 200})
    for (const int parallel : {1, 3}) EXPECT_TRUE(read(2, rows, parallel) == expected) << rows << " rows";
}

}  // namespace
}  // namespace rf::test
