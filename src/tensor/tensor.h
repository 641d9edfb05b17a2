// Tensor: a view of typed numbers in memory. It owns nothing and computes nothing.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/mapped_file.h"
#include "tensor/type.h"

namespace rf {

// shape[0] is the row length (contiguous, GGUF's order); rows() counts the rest.
struct Tensor {
  Type type = Type::f32;
  std::array<std::int64_t, 4> shape{0, 1, 1, 1};
  std::size_t row_bytes = 0;
  const std::byte* data = nullptr;
  bool mapped = false;     // they are those of a MappedFile
  std::int64_t apart = 0;  // rows from one matrix [shape[0], shape[1]] to the next, where others lie between

  std::int64_t columns() const { return shape[0]; }
  std::int64_t rows() const { return shape[1] * shape[2] * shape[3]; }
  std::size_t bytes() const { return static_cast<std::size_t>(rows()) * row_bytes; }
  const std::byte* row(std::int64_t r) const {
    if (apart != 0) r = r / shape[1] * apart + r % shape[1];
    return data + static_cast<std::size_t>(r) * row_bytes;
  }
  // Lets go of the memory of rows [first, end), where they can be read again.
  void release(std::int64_t first, std::int64_t end) const {
    if (mapped) MappedFile::release({row(first), static_cast<std::size_t>(end - first) * row_bytes});
  }
};

}  // namespace rf
