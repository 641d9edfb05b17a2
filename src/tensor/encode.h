// Encoder: rows of f32 written in a format that models are stored in.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tensor/type.h"

namespace rf {

bool can_encode(Type type);
std::string encodable_types();  // their names, for messages

// Formats with a choice of scales minimise the sum over elements of importance[k] * (x[k] - stored[k])^2,
// each block by itself; the others (F32, F16, BF16, Q8_0, MXFP4, TQ1_0, TQ2_0) follow their definition.
class Encoder {
 public:
  // Rows have `columns` elements, a multiple of the type's block; `importance` is one number of at least 0 a
  // column (what an importance matrix gives), or empty: all alike. Throws Error for a type that cannot be
  // written.
  Encoder(Type type, std::int64_t columns, std::span<const float> importance = {});

  // x[columns], all finite, to row_bytes(type, columns) bytes. What f16 scales cannot hold becomes infinite.
  // May be called by several threads at once.
  void encode(const float* x, std::byte* out) const { write_(x, weights_.data(), columns_, out); }

 private:
  using Write = void (*)(const float* x, const float* weights, std::int64_t n, std::byte* out);
  static Write writer(Type type);  // nullptr when there is none
  friend bool can_encode(Type type);

  Write write_;
  std::int64_t columns_;
  std::vector<float> weights_;  // of mean 1, none of them 0
};

}  // namespace rf
