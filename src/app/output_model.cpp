#include "app/output_model.h"

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

void copy_metadata(const Gguf& file, GgufWriter& out) {
  for (const std::string_view key : file.keys())
    if (!key.starts_with("split.")) out.copy(key, file.metadata().at(key));
}

}  // namespace rf
