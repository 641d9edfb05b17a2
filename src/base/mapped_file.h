// MappedFile: a whole file, read-only, mapped into memory.
#pragma once
#include <cstddef>
#include <span>
#include <string>

namespace rf {

class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(
      const std::string& path);  // throws Error naming the path; an empty file maps to no bytes
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Lets go of the pages of `part` (of bytes()): they come back when touched. Other memory would lose what it
  // holds.
  static void release(std::span<const std::byte> part);

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace rf
