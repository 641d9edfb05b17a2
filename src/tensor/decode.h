// The reference decoding of rows of any supported format to f32.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tensor/type.h"

namespace rf {

// Whether a tensor of this type can be a matrix or a vector of a model: integers are tables and indices.
bool holds_weights(Type type);

// Decodes the first `n` elements of `row` (n a multiple of the type's block) into out[n], bit for bit as the
// format is defined; F64 and integers are rounded to the nearest f32.
void decode_row(Type type, const std::byte* row, std::int64_t n, float* out);

}  // namespace rf
