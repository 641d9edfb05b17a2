// The encoder against the recorded errors of ggml's own quantisers, and what must hold of any data.
#include "tensor/encode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "golden.h"
#include "random_data.h"
#include "tensor/decode.h"

namespace rf {
namespace {

template <class T>
std::vector<T> read(const std::string& relative) {
  std::ifstream in(test::golden("quant/" + relative), std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

// The types that can be written, floats and those of a fixed rule among them.
std::vector<Type> written() {
  std::vector<Type> types;
  for (std::uint32_t id = 0; id < 256; ++id)
    if (const TypeInfo* info = find_type(id); info != nullptr && can_encode(info->type))
      types.push_back(info->type);
  return types;
}

std::vector<std::byte> encoded(Type type, std::int64_t columns, std::span<const float> x,
                               std::span<const float> importance = {}) {
  const Encoder encoder(type, columns, importance);
  const std::size_t n = static_cast<std::size_t>(columns), row = row_bytes(type, columns);
  std::vector<std::byte> bytes(x.size() / n * row);
  for (std::size_t r = 0; r < x.size() / n; ++r) encoder.encode(x.data() + r * n, bytes.data() + r * row);
  return bytes;
}

// There and back, one row.
std::vector<float> stored(Type type, const std::vector<float>& x, std::span<const float> importance = {}) {
  const auto bytes = encoded(type, static_cast<std::int64_t>(x.size()), x, importance);
  std::vector<float> back(x.size());
  decode_row(type, bytes.data(), static_cast<std::int64_t>(x.size()), back.data());
  return back;
}

double largest(const std::vector<float>& x) {
  double most = 0;
  for (const float value : x) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

// Root of the mean of squared differences, each counting by its column's weight.
double rmse(std::span<const float> x, std::span<const float> back, std::span<const float> weights = {}) {
  double sum = 0, total = 0;
  for (std::size_t k = 0; k < x.size(); ++k) {
    const double weight = weights.empty() ? 1 : static_cast<double>(weights[k % weights.size()]);
    const double away = static_cast<double>(back[k]) - static_cast<double>(x[k]);
    sum += weight * away * away;
    total += weight;
  }
  return std::sqrt(sum / total);
}

// Both errors of a recorded tensor, over those that ggml's quantiser leaves.
struct Ratios {
  double plain, weighted;
};
Ratios against(const nlohmann::json& bar, Type type, std::int64_t columns, const std::vector<float>& x,
               std::span<const float> importance, std::span<const float> weights) {
  const auto bytes = encoded(type, columns, x, importance);
  std::vector<float> back(x.size());
  decode_row(type, bytes.data(), static_cast<std::int64_t>(x.size()), back.data());
  return {rmse(x, back) / bar["rmse"].get<double>(),
          rmse(x, back, weights) / bar["weighted_rmse"].get<double>()};
}

class Recorded : public testing::Test {
 protected:
  void SetUp() override {
    facts_ = nlohmann::json::parse(std::ifstream(test::golden("quant/index.json")))["quantize"];
    importance_ = read<float>(facts_["imatrix"]);
    columns_ = facts_["row_length"];
    if (importance_.empty()) GTEST_SKIP() << "skip: the recorded tensors are not at hand";
  }
  nlohmann::json facts_;
  std::vector<float> importance_;
  std::int64_t columns_ = 0;
};

TEST_F(Recorded, ErrorsAreWithinTheBars) {
  constexpr double allowed = 1.02;
  std::size_t types = 0;
  for (const auto& bar : facts_["bars"]) {
    const Type type = find_type(bar["ggml_id"])->type;
    if (!can_encode(type)) continue;
    ++types;
    for (const std::string tensor : {"gaussian", "outlier"}) {
      SCOPED_TRACE(bar["type"].get<std::string>() + " " + tensor);
      const auto x = read<float>(facts_["tensors"][tensor]);
      const Ratios alike = against(bar[tensor]["no_imatrix"], type, columns_, x, {}, importance_);
      const Ratios weighted =
          against(bar[tensor]["with_imatrix"], type, columns_, x, importance_, importance_);
      EXPECT_LE(alike.plain, allowed);
      EXPECT_LE(weighted.plain, allowed);
      EXPECT_LE(weighted.weighted, allowed);
      RecordProperty(bar["type"].get<std::string>() + "_" + tensor,
                     fmt::format("{:.3f} {:.3f} {:.3f}", alike.plain, weighted.plain, weighted.weighted));
    }
  }
  EXPECT_EQ(types + 1, written().size());  // F32 has no bar
}

TEST_F(Recorded, FormatsOfAFixedRuleGiveTheRecordedBytes) {
  int files = 0;
  for (const auto& bar : facts_["bars"]) {
    const Type type = find_type(bar["ggml_id"])->type;
    if (!can_encode(type) || bar["gaussian"].value("imatrix_changes_bytes", true)) continue;
    for (const std::string tensor : {"gaussian", "outlier"}) {
      const auto x = read<float>(facts_["tensors"][tensor]);
      const auto expected = read<std::byte>(bar[tensor]["no_imatrix"]["bytes"]);
      EXPECT_EQ(encoded(type, columns_, x), expected) << bar["type"] << " " << tensor;
      EXPECT_EQ(encoded(type, columns_, x, importance_), expected) << bar["type"] << " " << tensor;
      ++files;
    }
  }
  EXPECT_EQ(files, 12);
}

// Of a row's largest value: the most that rounding to the nearest of a format's steps leaves of it, where all
// values are alike or follow a bell.
double step_of(Type type) {
  switch (type) {
    case Type::f32:
      return 0;
    case Type::f16:
    case Type::bf16:
      return 0x1p-8;
    case Type::tq1_0:
    case Type::tq2_0:
      return 1;
    case Type::q2_k:
      return 0.75;
    case Type::q3_k:
    case Type::mxfp4:
      return 0.4;
    default:
      return 0.25;
  }
}

TEST(Encode, ErrorsAreWithinTheFormatsSteps) {
  test::Random random("encode");
  for (const Type type : written()) {
    SCOPED_TRACE(type_info(type).name);
    for (int i = 0; i < 20; ++i) {
      std::vector<float> x = random.gauss(512);
      const float size = std::ldexp(1.0f, random.integer(-10, 10));
      for (float& value : x) value *= size;
      const std::vector<float> back = stored(type, x);
      for (std::size_t k = 0; k < x.size(); ++k)
        EXPECT_LE(std::abs(static_cast<double>(back[k] - x[k])), step_of(type) * largest(x)) << k;
    }
  }
}

TEST(Encode, WhatAFormatCanHoldIsKept) {
  test::Random random("constant");
  for (const Type type : written()) {
    SCOPED_TRACE(type_info(type).name);
    EXPECT_EQ(largest(stored(type, std::vector<float>(512, 0.0f))), 0.0);
    EXPECT_EQ(largest(stored(type, std::vector<float>(512, -0.0f))), 0.0);
    for (const float value : {1.0f, -1.0f, 0.37f, -123.0f}) {
      const std::vector<float> x(512, value), back = stored(type, x);
      // MXFP4 cuts off what lies between 6 and 8 times a power of two; other scales and mins are f16.
      const double allowed = type == Type::mxfp4 ? 0.25 : type == Type::f32 ? 0 : 0.012;
      EXPECT_LE(rmse(x, back), allowed * static_cast<double>(std::abs(value))) << value;
    }
    // What was stored once is stored again as it is, up to what scales are rounded to.
    const std::vector<float> x = random.gauss(512), once = stored(type, x), twice = stored(type, once);
    EXPECT_LE(rmse(once, twice), 0.8 * rmse(x, once) + 1e-3 * largest(x));
  }
}

TEST(Encode, TinyAndHugeValuesDoNoHarm) {
  test::Random random("extremes");
  for (const Type type : written()) {
    SCOPED_TRACE(type_info(type).name);
    for (const int exponent : {-149, -140, -60, -30, -26, -24, -20}) {
      std::vector<float> x = random.gauss(512);
      for (float& value : x) value = std::ldexp(value, exponent);
      const std::vector<float> back = stored(type, x);
      for (const float value : back) ASSERT_TRUE(std::isfinite(value)) << exponent;
      EXPECT_LE(largest(back), 2 * largest(x) + 0x1p-24) << exponent;
    }
    // One value beyond f16's scales: not finite, or near it, but never something else in silence.
    for (const float huge : {1e6f, 1e9f, 1e30f, 3e38f}) {
      std::vector<float> x = random.gauss(512);
      x[77] = huge;
      const std::vector<float> back = stored(type, x);
      const bool finite = std::all_of(back.begin(), back.end(), [](float v) { return std::isfinite(v); });
      const double away = std::abs(static_cast<double>(back[77]) - static_cast<double>(huge));
      EXPECT_TRUE(!finite || away <= 0.34 * static_cast<double>(huge)) << huge << " became " << back[77];
    }
  }
}

// Powers of two only move exponents, while an f16 has all its digits.
TEST(Encode, FollowsPowersOfTwo) {
  test::Random random("powers");
  for (const Type type : written()) {
    std::vector<float> x = random.gauss(1024);
    for (float& value : x)
      if (std::abs(value) < 0x1p-6f) value = 0x1p-6f;
    std::vector<float> larger = x;
    for (float& value : larger) value *= 64;
    std::vector<float> back = stored(type, x);
    for (float& value : back) value *= 64;
    EXPECT_EQ(back, stored(type, larger)) << type_info(type).name;
  }
}

TEST(Encode, ImportanceLowersTheErrorWhereItMatters) {
  test::Random random("importance");
  for (const Type type : {Type::q4_0, Type::q4_1, Type::q5_0, Type::q5_1, Type::q2_k, Type::q3_k, Type::q4_k,
                          Type::q5_k, Type::q6_k, Type::iq4_nl, Type::iq4_xs}) {
    SCOPED_TRACE(type_info(type).name);
    const std::vector<float> x = random.gauss(4096);
    std::vector<float> importance(4096);
    for (float& value : importance) value = std::exp(2 * random.gauss());
    const std::vector<float> alike = stored(type, x), weighted = stored(type, x, importance);
    EXPECT_LT(rmse(x, weighted, importance), 0.97 * rmse(x, alike, importance));
    // Only its proportions count, and where there is none all columns are alike.
    std::vector<float> scaled = importance;
    for (float& value : scaled) value *= 1024;
    EXPECT_EQ(stored(type, x, scaled), weighted);
    EXPECT_EQ(stored(type, x, std::vector<float>(4096, 0.0f)), alike);
    EXPECT_EQ(stored(type, x, std::vector<float>(4096, 7.0f)), alike);
    std::vector<float> half(4096, 0.0f);
    for (std::size_t k = 0; k < 2048; ++k) half[k] = importance[k];
    EXPECT_LE(rmse(std::span(x).last(2048), std::span(std::as_const(weighted)).last(2048)), 0.7);
  }
}

TEST(Encode, TypesThatCannotBeWrittenAreRefused) {
  for (const Type type : {Type::iq2_xxs, Type::q8_k, Type::i32, Type::f64}) {
    EXPECT_FALSE(can_encode(type));
    try {
      Encoder(type, 256);
      FAIL();
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(type_info(type).name), std::string::npos);
      EXPECT_NE(std::string(error.what()).find("Q4_K"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace rf
