// The golden models on the simulated device, and what must not change a result.
#include <functional>

#include "cpu/cpu.h"
#include "factored_model.h"
#include "golden_arch.h"
#include "simulated.h"

namespace rf::test {
namespace {

// The CPU is there for what a device cannot do, as for a user.
MakeBackends device(std::size_t number) {
  return [number] {
    Backends backends;
    backends.push_back(std::move(test_devices()[number]));
    backends.push_back(make_cpu({.threads = 1, .isa = ""}));
    return backends;
  };
}

bool quantised(const GoldenModel& model) {
  return std::ranges::any_of(model.program.weights, [](const Weight& weight) {
    return type_info(weight.tensor.type).block_elements > 1;
  });
}

using Folder = testing::TestWithParam<std::string>;

// Each device in turn, and the CPU for what they leave to it: one sequence in one batch, one
// in pieces, down to single rows at its end.
class GpuGolden : public Folder {};

TEST_P(GpuGolden, GivesTheRecordedLogits) {
  const GoldenModel model(GetParam());
  const GoldenOptions options{.exact = !quantised(model)};
  const std::size_t devices = test_devices().size();
  for (const Step& step : model.program.steps) {
    std::string why;
    EXPECT_NE(test_devices()[0]->can(model.program, step, &why), left_to_the_cpu(step))
        << op_name(step.op) << ": " << why;
  }
  for (std::size_t s = 0; s < std::min<std::size_t>(model.facts["sequences"].size(), 2); ++s) {
    const std::size_t d = (s + std::hash<std::string>()(GetParam())) % devices;
    SCOPED_TRACE(test_devices()[d]->name());
    Feeder feeder(model.program, device(d), d == 0 ? 16 : 5);
    const std::vector<std::int32_t> ids = model.ids(s);
    const std::size_t rows = s == 0 || model.embeds() ? std::size_t{Feeder::longest} : ids.size() / 4 + 1;
    expect_logits(model, s, feeder.feed_in_pieces(ids, rows), options);
  }
}
INSTANTIATE_TEST_SUITE_P(Golden, GpuGolden, testing::ValuesIn(golden_folders()), golden_test_name);

// Factors beside matrices undo what was done to these.
TEST(GpuFactors, ProductsAreThoseOfTheWholeMatrices) {
  for (const char* folder : factored_models) {
    const FactoredModel file(folder);
    const GoldenModel model(folder, file.path());
    for (std::size_t d = 0; d < test_devices().size(); ++d) {
      SCOPED_TRACE(folder + (" on " + test_devices()[d]->name()));
      Feeder feeder(model.program, device(d), 16);
      expect_logits(model, d % 2, feeder.feed_in_pieces(model.ids(d % 2), Feeder::longest), {.exact = true});
      expect_logits(model, 1 - d % 2, feeder.feed_in_pieces(model.ids(1 - d % 2), 3), {.exact = true});
    }
  }
}

// Everything that the golden data has, greedy continuations too.
class GpuWhole : public Folder {};
TEST_P(GpuWhole, GivesWhatIsRecorded) {
  if (golden("arch/" + GetParam() + "/model.gguf").empty()) GTEST_SKIP() << "not at hand";
  const GoldenModel model(GetParam());
  for (std::size_t d = 0; d < test_devices().size(); ++d)
    run_golden(model, device(d), {.exact = !quantised(model), .page_tokens = {d == 0 ? 16 : 5}});
}
INSTANTIATE_TEST_SUITE_P(Golden, GpuWhole, testing::Values("llama", "mixtral"), golden_test_name);

// A sequence alone, in pieces of any size and beside another one gives the same bits, and so it does on a
// device of the other wave size.
class GpuBits : public Folder {};
TEST_P(GpuBits, AreTheSameHoweverItIsFed) {
  if (golden("arch/" + GetParam() + "/model.gguf").empty()) GTEST_SKIP() << "not at hand";
  const GoldenModel model(GetParam());
  Feeder feeder(model.program, device(0), 16, KvType::f16);
  const std::vector<std::int32_t> first = model.ids(0), second = model.ids(1);
  const std::vector<float> whole = feeder.feed({{0, 0, first}});
  const std::size_t bytes = whole.size() * sizeof(float);
  for (const std::size_t rows : sanitized ? std::vector<std::size_t>{3} : std::vector<std::size_t>{1, 3, 9})
    EXPECT_EQ(std::memcmp(feeder.feed_in_pieces(first, rows).data(), whole.data(), bytes), 0)
        << rows << " rows a batch";
  const std::vector<float> both = feeder.feed({{1, 0, second}, {0, 0, first}});
  EXPECT_EQ(std::memcmp(both.data() + both.size() - whole.size(), whole.data(), bytes), 0);
  if (test_devices().size() < 2) return;
  Feeder other(model.program, device(1), 16, KvType::f16);
  EXPECT_EQ(std::memcmp(other.feed_in_pieces(first, 9).data(), whole.data(), bytes), 0);
}
INSTANTIATE_TEST_SUITE_P(Golden, GpuBits,
                         testing::Values("llama", "mixtral", "mamba2", "qwen3-next", "rwkv6", "rwkv7",
                                         "lfm2-moe", "phimoe"),
                         golden_test_name);

// States on a device, copied there and brought to the host and back.
class GpuStates : public Folder {};
TEST_P(GpuStates, AreKeptExactly) {
  if (golden("arch/" + GetParam() + "/model.gguf").empty()) GTEST_SKIP() << "not at hand";
  expect_states_kept(GoldenModel(GetParam()), device(0));
}
INSTANTIATE_TEST_SUITE_P(Golden, GpuStates, testing::Values("jamba", "qwen3-next", "rwkv7"),
                         golden_test_name);

}  // namespace
}  // namespace rf::test
