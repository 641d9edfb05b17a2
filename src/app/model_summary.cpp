#include "app/model_summary.h"

#include <algorithm>
#include <map>

#include "tensor/type.h"

namespace rf {
namespace {

// general.file_type, ggml's enumeration of how a file as a whole was quantised.
const std::map<std::uint32_t, std::string_view> file_types = {
    {0, "F32"},     {1, "F16"},     {2, "Q4_0"},     {3, "Q4_1"},    {7, "Q8_0"},     {8, "Q5_0"},
    {9, "Q5_1"},    {10, "Q2_K"},   {11, "Q3_K_S"},  {12, "Q3_K_M"}, {13, "Q3_K_L"},  {14, "Q4_K_S"},
    {15, "Q4_K_M"}, {16, "Q5_K_S"}, {17, "Q5_K_M"},  {18, "Q6_K"},   {19, "IQ2_XXS"}, {20, "IQ2_XS"},
    {21, "Q2_K_S"}, {22, "IQ3_XS"}, {23, "IQ3_XXS"}, {24, "IQ1_S"},  {25, "IQ4_NL"},  {26, "IQ3_S"},
    {27, "IQ3_M"},  {28, "IQ2_S"},  {29, "IQ2_M"},   {30, "IQ4_XS"}, {31, "IQ1_M"},   {32, "BF16"},
    {36, "TQ1_0"},  {37, "TQ2_0"},  {38, "MXFP4"},
};

std::uint64_t elements(const Tensor& tensor) {
  return static_cast<std::uint64_t>(tensor.columns()) * static_cast<std::uint64_t>(tensor.rows());
}

std::string quant_of(const Gguf& file) {
  std::map<Type, std::uint64_t> counts;
  for (const auto& [name, tensor] : file.tensors()) counts[tensor.type] += elements(tensor);
  if (counts.empty()) return "-";
  const Type commonest = std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
                           return a.second < b.second;
                         })->first;
  const std::string type(type_info(commonest).name);
  const auto stated = file_types.find(file.get<std::uint32_t>("general.file_type", 0xffff));
  // Some writers leave a file type that the tensors do not bear out; a mix is named after its commonest type.
  return stated != file_types.end() && stated->second.starts_with(type) ? std::string(stated->second) : type;
}

}  // namespace

ModelSummary summarise(const Gguf& file) {
  ModelSummary summary;
  summary.family = file.get<std::string>("general.architecture", "-");
  summary.name = file.get<std::string>("general.name", "");
  summary.quant = quant_of(file);
  summary.bytes = file.file_bytes();
  for (const auto& [name, tensor] : file.tensors()) summary.parameters += elements(tensor);
  const auto key = [&](const char* what, std::int64_t fallback) {
    return file.get<std::int64_t>(summary.family + "." + what, fallback);
  };
  summary.context = key("context_length", 0);
  // Heads may differ from layer to layer and then are an array, whose cache this does not estimate.
  const std::string kv_heads = summary.family + ".attention.head_count_kv";
  const auto kind = file.metadata().find(kv_heads);
  if (kind != file.metadata().end() && kind->second.type == ValueType::array) return summary;
  const std::int64_t heads = key("attention.head_count", 0);
  if (heads <= 0) return summary;
  const std::int64_t head_dim = key("attention.key_length", key("embedding_length", 0) / heads);
  const std::int64_t row =
      key("attention.head_count_kv", heads) * (head_dim + key("attention.value_length", head_dim));
  const auto limited = [](std::int64_t value, std::int64_t most) {
    return static_cast<std::uint64_t>(std::clamp<std::int64_t>(value, 0, most));
  };
  summary.cache_bytes =
      limited(row, 1 << 24) * limited(key("block_count", 0), 1 << 12) * limited(summary.context, 8192) * 2;
  return summary;
}

}  // namespace rf
