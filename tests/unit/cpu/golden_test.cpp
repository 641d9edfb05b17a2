// The golden models on every instruction set of this processor, and what must not change a result.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "compared_isas.h"
#include "cpu/cpu.h"
#include "factored_model.h"
#include "golden_arch.h"

namespace rf::test {
namespace {

MakeBackends cpu(const std::string& isa, int threads) {
  return [=] {
    Backends backends;
    backends.push_back(make_cpu({.threads = threads, .isa = isa}));
    return backends;
  };
}

// Products with quantised weights round their activations.
bool quantised(const GoldenModel& model) {
  return std::ranges::any_of(model.program.weights, [](const Weight& weight) {
    return type_info(weight.tensor.type).block_elements > 1;
  });
}

// With sanitizers each model has one, another one than its neighbours.
std::vector<std::string> isas_for(const std::string& model) {
  std::vector<std::string> all = cpu_isas();
  if (sanitized) all = {all[std::hash<std::string>{}(model) % all.size()]};
  return all;
}

class CpuGolden : public testing::TestWithParam<std::string> {};

TEST_P(CpuGolden, EveryInstructionSetGivesTheRecordedLogits) {
  const GoldenModel model(GetParam());
  for (const std::string& isa : isas_for(GetParam())) {
    SCOPED_TRACE(isa);
    run_golden(model, cpu(isa, 2), {.exact = !quantised(model)});
  }
}

// Factors beside matrices undo what was done to these.
TEST(CpuFactors, ProductsAreThoseOfTheWholeMatrices) {
  for (const char* folder : factored_models) {
    SCOPED_TRACE(folder);
    const FactoredModel file(folder);
    EXPECT_GT(file.matrices(), 5);
    const GoldenModel model(folder, file.path());
    for (const std::string& isa : compared_isas())
      run_golden(model, cpu(isa, 2), {.exact = !quantised(model), .page_tokens = {16}});
  }
}

// A sequence alone, in pieces of any size and beside another one: the same bits.
TEST_P(CpuGolden, BatchesDoNotChangeABit) {
  const GoldenModel model(GetParam());
  for (const std::string& isa : compared_isas())
    for (const KvType kv : {KvType::f32, KvType::f16, KvType::q8_0, KvType::q4_0}) {
      SCOPED_TRACE(isa + " " + kv_name(kv));
      Feeder feeder(model.program, cpu(isa, 2), 16, kv);
      const std::vector<std::int32_t> first = model.ids(0), second = model.ids(1);
      const std::vector<float> whole = feeder.feed({{0, 0, first}});
      for (const std::size_t rows : {1u, 3u, 7u, 33u}) {
        if (!model.program.causal || (sanitized && rows != 3)) continue;
        EXPECT_EQ(std::memcmp(feeder.feed_in_pieces(first, rows).data(), whole.data(),
                              whole.size() * sizeof(float)),
                  0)
            << rows << " rows a batch";
      }
      const std::vector<float> both = feeder.feed({{1, 0, second}, {0, 0, first}});
      EXPECT_EQ(
          std::memcmp(both.data() + both.size() - whole.size(), whole.data(), whole.size() * sizeof(float)),
          0);
      Feeder alone(model.program, cpu(isa, 1), 16, kv);
      EXPECT_EQ(std::memcmp(alone.feed({{0, 0, first}}).data(), whole.data(), whole.size() * sizeof(float)),
                0);
    }
}

TEST_P(CpuGolden, StatesAreKeptExactly) {
  const GoldenModel model(GetParam());
  if (model.program.states.empty()) GTEST_SKIP() << "it has no recurrent states";
  for (const std::string& isa : isas_for(GetParam())) {
    SCOPED_TRACE(isa);
    expect_states_kept(model, cpu(isa, 2));
  }
}

// Quantised caches stay near the exact one.
TEST_P(CpuGolden, CacheTypesStayNear) {
  const GoldenModel model(GetParam());
  for (const Step& step : model.program.steps)
    if (step.op == Op::route) GTEST_SKIP() << "a rounding sends rows to other experts";
  // A score moves by a key's error times its scale, which most models have as 1 / sqrt(key_dim), some as 1.
  float scale = 1;
  for (const Step& step : model.program.steps)
    if (step.op == Op::attend)
      scale = std::max(scale, step.attention.scale * std::sqrt(static_cast<float>(step.attention.key_dim)));
  const float range = scale * model.facts["range"].get<float>();
  for (const auto& [kv, allowed] :
       {std::pair{KvType::f16, 2e-3f}, {KvType::q8_0, 3e-2f}, {KvType::q4_0, 0.4f}}) {
    Feeder feeder(model.program, cpu("", 2), 64, kv);
    const float difference = max_difference(feeder.feed({{0, 0, model.ids(0)}}), model.expected(0));
    EXPECT_LE(difference, allowed * range) << kv_name(kv);
    EXPECT_GT(difference, 0.0f);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, CpuGolden, testing::ValuesIn(golden_folders()), golden_test_name);

}  // namespace
}  // namespace rf::test
