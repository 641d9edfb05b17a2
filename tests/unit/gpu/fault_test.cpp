// What users see when the simulated device fails: loading with less, and live requests that go on.
#include <gtest/gtest.h>

#include "cpu/cpu.h"
#include "engine/engine.h"
#include "golden.h"
#include "golden_arch.h"
#include "simulated.h"

namespace rf::test {
namespace {

std::string model_path() {
  for (const std::string& name : golden_folders())
    if (name.starts_with("llama")) return golden("arch/" + name + "/model.gguf");
  return "";
}

Backends device_and_cpu(const Simulated& simulated) {
  Backends backends;
  backends.push_back(simulated.device());
  backends.push_back(make_cpu({.threads = 1, .isa = ""}));
  return backends;
}

// The tokens that `requests` greedy requests get; before step `at` the device gets the fault.
std::vector<std::vector<std::int32_t>> tokens(Backends backends, int requests,
                                              const Simulated* simulated = nullptr,
                                              const std::string& fault = "", int at = 0) {
  EngineOptions options;
  options.context = 64;
  options.parallel = requests;
  options.page_tokens = 8;
  options.kv = KvType::f32;
  Engine engine(model_path(), std::move(backends), options);
  std::map<std::uint64_t, std::vector<std::int32_t>> given;
  for (int i = 0; i < requests; ++i) {
    Request request;
    for (int t = 0; t < 9 + i; ++t) request.prompt.push_back((7 * t + 13 * i) % 32 + 3);
    request.sampling.temperature = 0;
    request.max_tokens = 12;
    request.ignore_eos = true;
    given[engine.submit(std::move(request))];
  }
  std::vector<Event> events;
  for (int step = 0;; ++step) {
    if (simulated != nullptr && step == at) simulated->fault(fault);
    events.clear();
    if (!engine.step(events)) break;
    for (const Event& event : events)
      if (event.token >= 0) given[event.request].push_back(event.token);
  }
  std::vector<std::vector<std::int32_t>> all;
  for (auto& [id, ids] : given) all.push_back(std::move(ids));
  return all;
}

class GpuFault : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (model_path().empty()) GTEST_SKIP() << "no golden models";
    ::setenv("ROCMFORGE_GPU_TIMEOUT", "0.3", 1);
  }
  void TearDown() override { ::unsetenv("ROCMFORGE_GPU_TIMEOUT"); }
};

// No client sees an error, a lost or a doubled token.
TEST_P(GpuFault, LiveRequestsGoOn) {
  const Simulated simulated(32);
  const auto expected = tokens(device_and_cpu(simulated), 3);
  for (const auto& ids : expected) ASSERT_EQ(ids.size(), 12u);
  for (const int at : {0, 1, 5}) {
    SCOPED_TRACE(at);
    simulated.fault("none");
    EXPECT_EQ(tokens(device_and_cpu(simulated), 3, &simulated, GetParam(), at), expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Faults, GpuFault,
                         testing::Values("launch:1", "launch:7", "hang:1", "hang:9", "lost:1", "lost:5"),
                         [](const auto& fault) {
                           std::string name = fault.param;
                           std::ranges::replace(name, ':', '_');
                           return name;
                         });

// With less memory than all layers need, some go to the CPU; the tokens are those of all on the CPU or
// device.
TEST(GpuMemory, LayersThatDoNotFitRunElsewhere) {
  if (model_path().empty()) GTEST_SKIP() << "no golden models";
  const Simulated simulated(32);
  const auto expected = tokens(device_and_cpu(simulated), 2);
  for (const std::size_t megabytes : {129u, 130u, 131u, 132u, 140u}) {
    const std::size_t before = simulated.allocated();  // what devices given up in other tests never gave back
    simulated.fault("oom:" + std::to_string(before + (megabytes << 20)));
    EXPECT_EQ(tokens(device_and_cpu(simulated), 2), expected) << megabytes;
    EXPECT_EQ(simulated.allocated(), before);
  }
}

// One layer on each place in turn: copies at every border.
TEST(GpuPlacement, StepsOnBothPlacesGiveTheSame) {
  if (model_path().empty()) GTEST_SKIP() << "no golden models";
  const GoldenModel model(std::filesystem::path(model_path()).parent_path().filename().string());
  const Simulated simulated(32);
  for (const int parity : {0, 1})
    run_golden(model, [&] { return device_and_cpu(simulated); },
               {.exact = false, .page_tokens = {16}, .prefer = [parity](const Step& step) {
                  return step.op == Op::attend || step.layer % 2 == parity ? 0 : 1;
                }});
}

}  // namespace
}  // namespace rf::test
