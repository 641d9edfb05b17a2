// Imatrix: an importance matrix, which says how much each input column of a model's matrices matters: the
// mean square of what came in there while a text was read. Files are those of llama.cpp, GGUF and the older
// .dat.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace rf {

class Imatrix {
 public:
  // Of one tensor: a matrix for each expert or head, else one.
  struct Entry {
    std::int64_t columns = 0;
    std::vector<double> sums;    // [matrices, columns], of squares
    std::vector<double> counts;  // [matrices], of rows
  };

  static Imatrix read(const std::string& path);  // throws Error naming the file and what is wrong in it
  void write(const std::string& path) const;     // as GGUF

  // Adds one input row of matrix `matrix` of `matrices` of a tensor.
  void add(const std::string& tensor, std::int64_t matrix, std::int64_t matrices, std::span<const float> row);

  // The mean squares for matrix `matrix` of the tensor `name`; empty when nothing is known of it. Throws
  // Error when what is known is of another shape.
  std::vector<float> importance(std::string_view name, const Tensor& tensor, std::int64_t matrix) const;

  std::map<std::string, Entry, std::less<>> entries;
  std::vector<std::string> datasets;  // the texts' files
  std::uint32_t chunks = 0, chunk_tokens = 0;
  std::string origin;  // the file, of read()

 private:
  static Imatrix read_gguf(const std::string& path);
  static Imatrix read_dat(std::span<const std::byte> file, const std::string& path);
};

}  // namespace rf
