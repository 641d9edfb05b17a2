// The reference decoding of rows of any supported format to f32.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tensor/type.h"

namespace rf {

bool can_decode(Type type);

// Decodes the first `n` elements of `row` (n a multiple of the type's block) into out[n], bit for bit as the
// format is defined. Throws Error for a type can_decode() denies.
void decode_row(Type type, const std::byte* row, std::int64_t n, float* out);

}  // namespace rf
