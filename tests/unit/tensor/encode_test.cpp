// The encoder against the recorded errors of ggml's own quantisers, and what must hold of any data.
#include "tensor/encode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "golden.h"
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

struct Errors {
  double rmse = 0, weighted = 0;
  std::vector<std::byte> bytes;
};

Errors encode(Type type, const std::vector<float>& x, std::int64_t columns, std::span<const float> importance,
              const std::vector<float>& weights) {
  const Encoder encoder(type, columns, importance);
  const std::size_t n = static_cast<std::size_t>(columns), row = row_bytes(type, columns);
  Errors errors;
  errors.bytes.resize(x.size() / n * row);
  std::vector<float> back(n);
  double plain = 0, weighted = 0, total = 0;
  for (std::size_t r = 0; r < x.size() / n; ++r) {
    encoder.encode(x.data() + r * n, errors.bytes.data() + r * row);
    decode_row(type, errors.bytes.data() + r * row, columns, back.data());
    for (std::size_t k = 0; k < n; ++k) {
      const double d = static_cast<double>(back[k]) - static_cast<double>(x[r * n + k]);
      plain += d * d;
      weighted += static_cast<double>(weights[k]) * d * d;
      total += static_cast<double>(weights[k]);
    }
  }
  errors.rmse = std::sqrt(plain / static_cast<double>(x.size()));
  errors.weighted = std::sqrt(weighted / total);
  return errors;
}

TEST(Encode, ErrorsAreWithinTheRecordedBars) {
  const std::string index = test::golden("quant/index.json");
  const auto recorded = nlohmann::json::parse(std::ifstream(index))["quantize"];
  const auto importance = read<float>(recorded["imatrix"]);
  if (importance.empty()) GTEST_SKIP() << "skip: no recorded tensors";
  const std::int64_t columns = recorded["row_length"];
  constexpr double allowed = 1.02;
  int types = 0;
  for (const auto& bar : recorded["bars"]) {
    const Type type = find_type(bar["ggml_id"])->type;
    if (!can_encode(type)) continue;
    ++types;
    for (const std::string tensor : {"gaussian", "outlier"}) {
      const auto x = read<float>(recorded["tensors"][tensor]);
      const auto& bars = bar[tensor];
      const Errors plain = encode(type, x, columns, {}, importance);
      const Errors weighted = encode(type, x, columns, importance, importance);
      if (std::getenv("RF_SHOW"))
        std::printf("%-7s %-9s plain %.4f  weighted: rmse %.4f weighted %.4f\n",
                    std::string(type_info(type).name).c_str(), tensor.c_str(),
                    plain.rmse / bars["no_imatrix"]["rmse"].get<double>(),
                    weighted.rmse / bars["with_imatrix"]["rmse"].get<double>(),
                    weighted.weighted / bars["with_imatrix"]["weighted_rmse"].get<double>());
      EXPECT_LE(plain.rmse, allowed * bars["no_imatrix"]["rmse"].get<double>()) << bar["type"] << tensor;
      EXPECT_LE(weighted.weighted, allowed * bars["with_imatrix"]["weighted_rmse"].get<double>())
          << bar["type"] << tensor;
    }
  }
  EXPECT_GE(types, 17);
}

}  // namespace
}  // namespace rf
