#include "app/output_model.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.h"

namespace rf {

void refuse_to_overwrite(const Gguf& file, const std::string& path) {
  for (const std::string& part : file.part_paths()) {
    std::error_code absent;
    if (std::filesystem::equivalent(part, path, absent))
      fail("{}: is the file that is read; write to another one", path);
  }
}

void check_output(const Gguf& file, const std::string& path) {
  refuse_to_overwrite(file, path);
  std::error_code absent;
  const auto there = std::filesystem::status(path, absent);
  if (std::filesystem::exists(there) && !std::filesystem::is_regular_file(there))
    fail("{}: cannot write it: not a regular file", path);
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (::access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) != 0)
    fail("{}: cannot write it: {}", path, std::strerror(errno));
}

void copy_metadata(const Gguf& file, GgufWriter& out) {
  for (const std::string_view key : file.keys())
    if (!key.starts_with("split.")) out.copy(key, file.metadata().at(key));
}

}  // namespace rf
