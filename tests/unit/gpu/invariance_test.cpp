// The same request gives the same bits on a device whatever else runs, and what gives way there is copied out
// and back instead of being read again.
#include "engine_run.h"
#include "random_model.h"
#include "simulated.h"

namespace rf::test {
namespace {

using Case = std::tuple<Type, KvType, int>;  // weights, cache, experts

std::string name_of(const testing::TestParamInfo<Case>& each) {
  const auto& [type, kv, experts] = each.param;
  return fmt::format("{}_kv_{}{}", type_info(type).name, kv_name(kv), experts > 0 ? "_experts" : "");
}

class GpuInvariance : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Formats, GpuInvariance,
                         testing::Values(Case{Type::q4_k, KvType::f16, 0}, Case{Type::q8_0, KvType::q8_0, 0},
                                         Case{Type::f16, KvType::q4_0, 0}, Case{Type::q4_k, KvType::q8_0, 4}),
                         name_of);

TEST_P(GpuInvariance, ToTheLastBit) {
  if (golden("arch/llama/model.gguf").empty()) GTEST_SKIP() << "no golden data";
  const Case& format = GetParam();
  const RandomModel model(std::get<Type>(format), std::get<int>(format), 1);
  const KvType kv = std::get<KvType>(format);
  const std::size_t device = kv == KvType::q8_0 ? 0 : test_devices().size() - 1;
  expect_invariance(
      [&](EngineOptions options) {
        std::vector<std::unique_ptr<Backend>> backends;
        backends.push_back(std::move(test_devices()[device]));
        options.kv = kv;
        return Engine(model.path(), std::move(backends), options);
      },
      6, 14);
}

}  // namespace
}  // namespace rf::test
