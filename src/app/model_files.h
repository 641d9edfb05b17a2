// The model files in a folder.
#pragma once
#include <string>
#include <vector>

namespace rf {

// Below `folder`, sorted; of split models the first part only. Throws Error where it is no folder.
std::vector<std::string> model_files(const std::string& folder);

}  // namespace rf
