// How the Builder takes tensors and keys out of the file.
#include <cmath>
#include <utility>

#include "base/error.h"
#include "model/archs.h"
#include "tensor/decode.h"

namespace rf {

bool Builder::has_key(std::string_view key) const {
  return file_.has(full(key));
}

void Builder::bad_key(std::string_view key, const std::string& expected) const {
  fail("{}: key '{}': expected {}", file_.path(), full(key), expected);
}

int Builder::size(std::string_view key) const {
  constexpr std::int64_t most = 1 << 20;
  const auto value = file_.get<std::int64_t>(full(key));
  if (value < 1 || value > most) bad_key(key, fmt::format("1 to {}, found {}", most, value));
  return static_cast<int>(value);
}

int Builder::count(std::string_view key) const {
  return file_.get<std::int64_t>(full(key)) == 0 ? 0 : size(key);
}

float Builder::number(std::string_view key, float fallback) const {
  const auto value = file_.get<float>(full(key), fallback);
  if (!std::isfinite(value)) bad_key(key, fmt::format("a finite number, found {}", value));
  return value;
}

float Builder::factor(std::string_view key, float fallback) const {
  const float value = number(key, fallback);
  return value == 0 ? fallback : value;
}

bool Builder::flag(std::string_view key, bool fallback) const {
  return file_.get<bool>(full(key), fallback);
}

std::vector<bool> Builder::flags_of(std::string_view key) const {
  const auto found = file_.metadata().find(full(key));
  if (found == file_.metadata().end()) return {};
  if (found->second.element == ValueType::boolean) return file_.get<std::vector<bool>>(full(key));
  std::vector<bool> flags;
  for (const auto flag : file_.get<std::vector<std::int64_t>>(full(key))) flags.push_back(flag != 0);
  return flags;
}

std::vector<float> Builder::numbers_of(std::string_view key) const {
  return has_key(key) ? file_.get<std::vector<float>>(full(key)) : std::vector<float>();
}

std::vector<float> Builder::layer_numbers(const std::string& key) const {
  const auto found = file_.metadata().find(key);
  const bool list = found != file_.metadata().end() && found->second.type == ValueType::array;
  std::vector<float> numbers =
      list ? file_.get<std::vector<float>>(key) : std::vector(spec_.layers.size(), file_.get<float>(key));
  if (numbers.size() < spec_.layers.size())
    fail("{}: key '{}' has {} numbers, expected one for each of {} layers", file_.path(), key, numbers.size(),
         spec_.layers.size());
  for (const float value : numbers)
    if (!std::isfinite(value))
      fail("{}: key '{}': expected finite numbers, found {}", file_.path(), key, value);
  return numbers;
}

std::string Builder::text(std::string_view key, const std::string& fallback) const {
  return file_.get<std::string>(full(key), fallback);
}

WeightId Builder::take(const std::string& name, Rows part, const Tensor& view) {
  const auto [entry, added] =
      taken_.try_emplace({name, part.first, part.count}, static_cast<WeightId>(program_.weights.size()));
  if (added) program_.weights.push_back({name, view});
  return entry->second;
}

WeightId Builder::weight(const std::string& name, std::int64_t columns, std::int64_t rows, Rows part) {
  Tensor tensor = tensor_of(name);
  if (tensor.columns() != columns || tensor.rows() != rows)
    fail("{}: tensor '{}' has shape [{}, {}], expected [{}, {}]", file_.path(), name, tensor.columns(),
         tensor.rows(), columns, rows);
  if (!holds_weights(tensor.type))
    fail("{}: tensor '{}' has type {}, which does not hold weights", file_.path(), name,
         type_info(tensor.type).name);
  if (part.count > 0) {
    tensor.data = tensor.row(part.first);
    tensor.shape = {columns, part.count, 1, 1};
  }
  return take(name, part, tensor);
}

WeightId Builder::vector(const std::string& name, std::int64_t elements, Rows part) {
  const Tensor& stored = tensor_of(name);
  if (stored.type != Type::f32)
    fail("{}: tensor '{}' has type {}, expected F32", file_.path(), name, type_info(stored.type).name);
  if (part.count == 0) {
    if (stored.columns() * stored.rows() != elements)
      fail("{}: tensor '{}' has {} elements, expected {}", file_.path(), name,
           stored.columns() * stored.rows(), elements);
    return weight(name, stored.columns(), stored.rows());
  }
  if (stored.columns() != elements || stored.rows() != 1)
    fail("{}: tensor '{}' has shape [{}, {}], expected [{}, 1]", file_.path(), name, stored.columns(),
         stored.rows(), elements);
  Tensor tensor = stored;
  tensor.data += part.first * static_cast<std::int64_t>(sizeof(float));
  tensor.shape = {part.count, 1, 1, 1};
  tensor.row_bytes = static_cast<std::size_t>(part.count) * sizeof(float);
  return take(name, part, tensor);
}

// What some writers keep beside a matrix, or beside as many as `count` (BitNet, NVFP4): none where it is
// absent.
WeightId Builder::factors(const std::string& name, std::int64_t count) {
  const Tensor* stored = find(name + ".scale");
  if (stored == nullptr) return none;
  // Beside one matrix it may be something else: weights of a norm before the router in Gemma 4.
  if (count == 1 && stored->columns() * stored->rows() != 1) return none;
  const WeightId id = vector(name + ".scale", count);
  const auto* values = reinterpret_cast<const float*>(stored->data);
  for (std::int64_t i = 0; i < count; ++i)
    if (!std::isfinite(values[i]))
      fail("{}: tensor '{}.scale': element {} is {}, expected a finite number", file_.path(), name, i,
           values[i]);
  return id;
}

Linear Builder::linear(const std::string& name, std::int64_t columns, std::int64_t rows, Rows part) {
  Linear linear{.weight = weight(name + ".weight", columns, rows, part)};
  linear.factors = factors(name, 1);
  if (find(name + ".bias") != nullptr) linear.bias = vector(name + ".bias", rows, part);
  return linear;
}

Linear Builder::matrices(const std::string& name, std::int64_t columns, std::int64_t rows, std::int64_t count,
                         Rows part) {
  const Tensor& tensor = tensor_of(name + ".weight");
  if (count > 1 && (tensor.shape[1] != rows || tensor.shape[2] != count))
    fail("{}: tensor '{}.weight' has shape [{}, {}, {}], expected [{}, {}, {}]", file_.path(), name,
         tensor.shape[0], tensor.shape[1], tensor.shape[2], columns, rows, count);
  if (part.count > 0) {
    if (tensor.columns() != columns)
      fail("{}: tensor '{}.weight' has rows of {}, expected {}", file_.path(), name, tensor.columns(),
           columns);
    Tensor some = tensor;
    some.data = tensor.row(part.first);
    some.shape[1] = part.count;
    some.apart = rows;
    return {.weight = take(name + ".weight", part, some), .bias = none, .factors = factors(name, count)};
  }
  Linear linear{.weight = weight(name + ".weight", columns, rows * count)};
  linear.factors = factors(name, count);
  if (find(name + ".bias") != nullptr) linear.bias = vector(name + ".bias", rows * count);
  return linear;
}

Norm Builder::norm(const std::string& name, std::int64_t elements) {
  Norm norm{.kind = spec_.norm, .eps = spec_.norm_eps};
  if (plain_norms_ && !has(name)) return norm;
  const bool bare = !has(name) && find(name) != nullptr;  // as some files have it
  norm.weight = vector(bare ? name : name + ".weight", elements);
  if (find(name + ".bias") != nullptr) {
    norm.kind = Norm::Kind::layer;  // whatever key its epsilon has: rms norms have no bias
    norm.bias = vector(name + ".bias", elements);
  }
  return norm;
}

Norm Builder::norm_if(const std::string& name, std::int64_t elements, bool always) {
  if (has(name) || find(name) != nullptr) return norm(name, elements);
  return always ? Norm{.kind = spec_.norm, .eps = spec_.norm_eps} : Norm{};
}

WeightId Builder::row_of(const std::string& name, std::int64_t elements, std::int64_t row) {
  const Tensor& tensor = tensor_of(name);
  if (tensor.type != Type::f32)
    fail("{}: tensor '{}' has type {}, expected F32", file_.path(), name, type_info(tensor.type).name);
  if (row >= tensor.rows())
    fail("{}: tensor '{}' has {} rows, expected more than {}", file_.path(), name, tensor.rows(), row);
  return weight(name, elements, tensor.rows(), {row, 1});
}

bool Builder::has_experts() const {
  return file_.get<std::int64_t>(full("expert_count"), 0) != 0;
}

// Weights for one head or for each.
Norm Builder::head_norm(const std::string& name, std::int64_t dim, std::int64_t heads) {
  const Tensor& tensor = tensor_of(name + ".weight");
  return norm(name, tensor.columns() * tensor.rows() == dim ? dim : dim * heads);
}

float Builder::scalar(const std::string& name) {
  const auto* values = reinterpret_cast<const float*>(program_.tensor(vector(name, 1)).data);
  if (!std::isfinite(*values))
    fail("{}: tensor '{}' is {}, expected a finite number", file_.path(), name, *values);
  return *values;
}

// Stretched frequencies that a file brings: one vector for all layers, a layer's own, or one each for
// contexts up to the trained length and beyond it. Windowed layers with a base of their own are not
// stretched.
WeightId Builder::rope_factors(const Layer& layer, int pairs) {
  if (layer->rope.dims == 0 ||
      (layer->window > 0 && (has_key("rope.freq_base_swa") || family_of(file_).window_base > 0)))
    return none;
  const bool beyond = context_ > (has_key("rope.scaling.original_context_length")
                                      ? size("rope.scaling.original_context_length")
                                      : spec_.context);
  const char* by_length = beyond ? "rope_factors_long.weight" : "rope_factors_short.weight";
  for (const std::string& name : {layer["rope_freqs.weight"], std::string("rope_freqs.weight"),
                                  layer[by_length], std::string(by_length)}) {
    if (find(name) == nullptr) continue;
    const int all = layer->rope.dims / 2;
    const WeightId id = vector(name, all, pairs < all ? Rows{0, pairs} : whole);
    const auto* factors = reinterpret_cast<const float*>(program_.tensor(id).data);
    for (int i = 0; i < pairs; ++i)
      if (!std::isfinite(factors[i]) || factors[i] <= 0)
        fail("{}: tensor '{}' has element {} = {}, expected positive numbers", file_.path(), name, i,
             factors[i]);
    return id;
  }
  return none;
}

}  // namespace rf
