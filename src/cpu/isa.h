// The choice of kernels for this processor.
#pragma once
#include <string>

#include "cpu/kernels.h"

namespace rf {

// The kernels named `wanted`, else by the environment's RF_ISA, else the best this processor can run. Throws
// Error.
const Kernels& choose_kernels(const std::string& wanted);

}  // namespace rf
