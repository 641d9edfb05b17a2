// Arena: one large block of zeroed memory on huge pages where the system gives them.
#pragma once
#include <cstddef>

namespace rf {

class Arena {
 public:
  Arena() = default;
  explicit Arena(
      std::size_t bytes);  // throws Error saying how much was asked for; pages are zero and not yet resident
  ~Arena();
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace rf
