// The golden models on the simulated device, and what must not change a result.
#include "cpu/cpu.h"
#include "golden_arch.h"
#include "simulated.h"

namespace rf::test {
namespace {

// Steps that kernels cannot do yet run on the CPU, as for a user.
MakeBackends device(const Simulated& simulated) {
  return [&simulated] {
    Backends backends;
    backends.push_back(simulated.device());
    backends.push_back(make_cpu({.threads = 1, .isa = ""}));
    return backends;
  };
}

bool quantised(const GoldenModel& model) {
  return std::ranges::any_of(model.program.weights, [](const Weight& weight) {
    return type_info(weight.tensor.type).block_elements > 1;
  });
}

class GpuGolden : public testing::TestWithParam<std::string> {};

TEST_P(GpuGolden, BothWaveSizesGiveTheRecordedLogits) {
  const GoldenModel model(GetParam());
  for (const int wave : {32, 64}) {
    SCOPED_TRACE(wave);
    const Simulated simulated(wave);
    run_golden(model, device(simulated), {.exact = !quantised(model), .page_tokens = {wave == 32 ? 16 : 5}});
  }
}

// A sequence alone, in pieces of any size and beside another one: the same bits.
TEST_P(GpuGolden, BatchesDoNotChangeABit) {
  const GoldenModel model(GetParam());
  const Simulated simulated(32);
  Feeder feeder(model.program, device(simulated), 16, KvType::f16);
  const std::vector<std::int32_t> first = model.ids(0), second = model.ids(1);
  const std::vector<float> whole = feeder.feed({{0, 0, first}});
  for (const std::size_t rows : {1u, 3u, 9u})
    EXPECT_EQ(
        std::memcmp(feeder.feed_in_pieces(first, rows).data(), whole.data(), whole.size() * sizeof(float)), 0)
        << rows << " rows a batch";
  const std::vector<float> both = feeder.feed({{1, 0, second}, {0, 0, first}});
  EXPECT_EQ(std::memcmp(both.data() + both.size() - whole.size(), whole.data(), whole.size() * sizeof(float)),
            0);
}

INSTANTIATE_TEST_SUITE_P(Golden, GpuGolden, testing::ValuesIn(golden_folders()), golden_test_name);

}  // namespace
}  // namespace rf::test
