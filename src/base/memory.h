// The memory of this machine and process, as the kernel counts it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace rf {

// Physical memory, and what of it could be used now, in bytes.
struct Memory {
  std::uint64_t total = 0, available = 0;
};
Memory machine_memory();  // zeros where the kernel does not say

std::uint64_t peak_memory();  // the most that this process has had resident, bytes

// Makes the pages of `bytes`, which are mapped from a file, this process's own, at the same place and for
// reading only: whatever becomes of the file, they stay. Throws Error where there is no memory for it.
void own_pages(std::span<const std::byte> bytes);

}  // namespace rf
