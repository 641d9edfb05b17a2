// tests/ops/*.case on the simulated device, in waves of 32 and of 64, against the oracle.
#include <filesystem>

#include "golden.h"
#include "op_run.h"
#include "simulated.h"

namespace rf::test {
namespace {

std::vector<std::string> case_files() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(tests_folder() + "/ops"))
    if (entry.path().extension() == ".case") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

class GpuOps : public testing::TestWithParam<std::string> {};

TEST_P(GpuOps, AgreeWithTheOracle) {
  const std::vector<OpCase> cases = read_cases(tests_folder() + "/ops/" + GetParam() + ".case");
  ASSERT_FALSE(cases.empty());
  const std::vector<std::unique_ptr<Backend>> devices = test_devices();
  std::size_t number = 0;
  for (const OpCase& one : cases) {
    SCOPED_TRACE(one.text() + "  (RF_SEED=" + std::to_string(run_seed()) + ")");
    const OpSetup setup(one);
    const Results expected = run_op(*make_reference(), setup);
    std::vector<std::vector<double>> allowed;
    for (const Feed& feed : setup.feeds) allowed.push_back(allowed_errors(setup, feed));
    // One wave size a case, in turn: both see every kind of case.
    Backend& device = *devices[number++ % devices.size()];
    SCOPED_TRACE(device.name());
    std::string why;
    ASSERT_NE(device.can(setup.program, setup.step(), &why), left_to_the_cpu(setup.step())) << why;
    if (left_to_the_cpu(setup.step())) continue;
    expect_near(setup, allowed, expected, run_op(device, setup));
    if (HasFailure()) FAIL() << "the cases after it were not run";
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GpuOps, testing::ValuesIn(case_files()),
                         [](const auto& file) { return file.param; });

}  // namespace
}  // namespace rf::test
