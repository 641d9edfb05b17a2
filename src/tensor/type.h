// Type: the element formats of the GGUF enumeration, and what a tensor of each measures.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rf {

// The values are those stored in GGUF files (ggml's type enumeration).
enum class Type : std::uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q8_1 = 9,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  q8_k = 15,
  iq2_xxs = 16,
  iq2_xs = 17,
  iq3_xxs = 18,
  iq1_s = 19,
  iq4_nl = 20,
  iq3_s = 21,
  iq2_s = 22,
  iq4_xs = 23,
  i8 = 24,
  i16 = 25,
  i32 = 26,
  i64 = 27,
  f64 = 28,
  iq1_m = 29,
  bf16 = 30,
  tq1_0 = 34,
  tq2_0 = 35,
  mxfp4 = 39,
  nvfp4 = 40,
  q1_0 = 41,
  q2_0 = 42,
};

struct TypeInfo {
  Type type;
  std::string_view name;         // as users write it: "Q4_K", "F16"
  std::uint32_t block_elements;  // elements of one block, along the row
  std::uint32_t block_bytes;
};

// What is known of a type, or nothing for a value outside the enumeration. type_info() also knows the layouts
// that tiles may have in memory (tensor/tiles.h).
const TypeInfo* find_type(std::uint32_t id);
const TypeInfo& type_info(Type type);
std::optional<Type> type_by_name(std::string_view name);  // case-insensitive

// Bytes of a row of `elements`, which must be a multiple of the block.
inline std::size_t row_bytes(Type type, std::int64_t elements) {
  const TypeInfo& info = type_info(type);
  return static_cast<std::size_t>(elements) / info.block_elements * info.block_bytes;
}

}  // namespace rf
