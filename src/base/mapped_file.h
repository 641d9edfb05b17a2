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

  // Tells the kernel that `part` (of bytes()) will be read here and there, so that a touched page does not
  // bring its neighbours; or that it is not needed in memory for now.
  static void read_at_random(std::span<const std::byte> part);
  static void release(std::span<const std::byte> part);

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace rf
