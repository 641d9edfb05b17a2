// Where golden data lies: the complete set when it is at hand, else the small part kept in tests/golden.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace rf::test {

extern const char* const built_tests_folder;   // of this checkout
extern const char* const built_golden_folder;  // the complete golden data, there or not

// The folder tests/, elsewhere when a test program was carried to another machine.
inline std::string tests_folder() {
  const char* given = std::getenv("ROCMFORGE_TEST_FILES");
  return given != nullptr ? given : built_tests_folder;
}

// Folders with golden data, the complete set first.
inline std::vector<std::string> golden_roots() {
  const char* given = std::getenv("ROCMFORGE_TEST_GOLDEN");
  return {given != nullptr ? given : built_golden_folder, tests_folder() + "/golden"};
}

// Path of `relative` (for example "arch/llama/model.gguf"), or "" when neither place has it.
inline std::string golden(const std::string& relative) {
  for (const std::string& root : golden_roots())
    if (std::filesystem::exists(root + "/" + relative)) return root + "/" + relative;
  return "";
}

}  // namespace rf::test
