#include "sim/kernels.h"

#include <cstring>

#include "gpu/kernels/list.h"

#define RF_GPU_KERNEL(name, Params, threads) extern "C" __attribute__((weak)) void name(rf::gpu::Params p);
RF_GPU_KERNELS
#undef RF_GPU_KERNEL

namespace rf::gpu::sim {
namespace {

#define RF_GPU_KERNEL(name, Params, threads)                                                        \
  {#name, ::name != nullptr ? +[](const void* params) { ::name(*static_cast<const Params*>(params)); } : nullptr, \
   sizeof(Params), threads},
const Kernel kernels[] = {RF_GPU_KERNELS};

}  // namespace

const Kernel* find_kernel(const char* name) {
  for (const Kernel& kernel : kernels)
    if (std::strcmp(kernel.name, name) == 0) return kernel.call != nullptr ? &kernel : nullptr;
  return nullptr;
}

}  // namespace rf::gpu::sim
