// Where golden data lies: the complete set when it is at hand, else the small part kept in tests/golden.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace rf::test {

// Folders with golden data, the complete set first.
inline std::vector<std::string> golden_roots() {
  return {std::string(RF_GOLDEN_DIR), std::string(RF_TESTS_DIR) + "/golden"};
}

// Path of `relative` (for example "arch/llama/model.gguf"), or "" when neither place has it.
inline std::string golden(const std::string& relative) {
  for (const std::string& root : golden_roots())
    if (std::filesystem::exists(root + "/" + relative)) return root + "/" + relative;
  return "";
}

}  // namespace rf::test
