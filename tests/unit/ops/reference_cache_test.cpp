// What a cache of each type gives back.
#include "ops/reference_cache.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace rf {
namespace {

std::vector<float> rounded(KvType type, std::vector<float> values) {
  round_to(type, values.data(), static_cast<int>(values.size()));
  return values;
}

TEST(KvTypes, Names) {
  for (const KvType type : {KvType::f32, KvType::f16, KvType::q8_0, KvType::q4_0})
    EXPECT_EQ(kv_by_name(kv_name(type)), type);
  try {
    kv_by_name("q5_0");
    FAIL() << "q5_0 is known";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("f32, f16, q8_0 or q4_0"), std::string::npos);
  }
}

TEST(KvTypes, Floats) {
  const std::vector<float> values{1, 1 + 0x1p-11f, -3.14159f, 0};
  EXPECT_EQ(rounded(KvType::f32, values), values);
  EXPECT_EQ(rounded(KvType::f16, values), (std::vector<float>{1, 1, -3.140625f, 0}));
}

// d = 2^-7 * 127 / 127: every code is a multiple of 2^-7.
TEST(KvTypes, Q8_0) {
  std::vector<float> values(40, 0.f);
  values[0] = -127 * 0x1p-7f;
  values[1] = 10.4f * 0x1p-7f;
  values[2] = -10.6f * 0x1p-7f;
  values[32] = 127;  // a block of its own, of 8
  values[33] = 0.6f;
  const std::vector<float> got = rounded(KvType::q8_0, values);
  EXPECT_EQ(got[0], -127 * 0x1p-7f);
  EXPECT_EQ(got[1], 10 * 0x1p-7f);
  EXPECT_EQ(got[2], -11 * 0x1p-7f);
  EXPECT_EQ(got[3], 0);
  EXPECT_EQ(got[32], 127);
  EXPECT_EQ(got[33], 1);
}

// The value of largest magnitude gets code 0, which stands for -8 d: here d = -1.
TEST(KvTypes, Q4_0) {
  std::vector<float> values(32, 0.f);
  values[0] = 8;
  values[1] = -8;  // would be code 16
  values[2] = 3.4f;
  const std::vector<float> got = rounded(KvType::q4_0, values);
  EXPECT_EQ(got[0], 8);
  EXPECT_EQ(got[1], -7);
  EXPECT_EQ(got[2], 3);
  EXPECT_EQ(got[3], 0);
  EXPECT_EQ(rounded(KvType::q4_0, std::vector<float>(32, 0.f)), std::vector<float>(32, 0.f));
}

TEST(ReferenceCache, PositionsGoThroughThePageTable) {
  const Cache cache{.layer = 0, .kv_heads = 2, .key_dim = 1, .value_dim = 1};
  ReferenceCache pages(cache, {.batch = {}, .kv = KvType::f32, .page_tokens = 2, .cache_pages = 3});
  const std::int32_t table[] = {2, 0};
  for (int p = 0; p < 4; ++p) {
    const auto x = static_cast<float>(p);
    const float keys[] = {x, x + 0.25f}, values[] = {x + 0.5f, x + 0.75f};
    pages.store(table, p, keys, values);
  }
  for (int p = 0; p < 4; ++p)
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(pages.at(table, p)[i], static_cast<float>(p) + 0.25f * static_cast<float>(i));
  EXPECT_EQ(pages.page(2)[0], 0);
  EXPECT_EQ(pages.page(0)[0], 2);
  EXPECT_EQ(pages.page(1)[0], 0);
  EXPECT_EQ(pages.page_floats(), 8u);
}

}  // namespace
}  // namespace rf
