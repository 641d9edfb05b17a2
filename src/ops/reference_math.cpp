#include "ops/reference_math.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "tensor/decode.h"

namespace rf::oracle {

const float* floats(const Program& program, WeightId id) {
  return id == none ? nullptr : reinterpret_cast<const float*>(program.tensor(id).data);
}

void normalise(const Program& program, const Norm& norm, double* x, std::size_t n, std::size_t skip) {
  if (norm.kind == Norm::Kind::off) return;
  const float* weight = floats(program, norm.weight);
  const float* bias = floats(program, norm.bias);
  const auto count = static_cast<double>(n);
  const double mean = norm.kind == Norm::Kind::layer ? std::accumulate(x, x + n, 0.0) / count : 0;
  double squares = 0;
  for (std::size_t k = 0; k < n; ++k) squares += (x[k] - mean) * (x[k] - mean);
  const double scale = 1 / std::sqrt(squares / count + norm.eps);
  for (std::size_t k = 0; k < n; ++k) {
    x[k] = (x[k] - mean) * scale;
    if (weight != nullptr) x[k] *= weight[skip + k];
    if (bias != nullptr) x[k] += bias[skip + k];
  }
}

Matrix product(const Program& program, const Linear& linear, const Matrix& in, std::int64_t which,
               std::int64_t count) {
  const Tensor& tensor = program.tensor(linear.weight);
  const std::int64_t rows = tensor.rows() / count, first = which * rows;
  const float *bias = floats(program, linear.bias), *factors = floats(program, linear.factors);
  const double factor = factors == nullptr ? 1.0 : factors[which];
  Matrix out(in.rows(), rows);
  std::vector<float> weights(in.width);
  for (std::int64_t o = 0; o < rows; ++o) {
    decode_row(tensor.type, tensor.row(first + o), tensor.columns(), weights.data());
    for (std::size_t r = 0; r < in.rows(); ++r) {
      const double start = bias == nullptr ? 0.0 : bias[first + o];
      out.row(r)[o] = factor * std::inner_product(weights.begin(), weights.end(), in.row(r), 0.0) + start;
    }
  }
  return out;
}

double activate(Activation activation, double x, const Xielu& xielu) {
  switch (activation) {
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::gelu:
      return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::relu_squared:
      return std::max(x, 0.0) * std::max(x, 0.0);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::tanh:
      return std::tanh(x);
    case Activation::softplus:
      return softplus(x);
    case Activation::xielu:
      return xielu.linear * x + (x > 0 ? xielu.positive * x * x : xielu.negative * (std::expm1(x) - x));
    case Activation::identity:
    case Activation::swiglu_clamped:
      break;
  }
  return x;
}

double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

double gated(Activation activation, double gate, double up, double clamp) {
  if (activation != Activation::swiglu_clamped) {
    gate = activate(activation, gate);
    return clamp > 0 ? std::min(gate, clamp) * std::clamp(up, -clamp, clamp) : gate * up;
  }
  gate = std::min(gate, 7.0);
  return gate / (1 + std::exp(-1.702 * gate)) * (std::clamp(up, -7.0, 7.0) + 1);
}

void rotate(const Rope& rope, const std::vector<float>& frequencies, int position, double* head) {
  const int half = rope.dims / 2;
  head += rope.offset;
  for (int i = 0; i < half; ++i) {
    const double angle = static_cast<double>(position) * frequencies[static_cast<std::size_t>(i)];
    const double c = std::cos(angle) * rope.magnitude, s = std::sin(angle) * rope.magnitude;
    double& a = head[rope.pairs == Rope::Pairs::adjacent ? 2 * i : i];
    double& b = head[rope.pairs == Rope::Pairs::adjacent ? 2 * i + 1 : i + half];
    const double turned = a * c - b * s;
    b = a * s + b * c;
    a = turned;
  }
}

void softmax(std::vector<double>& scores, double extra) {
  const double largest = std::max(extra, *std::max_element(scores.begin(), scores.end()));
  double sum = std::exp(extra - largest);
  for (double& score : scores) sum += score = std::exp(score - largest);
  for (double& score : scores) score /= sum;
}

}  // namespace rf::oracle
