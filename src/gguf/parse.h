// The directory of one GGUF file, read from its bytes. Inside this room only; others use Gguf.
#pragma once
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "gguf/gguf.h"

namespace rf {

constexpr std::string_view alignment_key = "general.alignment";
constexpr std::uint32_t default_alignment = 32;

struct Directory {
  std::uint32_t version = 0;
  std::uint64_t data_start = 0;  // where the tensors' bytes begin, perhaps behind the file's end
  std::map<std::string_view, MetaValue> metadata;
  std::map<std::string_view, Tensor> tensors;
  std::vector<std::string_view> keys, tensor_names;  // in the file's order
};

// Every view in the result lies inside `file`. Throws Error, beginning with `path`, on anything else. Time
// and memory are linear in the size of the directory; tensor data is not touched.
Directory parse_directory(std::span<const std::byte> file, const std::string& path);

// "u32", "string" and so on; the bytes of one value, 0 for strings and arrays; nullptr for an unknown type.
struct ValueTypeInfo {
  std::string_view name;
  std::size_t bytes;
};
const ValueTypeInfo* find_value_type(std::uint32_t id);

// A key or name from a file, quoted, escaped and shortened for a message.
std::string quoted(std::string_view text);

inline bool good_alignment(std::uint64_t a) {
  return a >= 8 && (a & (a - 1)) == 0;
}
inline std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace rf
