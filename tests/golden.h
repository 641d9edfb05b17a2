// Where golden data lies: the complete set when it is at hand, else the small part kept in tests/golden.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace rf::test {

// The folder tests/, elsewhere when a test program was carried to another machine.
inline std::string tests_folder() {
  const char* given = std::getenv("ROCMFORGE_TEST_FILES");
  return given != nullptr ? given : RF_TESTS_DIR;
}

// Folders with golden data, the complete set first.
inline std::vector<std::string> golden_roots() {
  const char* given = std::getenv("ROCMFORGE_TEST_GOLDEN");
  return {given != nullptr ? given : RF_GOLDEN_DIR, tests_folder() + "/golden"};
}

// Path of `relative` (for example "arch/llama/model.gguf"), or "" when neither place has it.
inline std::string golden(const std::string& relative) {
  for (const std::string& root : golden_roots())
    if (std::filesystem::exists(root + "/" + relative)) return root + "/" + relative;
  return "";
}

}  // namespace rf::test
