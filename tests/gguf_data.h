// For the GGUF tests and fuzzer: a file in memory that has a path, and a reader of everything in a Gguf.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "gguf/gguf.h"

namespace rf::test {

// An anonymous file with these bytes; path() can be opened while this lives.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::byte> bytes) : fd_(::memfd_create("gguf", MFD_CLOEXEC)) {
    for (std::size_t done = 0; done < bytes.size();) {
      const ssize_t n = ::write(fd_, bytes.data() + done, bytes.size() - done);
      if (n <= 0) std::abort();
      done += static_cast<std::size_t>(n);
    }
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

template <class T>
std::uint64_t touch_as(const Gguf& file, std::string_view key, bool array) {
  if (array) return file.get<std::vector<T>>(key).size();
  return file.get<T>(key) == T{} ? 1 : 2;
}

// Converts every metadata value and reads both ends of every tensor. Returns a sum, so that nothing is left
// out by the compiler. A bool may be stored as another number than 0 and 1: then get throws.
inline std::uint64_t touch(const Gguf& file) {
  std::uint64_t sum = 0;
  for (const auto& [key, value] : file.metadata()) {
    const bool array = value.type == ValueType::array;
    switch (array ? value.element : value.type) {
      case ValueType::string:
        sum += touch_as<std::string_view>(file, key, array);
        break;
      case ValueType::boolean:
        sum += touch_as<bool>(file, key, array);
        break;
      case ValueType::f32:
      case ValueType::f64:
        sum += touch_as<double>(file, key, array);
        break;
      case ValueType::u64:
        sum += touch_as<std::uint64_t>(file, key, array);
        break;
      case ValueType::array:
        sum += value.count;
        break;
      default:
        sum += touch_as<std::int64_t>(file, key, array);
    }
  }
  for (const auto& [name, tensor] : file.tensors())
    sum += name.size() + static_cast<std::uint64_t>(tensor.data[0]) +
           static_cast<std::uint64_t>(tensor.row(tensor.rows() - 1)[tensor.row_bytes - 1]);
  return sum;
}

}  // namespace rf::test
