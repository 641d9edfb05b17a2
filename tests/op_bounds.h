// How far a back end may be from the oracle, element by element, derived from its arithmetic: sums in f32,
// and activations quantised to 8 bits a block of 32 columns where the weights are quantised.
#pragma once
#include <cmath>

#include "op_setup.h"
#include "tensor/decode.h"

namespace rf::test {

inline constexpr double sum_error = 2e-6;  // of a sum in f32, relative to the sum of magnitudes
inline constexpr double tiny = 1e-30;      // what lies below may be flushed to zero

struct Estimate {
  double value = 0, error = 0;
};

// The step's input row, normed, and for each block of 32 columns the variance that quantising adds to a
// column.
struct NormedRow {
  NormedRow(const OpSetup& setup, const float* x)
      : values(x, x + setup.width(setup.step().x)), variance((values.size() + 31) / 32) {
    if (setup.step().norm.kind == Norm::Kind::rms) {
      const auto* weight =
          reinterpret_cast<const float*>(setup.program.tensor(setup.step().norm.weight).data);
      double squares = 0;
      for (const double v : values) squares += v * v;
      const double root = std::sqrt(squares / static_cast<double>(values.size()) + setup.step().norm.eps);
      for (std::size_t k = 0; k < values.size(); ++k) values[k] *= weight[k] / root;
    }
    if (setup.exact()) return;
    for (std::size_t b = 0; b < variance.size(); ++b) {
      double largest = 0;
      for (std::size_t k = 32 * b; k < std::min(32 * b + 32, values.size()); ++k)
        largest = std::max(largest, std::abs(values[k]));
      variance[b] = largest / 127 * (largest / 127) / 12;
    }
  }
  std::vector<double> values, variance;
};

// One element of a product. Quantisation is allowed seven standard deviations.
inline Estimate dot(const OpSetup& setup, const Linear& linear, std::int64_t out, const NormedRow& in) {
  const Tensor& tensor = setup.program.tensor(linear.weight);
  thread_local std::vector<float> weights;
  weights.resize(in.values.size());
  decode_row(tensor.type, tensor.row(out), tensor.columns(), weights.data());
  const bool quantised = type_info(tensor.type).block_elements > 1;
  Estimate sum;
  double magnitude = 0, variance = 0;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    const double product = weights[k] * in.values[k];
    sum.value += product;
    magnitude += std::abs(product);
    if (quantised) variance += static_cast<double>(weights[k]) * weights[k] * in.variance[k / 32];
  }
  if (linear.bias != none) {
    const float bias = reinterpret_cast<const float*>(setup.program.tensor(linear.bias).data)[out];
    sum.value += bias;
    magnitude += std::abs(bias);
  }
  sum.error = sum_error * magnitude + 7 * std::sqrt(variance);
  return sum;
}

// activation(gate) * up: both activations are steeper than 1.13 nowhere.
inline double gated_error(Activation activation, const Estimate& gate, const Estimate& up) {
  const double x = gate.value;
  const double sigmoid = activation == Activation::silu
                             ? 1 / (1 + std::exp(-x))
                             : 1 / (1 + std::exp(-1.5957691216057308 * (x + 0.044715 * x * x * x)));
  return 1.13 * gate.error * (std::abs(up.value) + up.error) + std::abs(x * sigmoid) * up.error +
         sum_error * std::abs(x * up.value);
}

inline std::vector<double> linear_errors(const OpSetup& setup, const Feed& feed) {
  const Step& step = setup.step();
  std::vector<double> allowed;
  for (int i = 0; i < setup.out_rows(feed.batch); ++i) {
    const int row = step.op == Op::logits ? feed.batch.wanted_row(i) : i;
    const NormedRow in(setup, feed.x.data() + static_cast<std::size_t>(row) * setup.width(step.x));
    if (step.op == Op::gate_up) {
      for (std::int64_t o = 0; o < setup.program.tensor(step.linear[0].weight).rows(); ++o)
        allowed.push_back(tiny + gated_error(step.activation, dot(setup, step.linear[0], o, in),
                                             dot(setup, step.linear[1], o, in)));
      continue;
    }
    for (const Linear& linear : step.linear)
      for (std::int64_t o = 0; linear.weight != none && o < setup.program.tensor(linear.weight).rows(); ++o)
        allowed.push_back(tiny + dot(setup, linear, o, in).error);
  }
  if (step.mul != none)
    for (std::size_t i = 0; i < allowed.size(); ++i) allowed[i] *= 1.01 * std::abs(feed.mul[i]);
  if (step.add != none)
    for (std::size_t i = 0; i < allowed.size(); ++i) allowed[i] += sum_error * std::abs(feed.add[i]);
  return allowed;
}

// An output of attention is a mean of values, so it is measured against their largest magnitude. Keys that
// are normed or rotated before they are stored differ in the last bit of f32, and so now and then by a whole
// step of the stored type.
inline double attend_error(const OpSetup& setup, double largest_value) {
  const Attention& a = setup.step().attention;
  double error = 4e-6;
  if (a.k_norm.kind != Norm::Kind::off || a.rope.dims > 0) {
    if (setup.limits.kv == KvType::f16) error = 1e-3;
    if (setup.limits.kv == KvType::q8_0) error = 0.03;
    if (setup.limits.kv == KvType::q4_0) error = 0.4;
  }
  return tiny + error * largest_value;
}

// States live on for many rows, whose errors fade as they do; results are of the order of 1, those without a
// norm of that of a few products.
inline double recurrent_error(const Step& step) {
  if (step.op == Op::scan) return 1e-4 * std::sqrt(static_cast<double>(step.scan.key_dim));
  return step.conv.gated ? 5e-4 : 1e-4;
}

// For every element that the step writes on `feed`.
inline std::vector<double> allowed_errors(const OpSetup& setup, const Feed& feed) {
  const std::size_t count = static_cast<std::size_t>(feed.batch.rows()) * setup.width(setup.step().out);
  if (setup.step().op == Op::embed || setup.step().op == Op::index) return std::vector<double>(count, 0);
  if (state_of(setup.step()) != none) return std::vector<double>(count, recurrent_error(setup.step()));
  if (setup.step().op != Op::attend) return linear_errors(setup, feed);
  double largest = 0;
  for (const Feed& any : setup.feeds)
    for (const float x : any.x) largest = std::max(largest, std::abs(static_cast<double>(x)));
  return std::vector<double>(count, attend_error(setup, largest));
}

}  // namespace rf::test
