// tests/ops/*.case: every step on every instruction set and team size, against the oracle.
#include <filesystem>

#include "cpu/cpu.h"
#include "golden.h"
#include "op_run.h"

namespace rf::test {
namespace {

std::vector<std::string> case_files() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(tests_folder() + "/ops"))
    if (entry.path().extension() == ".case") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

class CpuOps : public testing::TestWithParam<std::string> {
 protected:
  static constexpr int most_threads = 3;  // with that many, weights are compact

  void SetUp() override {
    for (const std::string& isa : cpu_isas())
      for (int threads = 1; threads <= most_threads; ++threads)
        backends_.push_back(make_cpu({.threads = threads, .compact = threads == most_threads, .isa = isa}));
  }

  void check(const OpCase& one) {
    const OpSetup setup(one);
    const Results expected = run_op(*make_reference(), setup);
    std::vector<std::vector<double>> allowed;
    for (const Feed& feed : setup.feeds) allowed.push_back(allowed_errors(setup, feed));
    Results alone;
    for (std::size_t b = 0; b < backends_.size(); ++b) {
      const int threads = static_cast<int>(b) % most_threads + 1;
      SCOPED_TRACE(backends_[b]->name() + ", " + std::to_string(threads) + " threads");
      std::string why;
      ASSERT_TRUE(backends_[b]->can(setup.program, setup.step(), &why)) << why;
      const Results actual = run_op(*backends_[b], setup);
      if (threads == 1)
        expect_near(setup, allowed, expected, alone = actual);
      else
        EXPECT_TRUE(same_bits(actual, alone)) << "differs from the result of one thread";
    }
  }

  std::vector<std::unique_ptr<Backend>> backends_;
};

TEST_P(CpuOps, AgreeWithTheOracle) {
  const std::vector<OpCase> cases = read_cases(tests_folder() + "/ops/" + GetParam() + ".case");
  ASSERT_FALSE(cases.empty());
  for (const OpCase& one : cases) {
    SCOPED_TRACE(one.text() + "  (RF_SEED=" + std::to_string(run_seed()) + ")");
    check(one);
    if (HasFailure()) FAIL() << "the cases after it were not run";
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, CpuOps, testing::ValuesIn(case_files()),
                         [](const auto& file) { return file.param; });

}  // namespace
}  // namespace rf::test
