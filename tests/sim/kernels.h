// The kernels that are compiled into the simulated device, by name.
#pragma once
#include <cstddef>

namespace rf::gpu::sim {

struct Kernel {
  const char* name;
  void (*call)(const void* params);
  std::size_t params_bytes;
  int threads;  // of a block
};
const Kernel* find_kernel(const char* name);  // null: there is none

}  // namespace rf::gpu::sim
