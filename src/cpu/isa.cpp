// Which kernels run: cpuid is asked once.
#include "cpu/isa.h"

#include <cstdlib>

#include "base/error.h"
#include "cpu/cpu.h"

namespace rf {

namespace scalar {
const Kernels& table();
}
#ifdef RF_HAS_avx2
namespace avx2 {
const Kernels& table();
}
namespace avx512 {
const Kernels& table();
}
namespace avx512vnni {
const Kernels& table();
}
#endif

namespace {

std::vector<const Kernels*> present() {
  std::vector<const Kernels*> found;
#ifdef RF_HAS_avx2
  __builtin_cpu_init();
  const bool has_avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512vl");
  if (has_avx512 && __builtin_cpu_supports("avx512vnni")) found.push_back(&avx512vnni::table());
  if (has_avx512) found.push_back(&avx512::table());
  if (has_avx2) found.push_back(&avx2::table());
#endif
  found.push_back(&scalar::table());
  return found;
}

}  // namespace

const Kernels& choose_kernels(const std::string& wanted) {
  std::string name = wanted;
  if (name.empty())
    if (const char* forced = std::getenv("RF_ISA"); forced != nullptr) name = forced;
  const std::vector<const Kernels*> found = present();
  if (name.empty()) return *found.front();
  std::string names;
  for (const Kernels* kernels : found) {
    if (kernels->name == name) return *kernels;
    names += (names.empty() ? "" : ", ") + std::string(kernels->name);
  }
  fail("instruction set '{}' is not one this processor has kernels for; they are: {}", name, names);
}

std::vector<std::string> cpu_isas() {
  std::vector<std::string> names;
  for (const Kernels* kernels : present()) names.emplace_back(kernels->name);
  return names;
}

std::string chosen_isa(const std::string& wanted) {
  return choose_kernels(wanted).name;
}

}  // namespace rf
