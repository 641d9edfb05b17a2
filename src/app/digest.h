// SHA-256 of files and texts, as 64 lower-case hexadecimal digits.
#pragma once
#include <string>
#include <string_view>

namespace rf {

std::string sha256_of_file(const std::string& path);  // throws Error naming the path
std::string sha256_of(std::string_view bytes);

}  // namespace rf
