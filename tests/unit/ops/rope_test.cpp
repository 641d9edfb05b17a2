#include "ops/rope.h"

#include <gtest/gtest.h>

namespace rf {
namespace {

void expect_near(const std::vector<float>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-6 * expected[i]) << i;
}

TEST(Rope, PlainFrequencies) {
  expect_near(rope_frequencies({.dims = 8}, nullptr), {1, 0.1, 0.01, 0.001});
  EXPECT_TRUE(rope_frequencies({.dims = 0}, nullptr).empty());
}

TEST(Rope, ScaleAndFactors) {
  const float factors[4] = {1, 2, 4, 8};
  expect_near(rope_frequencies({.dims = 8, .scale = 0.5f}, factors), {0.5, 0.025, 0.00125, 0.0000625});
}

// Worked out from the paper's formulas apart from this code: 16 dims, base 10000.
TEST(Rope, Yarn) {
  expect_near(rope_frequencies({.dims = 16, .yarn_factor = 4, .yarn_original = 2048}, nullptr),
              {1, 0.31622776601683794, 0.1, 0.02569350598886808, 0.00625, 0.001383496476323666, 0.00025,
               7.905694150420948e-05});
  // A short original context: the ramp starts at the first pair.
  expect_near(rope_frequencies({.dims = 16, .yarn_factor = 8, .yarn_original = 128}, nullptr),
              {1, 0.22399466759526024, 0.04166666666666667, 0.003952847075210474, 0.00125,
               0.0003952847075210474, 0.000125, 3.952847075210474e-05});
}

}  // namespace
}  // namespace rf
