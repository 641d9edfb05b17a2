// Mix: what users call the quantisation of a whole file ("Q4_K_M"), and which tensor gets which type under
// it.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/gguf.h"

namespace rf {

// One value of general.file_type (llama.cpp's enumeration).
struct Mix {
  std::uint32_t file_type;
  std::string_view name;
  Type body;  // of most matrices
};

const Mix* find_mix(std::uint32_t file_type);  // nullptr when unknown
// By name, whatever its case, or by a short name: Q3_K, Q4_K and Q5_K are their _M, MXFP4_MOE is MXFP4.
// Throws Error listing those that can be written, for one that is unknown or cannot be.
const Mix& mix_by_name(std::string_view name);
std::string writable_mixes();  // their names, for messages

// "GLOB=TYPE": matrices whose whole name matches (*, ?, [...]) get this type, whatever the mix says.
struct TypeRule {
  std::string glob;
  Type type;
};
TypeRule parse_type_rule(const std::string& text);  // throws Error

struct TypeChoice {
  std::string_view name;  // the tensor's, viewing the file
  Type type;
  std::string note;  // why it is not what was asked for, or empty
};

// A type for every tensor of the file, in its order. Only matrices are ever changed, and of them not those
// that are small and sensitive (norms, routers, positions, convolutions). Rows that are not whole blocks take
// a format of smaller blocks, or F16. Of several rules that match the last one counts. Throws Error for a
// rule that no matrix matches. `weighted`: an importance matrix will be used, which some choices depend on.
std::vector<TypeChoice> choose_types(const Gguf& file, const Mix& mix, std::span<const TypeRule> rules,
                                     bool weighted);

}  // namespace rf
