#include "app/file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "base/error.h"

namespace rf {
namespace {

// Values are walked level by level, on a stack that ends.
template <class Json>
Json parse_json(const std::string& text) {
  static constexpr int most_levels = 500;
  return Json::parse(text, [](int depth, typename Json::parse_event_t, Json&) {
    if (depth > most_levels) fail("expected at most {} levels", most_levels);
    return true;
  });
}

}  // namespace

std::string read_file(const std::string& path) {
  std::ostringstream text;
  errno = 0;
  if (path == "-") {
    text << std::cin.rdbuf();
    return std::move(text).str();
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) fail("{}: cannot read it: {}", path, std::strerror(errno));
  if (in.peek() != std::ifstream::traits_type::eof()) text << in.rdbuf();
  if (in.bad() || text.bad()) fail("{}: cannot read it: {}", path, std::strerror(errno == 0 ? EIO : errno));
  return std::move(text).str();
}

void write_file(const std::string& path, std::string_view bytes) {
  OutputFile out(path);
  out.write(bytes.data(), bytes.size());
  out.close();
}

nlohmann::ordered_json read_json_file(const std::string& path, std::string_view what) {
  const std::string text = read_file(path);
  try {
    return parse_json<nlohmann::ordered_json>(text);
  } catch (const std::exception& error) {
    fail("{}: {} must be JSON: {}", path, what, error.what());
  }
}

void for_each_json_line(const std::string& path, const std::function<void(const nlohmann::json&)>& each) {
  std::ifstream file;
  errno = 0;
  if (path != "-") file.open(path, std::ios::binary);
  std::istream& lines = path == "-" ? std::cin : file;
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.empty() || line == "\r") continue;
    try {
      each(parse_json<nlohmann::json>(line));
    } catch (const std::exception& error) {
      fail("{}, line {}: {}", path, number, error.what());
    }
  }
  if (!lines.eof()) fail("{}: cannot read it: {}", path, std::strerror(errno == 0 ? EIO : errno));
}

std::string to_text(const nlohmann::ordered_json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

void expect_room(const std::string& path, std::uint64_t bytes) {
  std::error_code unknown;
  const std::uint64_t free = std::filesystem::space(path, unknown).available;
  if (!unknown && bytes > free)
    fail("{}: needs {} MB more, but only {} MB are free on this disk", path, bytes / 1000000 + 1,
         free / 1000000);
}

OutputFile::OutputFile(std::string path) : path_(std::move(path)), file_(std::fopen(path_.c_str(), "wb")) {
  if (file_ == nullptr) fail("{}: cannot write it: {}", path_, std::strerror(errno));
}

OutputFile::~OutputFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  std::error_code error;
  if (std::filesystem::is_regular_file(path_, error)) std::filesystem::remove(path_, error);
}

void OutputFile::write(const void* data, std::size_t bytes) {
  if (bytes > 0 && std::fwrite(data, 1, bytes, file_) != bytes)
    fail("{}: cannot write it: {}", path_, std::strerror(errno));
}

void OutputFile::close() {
  if (std::fflush(file_) != 0) fail("{}: cannot write it: {}", path_, std::strerror(errno));
  if (std::fclose(std::exchange(file_, nullptr)) != 0)
    fail("{}: cannot write it: {}", path_, std::strerror(errno));
}

}  // namespace rf
