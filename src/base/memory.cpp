#include "base/memory.h"

#include <fstream>
#include <string>
#include <string_view>

namespace rf {
namespace {

// The value of "NAME:   123 kB" in a file of /proc, in bytes.
std::uint64_t proc_value(const char* path, std::string_view name) {
  std::ifstream in(path);
  std::string word;
  std::uint64_t kilobytes = 0;
  while (in >> word)
    if (word == name && in >> kilobytes) return kilobytes * 1024;
  return 0;
}

}  // namespace

Memory machine_memory() {
  return {proc_value("/proc/meminfo", "MemTotal:"), proc_value("/proc/meminfo", "MemAvailable:")};
}

std::uint64_t peak_memory() {
  return proc_value("/proc/self/status", "VmHWM:");
}

}  // namespace rf
