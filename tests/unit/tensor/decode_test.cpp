// Every format's decoding against recorded blocks and values.
#include "tensor/decode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/half.h"
#include "golden.h"

namespace rf {
namespace {

std::vector<char> read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Decode, EqualsRecordedValuesBitForBit) {
  const std::string index = test::golden("quant/index.json");
  ASSERT_FALSE(index.empty());
  int formats = 0;
  const auto recorded = nlohmann::json::parse(std::ifstream(index));
  for (const auto& entry : recorded["types"]) {
    const TypeInfo* info = find_type(entry["ggml_id"]);
    ASSERT_NE(info, nullptr) << entry["type"];
    EXPECT_EQ(info->block_elements, entry["block_elements"]) << info->name;
    EXPECT_EQ(info->block_bytes, entry["block_bytes"]) << info->name;
    const auto data = read(test::golden("quant/" + entry["data"].get<std::string>()));
    const auto want = read(test::golden("quant/" + entry["expected_f32"].get<std::string>()));
    const std::size_t n = entry["n_elements"];
    ASSERT_EQ(want.size(), 4 * n);
    std::vector<float> got(n, -77.0f);
    decode_row(info->type, reinterpret_cast<const std::byte*>(data.data()), static_cast<std::int64_t>(n),
               got.data());
    const auto* expected = reinterpret_cast<const float*>(want.data());
    for (std::size_t i = 0; i < n; ++i) {
      if (std::isnan(expected[i]) && std::isnan(got[i])) continue;
      if (expected[i] == 0.0f && got[i] == 0.0f) continue;
      ASSERT_EQ(bits_of_float(got[i]), bits_of_float(expected[i])) << info->name << " element " << i;
    }
    ++formats;
  }
  EXPECT_GE(formats, 29);
}

template <class Number>
void expect_decoded(Type type, const std::vector<Number>& numbers, const std::vector<float>& expected) {
  std::vector<float> got(numbers.size());
  decode_row(type, reinterpret_cast<const std::byte*>(numbers.data()), static_cast<std::int64_t>(got.size()),
             got.data());
  EXPECT_EQ(got, expected) << type_info(type).name;
}

TEST(Decode, NumbersAreRoundedToTheNearestF32) {
  expect_decoded<float>(Type::f32, {1.5f, -0x1p-149f}, {1.5f, -0x1p-149f});
  expect_decoded<double>(Type::f64, {0.1, -1e300, 0x1p-149, 1 + 0x1p-24}, {0.1f, -HUGE_VALF, 0x1p-149f, 1.f});
  expect_decoded<std::int8_t>(Type::i8, {-128, 127}, {-128, 127});
  expect_decoded<std::int16_t>(Type::i16, {-32768, 12345}, {-32768, 12345});
  expect_decoded<std::int32_t>(Type::i32, {-1, 16777217, 16777219}, {-1, 16777216, 16777220});
  expect_decoded<std::int64_t>(Type::i64, {INT64_MIN, 7}, {-0x1p63f, 7});
}

TEST(Decode, EveryTypeOfTheEnumerationIsThere) {
  int types = 0;
  for (std::uint32_t id = 0; id < 256; ++id)
    if (const TypeInfo* info = find_type(id); info != nullptr) {
      const std::vector<std::byte> zeros(info->block_bytes);
      std::vector<float> values(info->block_elements);
      EXPECT_NO_THROW(decode_row(info->type, zeros.data(), info->block_elements, values.data()))
          << info->name;
      ++types;
    }
  EXPECT_EQ(types, 35);
}

TEST(Half, RoundTripsEveryValueAndRoundsToNearestEven) {
  for (std::uint32_t h = 0; h < 0x10000; ++h) {
    const auto bits = static_cast<std::uint16_t>(h);
    const float value = f16_to_f32(bits);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(value))));
      continue;
    }
    ASSERT_EQ(f32_to_f16(value), bits);
    if ((h & 0x7fff) >= 0x7bff) continue;
    const auto next = static_cast<std::uint16_t>(h + 1);
    const float middle = (value + f16_to_f32(next)) / 2;  // exact in f32
    EXPECT_EQ(f32_to_f16(middle), h % 2 == 0 ? bits : next);
  }
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(65519.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(1e-10f), 0);
}

}  // namespace
}  // namespace rf
