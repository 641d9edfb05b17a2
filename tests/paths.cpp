// Compiled by itself, so that no other object depends on where the checkout lies.
#include "golden.h"

namespace rf::test {

const char* const built_tests_folder = RF_TESTS_DIR;
const char* const built_golden_folder = RF_GOLDEN_DIR;

}  // namespace rf::test
