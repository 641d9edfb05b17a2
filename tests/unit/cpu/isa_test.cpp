// The choice of an instruction set: forced by option, forced by the environment, or the best there is.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "cpu/cpu.h"

namespace rf::test {
namespace {

// RF_ISA for the length of a test; null: unset.
class ForcedIsa {
 public:
  explicit ForcedIsa(const char* value) {
    if (const char* before = std::getenv("RF_ISA")) before_ = before;
    set(value);
  }
  ~ForcedIsa() { set(before_ ? before_->c_str() : nullptr); }
  ForcedIsa(const ForcedIsa&) = delete;
  ForcedIsa& operator=(const ForcedIsa&) = delete;

 private:
  static void set(const char* value) {
    value != nullptr ? ::setenv("RF_ISA", value, 1) : ::unsetenv("RF_ISA");
  }
  std::optional<std::string> before_;
};

TEST(CpuIsa, EachCanBeForced) {
  for (const std::string& isa : cpu_isas()) {
    EXPECT_EQ(make_cpu({.threads = 1, .isa = isa})->name(), "cpu/" + isa);
    const ForcedIsa forced(isa.c_str());
    EXPECT_EQ(make_cpu({.threads = 1, .isa = ""})->name(), "cpu/" + isa);
    EXPECT_EQ(chosen_isa(), isa);
    EXPECT_EQ(chosen_isa("scalar"), "scalar") << "the option goes before the environment";
  }
}

TEST(CpuIsa, TheBestIsTakenAndScalarIsTheLast) {
  const ForcedIsa unset(nullptr);
  const std::vector<std::string> isas = cpu_isas();
  EXPECT_EQ(isas.back(), "scalar");
  EXPECT_EQ(make_cpu({.threads = 1, .isa = ""})->name(), "cpu/" + isas.front());
  const auto has = [&](const char* isa) { return std::find(isas.begin(), isas.end(), isa) != isas.end(); };
#if defined(__x86_64__)
  __builtin_cpu_init();
  EXPECT_EQ(has("avx2"), __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                             __builtin_cpu_supports("f16c"));
  EXPECT_EQ(has("avx512vnni"), has("avx512") && __builtin_cpu_supports("avx512vnni"));
  std::vector<std::string> order{"avx512vnni", "avx512", "avx2", "scalar"};
  std::erase_if(order, [&](const std::string& isa) { return !has(isa.c_str()); });
  EXPECT_EQ(isas, order);
#endif
}

TEST(CpuIsa, AnUnknownOneIsAnErrorThatNamesThoseThatAre) {
  const ForcedIsa forced("sse9");
  try {
    make_cpu({.threads = 1, .isa = ""});
    FAIL() << "RF_ISA=sse9 was taken";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("'sse9'"), std::string::npos) << error.what();
    for (const std::string& isa : cpu_isas())
      EXPECT_NE(std::string(error.what()).find(isa), std::string::npos) << error.what();
  }
  EXPECT_THROW(chosen_isa("sse9"), Error);
}

}  // namespace
}  // namespace rf::test
