#include "app/model_summary.h"

#include <algorithm>
#include <map>

#include "model/mix.h"
#include "tensor/type.h"

namespace rf {
namespace {

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
  const Mix* stated = find_mix(file.get<std::uint32_t>("general.file_type", 0xffff));
  // Some writers leave a file type that the tensors do not bear out; a mix is named after its commonest type.
  return stated != nullptr && stated->name.starts_with(type) ? std::string(stated->name) : type;
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
