#include "app/argument.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace rf {
namespace {

using Ids = std::vector<std::int32_t>;

TEST(Argument, TokensAreSeparatedByCommasOrSpaces) {
  EXPECT_EQ(parse_tokens("1,2,3"), (Ids{1, 2, 3}));
  EXPECT_EQ(parse_tokens(" 1 , 22 3\n"), (Ids{1, 22, 3}));
  EXPECT_EQ(parse_tokens("2147483647"), (Ids{2147483647}));
  EXPECT_EQ(parse_tokens(""), Ids{});
  EXPECT_EQ(parse_tokens(" "), Ids{});
}

TEST(Argument, WrongTokensAreErrors) {
  for (const char* text : {"a", "1,", ",1", "1,,2", "-1", "1;2", "1.5", "2147483648", "1,x"})
    EXPECT_THROW(parse_tokens(text), Error) << text;
}

TEST(Argument, LogitBias) {
  EXPECT_EQ(parse_logit_bias("17=-2.5"), (std::pair<std::int32_t, float>(17, -2.5f)));
  EXPECT_EQ(parse_logit_bias("0=-inf").second, -INFINITY);
  for (const char* text : {"", "17", "17=", "=1", "x=1", "-1=1", "17=1x", "17=nan", "1 7=1"})
    EXPECT_THROW(parse_logit_bias(text), Error) << text;
}

TEST(Argument, Seeds) {
  EXPECT_EQ(parse_seed("-1"), std::nullopt);
  EXPECT_EQ(parse_seed("0"), 0u);
  EXPECT_EQ(parse_seed("18446744073709551615"), ~std::uint64_t{0});
  EXPECT_EQ(parse_seed("-2"), ~std::uint64_t{1});
  for (const char* text : {"", "x", "1.5", "1e3", " 1", "1x", "18446744073709551616", "-9223372036854775809"})
    EXPECT_THROW(parse_seed(text), Error) << text;
}

TEST(Argument, DeviceNames) {
  for (const char* name : {"auto", "cpu", "reference", "gpu", "gpu:0", "gpu:12", "sim"})
    EXPECT_TRUE(is_device_name(name)) << name;
  for (const char* name : {"", "gpu:", "gpu:x", "gpu0", "CPU", "cuda"})
    EXPECT_FALSE(is_device_name(name)) << name;
}

}  // namespace
}  // namespace rf
