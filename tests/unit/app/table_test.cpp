#include "app/table.h"

#include <gtest/gtest.h>

namespace rf {
namespace {

TEST(Table, ColumnsAreAsWideAsTheirWidestCell) {
  EXPECT_EQ(table({{"NAME", "N"}, {"a", "10"}, {"größer", "7"}, {"x"}}),
            "NAME     N\n"
            "a       10\n"
            "größer   7\n"
            "x\n");
}

TEST(Table, LeftColumns) {
  EXPECT_EQ(table({{"a", "bb", "1"}, {"aa", "b", "22"}}, 2), "a   bb   1\naa  b   22\n");
}

TEST(Table, Sizes) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(999), "999 B");
  EXPECT_EQ(size_text(1000), "1.0 kB");
  EXPECT_EQ(size_text(98'400'000), "98.4 MB");
  EXPECT_EQ(size_text(999'990'000), "1.0 GB");
  EXPECT_EQ(size_text(5e15), "5000.0 TB");
}

}  // namespace
}  // namespace rf
