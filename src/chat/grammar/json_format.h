// The formats of JSON Schema texts (RFC 3339, 4122, 2673, 4291, 1123, 5321, 3986), as regular expressions.
#pragma once
#include <string_view>

namespace rf::grammar {

// "" for a format that is not known: such a one asserts nothing.
std::string_view format_pattern(std::string_view format);

}  // namespace rf::grammar
