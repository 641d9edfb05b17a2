#include "app/model_files.h"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "base/error.h"

namespace rf {

std::vector<std::string> model_files(const std::string& folder) {
  if (!std::filesystem::is_directory(folder)) fail("{}: is not a folder with model files", folder);
  std::vector<std::string> files;
  constexpr std::string_view first = "-00001-of-";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           folder, std::filesystem::directory_options::skip_permission_denied)) {
    const std::string name = entry.path().filename();
    if (!name.ends_with(".gguf") || !entry.is_regular_file()) continue;
    const std::size_t of = name.rfind("-of-");
    if (of != std::string::npos && of >= 6 && name.size() == of + 14 && name.substr(of - 6, 10) != first)
      continue;
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace rf
