// Files as commands read and write them. Errors name the path and the system's reason.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace rf {

std::string read_file(const std::string& path);  // "-" is stdin
void write_file(const std::string& path, std::string_view bytes);

// The JSON in a file; `what` names it in errors.
nlohmann::ordered_json read_json_file(const std::string& path, std::string_view what);
// Calls `each` with the JSON value of every line that is not empty, as soon as the line is there; "-" is
// stdin. Errors name path and line.
void for_each_json_line(const std::string& path, const std::function<void(const nlohmann::json&)>& each);

// JSON on one line or indented; bytes that are not UTF-8 become U+FFFD.
std::string to_text(const nlohmann::ordered_json& value, int indent = -1);

// Throws Error where the disk that `path` is on, a file or a folder, is known not to hold `bytes` more.
void expect_room(const std::string& path, std::uint64_t bytes);

// A file that is written piece by piece, and removed again where that does not come to its end.
class OutputFile {
 public:
  explicit OutputFile(std::string path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, std::size_t bytes);
  void close();  // throws when anything could not be written

 private:
  std::string path_;
  std::FILE* file_;
};

}  // namespace rf
