// The instruction sets on which results are compared to the last bit.
#pragma once
#include <string>
#include <vector>

#include "cpu/cpu.h"
#include "sanitized.h"

namespace rf::test {

// All, in a build with sanitizers the best.
inline std::vector<std::string> compared_isas() {
  const std::vector<std::string> all = cpu_isas();
  return sanitized ? std::vector{all.front()} : all;
}

}  // namespace rf::test
