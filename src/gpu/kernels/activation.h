// What is done to single values: activations, and the end of a product.
#pragma once
#include "gpu/kernels/lane.h"
#include "gpu/kernels/params.h"

namespace rf::gpu {

// Absolute error under 1.5e-7 (Abramowitz and Stegun 7.1.26).
RF_DEVICE float error_function(float x) {
  const float z = x < 0 ? -x : x, t = 1.0f / __builtin_fmaf(0.3275911f, z, 1.0f);
  float p = 1.061405429f;
  p = __builtin_fmaf(p, t, -1.453152027f);
  p = __builtin_fmaf(p, t, 1.421413741f);
  p = __builtin_fmaf(p, t, -0.284496736f);
  p = __builtin_fmaf(p, t, 0.254829592f);
  const float y = 1.0f - p * t * lane::exp(-z * z);
  return x < 0 ? -y : y;
}

// ln(1 + e^x). ln(1 + u) is ln(v) u / (v - 1) with v = 1 + u as it is rounded.
RF_DEVICE float softplus(float x) {
  const float u = lane::exp(x < 0 ? x : -x), v = 1.0f + u;
  const float rest = v == 1.0f ? u : lane::log(v) * (u / (v - 1.0f));
  return (x > 0 ? x : 0.0f) + rest;
}

RF_DEVICE float activate(ActivationKind kind, float x) {
  switch (kind) {
    case ActivationKind::silu:
      return x * lane::sigmoid(x);
    case ActivationKind::gelu_tanh:  // x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3))
      return x * lane::sigmoid(1.5957691216f * x * __builtin_fmaf(x * x, 0.044715f, 1.0f));
    case ActivationKind::gelu:
      return 0.5f * x * (1.0f + error_function(x * 0.70710678f));
    case ActivationKind::relu:
      return x > 0 ? x : 0.0f;
    case ActivationKind::relu_squared:
      return x > 0 ? x * x : 0.0f;
    case ActivationKind::tanh:
      return lane::tanh(x);
    case ActivationKind::sigmoid:
      return lane::sigmoid(x);
    case ActivationKind::identity:
    case ActivationKind::swiglu_clamped:
    case ActivationKind::xielu:
      break;
  }
  return x;
}

RF_DEVICE float activate(const XieluParams& p, float x) {
  const float rest = x > 0 ? p.positive * x * x : p.negative * (lane::exp(x) - 1.0f - x);
  return __builtin_fmaf(p.linear, x, rest);
}

RF_DEVICE float gated(ActivationKind kind, float gate, float up) {
  if (kind != ActivationKind::swiglu_clamped) return activate(kind, gate) * up;
  gate = gate > 7.0f ? 7.0f : gate;
  up = up > 7.0f ? 7.0f : up < -7.0f ? -7.0f : up;
  return gate * lane::sigmoid(1.702f * gate) * (up + 1.0f);
}

RF_DEVICE float capped(float x, float cap) {
  return cap > 0 ? cap * lane::tanh(x / cap) : x;
}

// What the end of a product reads. `at`: where the value's column lies in a row of `add`.
struct Ends {
  float add, mul;
};
RF_DEVICE Ends ends_of(const Epilogue& e, int row, std::int64_t at) {
  return {e.add != nullptr ? e.add[row * e.add_stride + at] : 0.0f,
          e.mul != nullptr ? e.mul[row * e.mul_stride + at] : 0.0f};
}
RF_DEVICE float finished(const Epilogue& e, float v, const Ends& ends) {
  v = e.activation == ActivationKind::xielu ? activate(e.xielu, v) : activate(e.activation, v);
  if (e.clamp > 0) v = v > e.clamp ? e.clamp : v < -e.clamp ? -e.clamp : v;
  if (e.mul != nullptr) v *= ends.mul;
  v = capped(v * e.scale, e.softcap);
  if (e.add != nullptr) v += ends.add;
  return v * e.out_scale;
}

}  // namespace rf::gpu
