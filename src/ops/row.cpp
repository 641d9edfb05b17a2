#include "ops/row.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/reference_math.h"

namespace rf {
namespace {

using Values = std::vector<double>;

Values normed(const Program& program, const Step& step, const float* x, std::size_t n) {
  Values row(x, x + n);
  oracle::normalise(program, step.norm, row.data(), n);
  return row;
}

Values product(const Program& program, const Linear& linear, const Values& x) {
  oracle::Matrix in(1, static_cast<std::int64_t>(x.size()));
  in.values = x;
  return oracle::product(program, linear, in).values;
}

// W1 tanh(W0 n * scale): how the streams are mixed.
Values coefficients(const Program& program, const Step& step, const float* x, std::size_t n) {
  Values c = product(program, step.linear[0], normed(program, step, x, n));
  for (double& value : c) value = std::tanh(value * static_cast<double>(step.scale));
  return product(program, step.linear[1], c);
}

double magnitude(const float* x, std::size_t n) {
  double sum = 0;
  for (std::size_t k = 0; k < n; ++k) sum += static_cast<double>(x[k]) * static_cast<double>(x[k]);
  return std::sqrt(sum / static_cast<double>(n));
}

// What a stream is multiplied by to be as large as `target`.
double matching(double target, const float* stream, std::size_t n) {
  return target / std::max(magnitude(stream, n), std::sqrt(1e-5));
}

void sparsify(const Step& step, const float* x, std::size_t n, float* out) {
  double mean = 0, squares = 0;
  for (std::size_t k = 0; k < n; ++k) mean += static_cast<double>(x[k]) / static_cast<double>(n);
  for (std::size_t k = 0; k < n; ++k)
    squares += (static_cast<double>(x[k]) - mean) * (static_cast<double>(x[k]) - mean);
  const double cut = mean + static_cast<double>(step.scale) * std::sqrt(squares / static_cast<double>(n));
  for (std::size_t k = 0; k < n; ++k)
    out[k] =
        static_cast<float>(oracle::activate(step.activation, std::max(static_cast<double>(x[k]) - cut, 0.0)));
}

void predict(const Program& program, const Step& step, const RowInputs& in, std::size_t n, float* out) {
  const Values c = coefficients(program, step, in.x, n);
  const auto streams = static_cast<std::size_t>(step.row.streams),
             first = static_cast<std::size_t>(step.row.first), last = first == 0 ? 1 : streams;
  const auto stream = [&](std::size_t j) { return j == 0 ? in.x : in.side + (j - 1) * n; };
  for (std::size_t i = first; i < last; ++i)
    for (std::size_t k = 0; k < n; ++k) {
      double sum = static_cast<double>(stream(i)[k]);
      for (std::size_t j = 0; j < streams; ++j) sum += c[i * streams + j] * static_cast<double>(stream(j)[k]);
      out[(i - first) * n + k] = static_cast<float>(sum);
    }
}

void correct(const Program& program, const Step& step, const RowInputs& in, std::size_t n, float* out) {
  const Values c = coefficients(program, step, in.x, n);
  const auto first = static_cast<std::size_t>(step.row.first),
             last = first == 0 ? std::size_t{1} : static_cast<std::size_t>(step.row.streams);
  const float* scale = oracle::floats(program, step.linear[2].weight);
  for (std::size_t i = first; i < last; ++i)
    for (std::size_t k = 0; k < n; ++k) {
      const double predicted = static_cast<double>(i == 0 ? in.add[k] : in.side[(i - 1) * n + k]);
      double value = predicted + (c[i] + 1) * (static_cast<double>(in.x[k]) - static_cast<double>(in.add[k]));
      if (scale != nullptr) value *= static_cast<double>(scale[k]);
      if (in.mul != nullptr) value += static_cast<double>(in.mul[k]);
      out[(i - first) * n + k] = static_cast<float>(value);
    }
}

void match(const Step& step, const RowInputs& in, std::size_t n, float* out) {
  const double target = magnitude(in.x, n);
  for (std::size_t i = 0; i + 1 < static_cast<std::size_t>(step.row.streams); ++i) {
    const double factor = matching(target, in.side + i * n, n);
    for (std::size_t k = 0; k < n; ++k)
      out[i * n + k] = static_cast<float>(factor * static_cast<double>(in.side[i * n + k]));
  }
}

void merge(const Step& step, const RowInputs& in, std::size_t n, float* out) {
  const double target = magnitude(in.x, n);
  Values sum(in.x, in.x + n);
  for (std::size_t i = 0; i + 1 < static_cast<std::size_t>(step.row.streams); ++i) {
    const double factor = matching(target, in.side + i * n, n);
    for (std::size_t k = 0; k < n; ++k) sum[k] += factor * static_cast<double>(in.side[i * n + k]);
  }
  for (std::size_t k = 0; k < n; ++k) out[k] = static_cast<float>(sum[k] / step.row.streams);
}

}  // namespace

void row_work(const Program& program, const Step& step, const RowInputs& in, float* out) {
  const auto n = static_cast<std::size_t>(program.slots[static_cast<std::size_t>(step.x)].width);
  switch (step.row.kind) {
    case Row::Kind::norm: {
      const Values row = normed(program, step, in.x, n);
      for (std::size_t k = 0; k < n; ++k)
        out[k] = static_cast<float>((row[k] + (in.add == nullptr ? 0.0 : static_cast<double>(in.add[k]))) *
                                    static_cast<double>(step.scale));
      return;
    }
    case Row::Kind::sparsify:
      return sparsify(step, in.x, n, out);
    case Row::Kind::match:
      return match(step, in, n, out);
    case Row::Kind::predict:
      return predict(program, step, in, n, out);
    case Row::Kind::correct:
      return correct(program, step, in, n, out);
    case Row::Kind::merge:
      return merge(step, in, n, out);
    case Row::Kind::gate: {
      const auto gates = static_cast<std::size_t>(program.slots[static_cast<std::size_t>(step.side)].width);
      for (std::size_t k = 0; k < n; ++k)
        out[k] = static_cast<float>(
            static_cast<double>(in.x[k]) *
            oracle::activate(step.activation, static_cast<double>(in.side[k * gates / n])));
      return;
    }
  }
}

}  // namespace rf
