// Names of kernels by type, as kernels/list.h has them.
#pragma once
#include <string_view>

#include "ops/backend.h"
#include "tensor/type.h"

namespace rf::gpu {

struct KernelInfo {
  std::string_view name;
  unsigned threads = 0;  // of a block
};
// Null when this build has no such kernel.
const KernelInfo* find_kernel(std::string_view name);

// "rf_FAMILY_TYPE". The text lives as long as the program.
std::string_view kernel_of(std::string_view family, Type type);
// "rf_FAMILY_KV_SIZE".
std::string_view kernel_of(std::string_view family, KvType kv, int size);

}  // namespace rf::gpu
