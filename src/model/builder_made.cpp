// Tensors that are made at load out of stored ones.
#include <cstring>
#include <memory>
#include <utility>

#include "base/error.h"
#include "model/builder.h"
#include "tensor/decode.h"

namespace rf {

const Tensor* Builder::find(const std::string& name) const {
  const auto made = made_.find(name);
  return made != made_.end() ? &made->second : file_.find(name);
}

const Tensor& Builder::tensor_of(const std::string& name) const {
  const auto made = made_.find(name);
  return made != made_.end() ? made->second : file_.tensor(name);
}

// Of a matrix that others are made of, a factor (NAME.scale) would be lost.
void Builder::refuse_factors(const std::string& name) const {
  const std::string factors = name.substr(0, name.rfind('.')) + ".scale";
  if (find(factors) != nullptr)
    fail("{}: tensor '{}': not supported beside '{}'", file_.path(), factors, name);
}

std::vector<float> Builder::decoded(const std::string& name) const {
  refuse_factors(name);
  const Tensor& stored = tensor_of(name);
  if (!holds_weights(stored.type))
    fail("{}: tensor '{}' has type {}, which does not hold weights", file_.path(), name,
         type_info(stored.type).name);
  std::vector<float> numbers(static_cast<std::size_t>(stored.columns() * stored.rows()));
  for (std::int64_t r = 0; r < stored.rows(); ++r)
    decode_row(stored.type, stored.row(r), stored.columns(), numbers.data() + r * stored.columns());
  return numbers;
}

void Builder::make(const std::string& name, Tensor view, std::vector<std::byte> numbers) {
  if (!numbers.empty()) {
    program_.made.push_back(std::make_shared<const std::vector<std::byte>>(std::move(numbers)));
    view.data = program_.made.back()->data();
    view.mapped = false;
  }
  made_[name] = view;
}

void Builder::make_numbers(const std::string& name, std::span<const float> numbers,
                           std::array<std::int64_t, 4> shape) {
  const auto bytes = std::as_bytes(numbers);
  make(name, {.shape = shape, .row_bytes = static_cast<std::size_t>(shape[0]) * sizeof(float)},
       {bytes.begin(), bytes.end()});
}

void Builder::make_rows(const std::string& name, const std::string& from,
                        std::span<const std::int64_t> rows) {
  refuse_factors(from);
  Tensor view = tensor_of(from);
  std::vector<std::byte> numbers(rows.size() * view.row_bytes);
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::memcpy(numbers.data() + i * view.row_bytes, view.row(rows[i]), view.row_bytes);
  view.shape = {view.columns(), static_cast<std::int64_t>(rows.size()), 1, 1};
  view.apart = 0;
  make(name, view, std::move(numbers));
}

}  // namespace rf
