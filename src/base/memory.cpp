#include "base/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"

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

void own_pages(std::span<const std::byte> bytes) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(bytes.data()) / page * page;
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(bytes.data()) + bytes.size();
  const std::size_t size = (end - first + page - 1) / page * page;  // of the last page a file's end is zeros
  if (bytes.empty()) return;
  void* copy = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (copy == MAP_FAILED) fail("cannot get {} bytes of memory: {}", size, std::strerror(errno));
  void* const place = reinterpret_cast<void*>(first);
  std::memcpy(copy, place, size);
  ::mprotect(copy, size, PROT_READ);
  if (::mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place) != MAP_FAILED) return;
  const int why = errno;
  ::munmap(copy, size);
  fail("cannot keep {} bytes in memory: {}", size, std::strerror(why));
}

}  // namespace rf
