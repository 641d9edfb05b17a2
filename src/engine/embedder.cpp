#include "engine/embedder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "ops/reference_math.h"

namespace rf {
namespace {

oracle::Matrix apply(const Program& program, const Head& head, oracle::Matrix x) {
  for (const HeadLayer& layer : head.layers) {
    if (layer.linear.weight != none) x = oracle::product(program, layer.linear, x);
    for (double& value : x.values) value = oracle::activate(layer.activation, value);
    for (std::size_t r = 0; r < x.rows(); ++r) oracle::normalise(program, layer.norm, x.row(r), x.width);
  }
  if (!head.softmax) return x;
  for (std::size_t r = 0; r < x.rows(); ++r) {
    std::vector<double> scores(x.row(r), x.row(r) + x.width);
    oracle::softmax(scores, -INFINITY);
    std::ranges::copy(scores, x.row(r));
  }
  return x;
}

void to_unit_length(double* row, std::size_t n) {
  const double length = std::sqrt(std::inner_product(row, row + n, row, 0.0));
  if (length > 0)
    for (std::size_t k = 0; k < n; ++k) row[k] /= length;
}

}  // namespace

Pooling pooling_by_name(std::string_view name) {
  constexpr std::array names{"none", "mean", "cls", "last", "rank"};  // in Pooling's order
  const auto at = std::ranges::find(names, name);
  if (at == names.end()) fail("pooling: expected none, mean, cls, last or rank, found {}", name);
  return static_cast<Pooling>(at - names.begin());
}

Embedder::Embedder(const Program& program, Pooling pooling, bool normalise)
    : program_(program),
      pooling_(pooling),
      rows_(pooling == Pooling::rank ? program.embedding->ranked : pooling),
      normalise_(normalise && pooling != Pooling::rank),
      hidden_(static_cast<std::size_t>(program.slots[static_cast<std::size_t>(program.logits)].width)) {
  if (pooling == Pooling::rank && program.embedding->classifier.layers.empty())
    fail("pooling: expected none, mean, cls or last, found rank: this model has no classifier");
}

void Embedder::add(int first, std::span<const float> rows) {
  if (first == 0) {
    sum_.clear();
    count_ = 0;
  }
  const std::size_t count = rows.size() / hidden_;
  if (rows_ == Pooling::off) {
    sum_.insert(sum_.end(), rows.begin(), rows.end());
  } else if (rows_ == Pooling::mean) {
    sum_.resize(hidden_);
    for (std::size_t i = 0; i < rows.size(); ++i) sum_[i % hidden_] += static_cast<double>(rows[i]);
  } else if (rows_ == Pooling::last || count_ == 0) {
    const std::span<const float> row = rows_ == Pooling::last ? rows.last(hidden_) : rows.first(hidden_);
    sum_.assign(row.begin(), row.end());
  }
  count_ += count;
}

std::vector<float> Embedder::result() const {
  oracle::Matrix x(sum_.size() / hidden_, static_cast<std::int64_t>(hidden_));
  x.values = sum_;
  if (rows_ == Pooling::mean)
    for (double& value : x.values) value /= static_cast<double>(count_);
  const Embedding& embedding = *program_.embedding;
  x = apply(program_, pooling_ == Pooling::rank ? embedding.classifier : embedding.projection, std::move(x));
  if (normalise_)
    for (std::size_t r = 0; r < x.rows(); ++r) to_unit_length(x.row(r), x.width);
  return {x.values.begin(), x.values.end()};
}

}  // namespace rf
