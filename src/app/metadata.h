// Metadata of a GGUF file as JSON and as text.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "gguf/gguf.h"

namespace rf {

nlohmann::ordered_json metadata_json(const Gguf& file, std::string_view key);
// One line; long strings and arrays are cut and their length is given.
std::string metadata_line(const Gguf& file, std::string_view key);

}  // namespace rf
