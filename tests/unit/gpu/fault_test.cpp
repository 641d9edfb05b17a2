// What users see when the simulated device fails: loading with less, and live requests that go on.
#include <gtest/gtest.h>

#include "cpu/cpu.h"
#include "engine/engine.h"
#include "golden.h"
#include "golden_arch.h"
#include "gpu/device.h"
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

// A driver that refuses the kernels, or an older one that cannot read them, costs no more than the device.
TEST(GpuFault, ADeviceThatFailsWhileLoadingIsLeft) {
  if (model_path().empty()) GTEST_SKIP() << "no golden models";
  const Simulated simulated(32);
  const auto expected = tokens(device_and_cpu(simulated), 2);
  EXPECT_GT(simulated.launches(), 0u);
  Backends backends = device_and_cpu(simulated);
  simulated.fault("image");
  EXPECT_EQ(tokens(std::move(backends), 2), expected);
  EXPECT_EQ(simulated.launches(), 0u);
  // Alone it is an error that tells all.
  simulated.fault("none");
  backends.clear();
  backends.push_back(simulated.device());
  simulated.fault("image");
  try {
    tokens(std::move(backends), 1);
    FAIL() << "ran without kernels";
  } catch (const Error& error) {
    for (const char* part : {"gpu/gfxsim32", "ModuleLoadData", "InvalidImage", "no backend can run embed"})
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

// What a plan says is what a device is asked for, and nothing more while it runs.
TEST(GpuMemory, ThePlanIsExact) {
  if (model_path().empty()) GTEST_SKIP() << "no golden models";
  const GoldenModel model(std::filesystem::path(model_path()).parent_path().filename().string());
  const Simulated simulated(32);
  const std::size_t before = simulated.allocated();
  const auto make = [&] {
    Backends backends;
    backends.push_back(simulated.device());
    return backends;
  };
  Feeder feeder(model.program, make, 16);
  // Three blocks, each moved up to begin on a unit.
  const std::size_t planned = feeder.plan().memory().total() + 3 * gpu::Device::unit;
  EXPECT_EQ(simulated.allocated() - before, planned);
  feeder.feed_in_pieces(model.ids(0), 5);
  EXPECT_EQ(simulated.allocated() - before, planned);
}

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

// The same where the driver promises more than there is, as drivers do: allocations fail one after another.
TEST(GpuMemory, LayersThatWerePromisedRoomInVainRunElsewhere) {
  if (model_path().empty()) GTEST_SKIP() << "no golden models";
  const Simulated simulated(32);
  const auto expected = tokens(device_and_cpu(simulated), 2);
  const std::uint64_t all = simulated.launches();
  std::uint64_t fewest = all, most = 0;
  for (const std::size_t kilobytes : {1u, 200u, 400u, 600u, 800u, 1200u}) {
    Backends backends = device_and_cpu(simulated);
    const std::size_t before = simulated.allocated();
    simulated.fault(fmt::format("oom:{},promise:{}", before + (kilobytes << 10), std::size_t{8} << 30));
    EXPECT_EQ(tokens(std::move(backends), 2), expected) << kilobytes;
    fewest = std::min(fewest, simulated.launches());
    if (simulated.launches() < all) most = std::max(most, simulated.launches());
    simulated.fault("none");
  }
  EXPECT_EQ(fewest, 0u);
  EXPECT_GT(most, 0u) << "all or nothing ran on the device";
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
