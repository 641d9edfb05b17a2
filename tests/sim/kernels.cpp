#include "sim/kernels.h"

#include <cstring>

#include "gpu/kernels/list.h"

#define RF_GPU_KERNEL(name, Params, threads) extern "C" void name(rf::gpu::Params p);
RF_GPU_KERNELS
#undef RF_GPU_KERNEL

namespace rf::gpu::sim {
namespace {

#define RF_GPU_KERNEL(name, Params, threads) \
  {#name, [](const void* params) { ::name(*static_cast<const Params*>(params)); }, sizeof(Params), threads},
constexpr Kernel kernels[] = {RF_GPU_KERNELS};

}  // namespace

const Kernel* find_kernel(const char* name) {
  for (const Kernel& kernel : kernels)
    if (std::strcmp(kernel.name, name) == 0) return &kernel;
  return nullptr;
}

}  // namespace rf::gpu::sim
