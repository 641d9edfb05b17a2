// The memory of this machine and process, as the kernel counts it.
#pragma once
#include <cstdint>

namespace rf {

// Physical memory, and what of it could be used now, in bytes.
struct Memory {
  std::uint64_t total = 0, available = 0;
};
Memory machine_memory();  // zeros where the kernel does not say

std::uint64_t peak_memory();  // the most that this process has had resident, bytes

}  // namespace rf
