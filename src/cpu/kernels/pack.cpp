// Activation rows: norm, quantisation, epilogues and head preparation.
#include "cpu/kernels.h"
#include "cpu/kernels/export.h"
#include "cpu/simd/simd.h"

namespace rf::RF_ISA {
namespace {

float sum_of(const float* x, int n, float less, bool squared) {
  F acc[4] = {F::zero(), F::zero(), F::zero(), F::zero()};
  const F mean = F::set1(less);
  int i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes)
    for (int j = 0; j < 4; ++j) {
      const F v = F::load(x + i + j * lanes) - mean;
      acc[j] = squared ? fma(v, v, acc[j]) : acc[j] + v;
    }
  float total = sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
  for (; i < n; ++i) total += squared ? (x[i] - less) * (x[i] - less) : x[i] - less;
  return total;
}

struct Moments {
  float mean = 0, inverse = 1;
};

Moments moments(const NormView& norm, const float* x, int n) {
  Moments m;
  if (norm.kind == Norm::Kind::off) return m;
  if (norm.kind == Norm::Kind::layer) m.mean = sum_of(x, n, 0, false) / static_cast<float>(n);
  m.inverse = 1.0f / __builtin_sqrtf(sum_of(x, n, m.mean, true) / static_cast<float>(n) + norm.eps);
  return m;
}

// out[0 .. n) = the normed elements first .. first + n of a row.
void norm_piece(const NormView& norm, const Moments& m, const float* x, int first, int n, float* out) {
  int i = 0;
  for (; i + lanes <= n; i += lanes) {
    F v = F::load(x + first + i);
    if (norm.kind == Norm::Kind::layer) v = v - F::set1(m.mean);
    if (norm.kind != Norm::Kind::off) v = v * F::set1(m.inverse);
    if (norm.weight != nullptr) v = v * F::load(norm.weight + first + i);
    if (norm.bias != nullptr) v = v + F::load(norm.bias + first + i);
    v.store(out + i);
  }
  for (; i < n; ++i) {
    float v = x[first + i];
    if (norm.kind == Norm::Kind::layer) v -= m.mean;
    if (norm.kind != Norm::Kind::off) v *= m.inverse;
    if (norm.weight != nullptr) v *= norm.weight[first + i];
    if (norm.bias != nullptr) v += norm.bias[first + i];
    out[i] = v;
  }
}

void quantise_block(const float* x, int row, int block, const PackedRows& out) {
  F largest_abs = F::zero();
  for (int i = 0; i < 32; i += lanes) largest_abs = max(largest_abs, abs(F::load(x + i)));
  const float top = largest(largest_abs);
  const float scale = top / 127.0f;
  const F inverse = F::set1(top > 0x1p-100f ? 127.0f / top : 0.0f);  // finite
  const auto at = static_cast<std::int64_t>(block) * out.rows + row;
  std::int8_t* codes = out.codes + 32 * at;
  for (int i = 0; i < 32; i += lanes) store_i8(codes + i, F::load(x + i) * inverse);
  out.scale[at] = scale;
  for (int g = 0; g < 2; ++g) {
    std::int32_t low = 0, high = 0;
    for (int i = 0; i < 8; ++i) {
      low += codes[16 * g + i];
      high += codes[16 * g + 8 + i];
    }
    const std::int64_t to = (2 * static_cast<std::int64_t>(block) + g) * out.rows + row;
    out.sums[to] = low + high;
    out.eights[to] = static_cast<std::int32_t>(static_cast<std::uint32_t>(low & 0xffff) |
                                               static_cast<std::uint32_t>(high) << 16);
  }
}

}  // namespace

void pack(const float* x, int columns, const PackOptions& options, int row, const PackedRows& out) {
  const Moments m = moments(options.norm, x, columns);
  alignas(64) float block[32];
  for (int b = 0; b < out.blocks; ++b) {
    const int present = columns - 32 * b < 32 ? columns - 32 * b : 32;
    norm_piece(options.norm, m, x, 32 * b, present, block);
    for (int i = present; i < 32; ++i) block[i] = 0;
    if (options.quantise) quantise_block(block, row, b, out);
    if (options.keep) {
      float* values = out.values + 32 * (static_cast<std::int64_t>(b) * out.rows + row);
      for (int i = 0; i < 32; i += lanes) F::load(block + i).store(values + i);
    }
  }
}

void normalise(const NormView& norm, const float* x, int n, float* out) {
  norm_piece(norm, moments(norm, x, n), x, 0, n, out);
}

namespace {

// The error function, absolute error under 1.5e-7 (Abramowitz and Stegun 7.1.26).
F error_function(F x) {
  const F one = F::set1(1), z = abs(x);
  const F t = one / fma(F::set1(0.3275911f), z, one);
  F p = F::set1(1.061405429f);
  p = fma(p, t, F::set1(-1.453152027f));
  p = fma(p, t, F::set1(1.421413741f));
  p = fma(p, t, F::set1(-0.284496736f));
  p = fma(p, t, F::set1(0.254829592f));
  const F y = one - p * t * exp(F::zero() - z * z);
  return y * (x / max(z, F::set1(0x1p-120f)));  // with the sign of x
}

F activate(Activation kind, F x, const Xielu& xielu) {
  const F one = F::set1(1);
  switch (kind) {
    case Activation::silu:
      return silu(x);
    case Activation::gelu_tanh: {  // x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3))
      const F inner = F::set1(1.5957691216f) * x * fma(x * x, F::set1(0.044715f), one);
      return x / (one + exp(F::zero() - inner));
    }
    case Activation::gelu:
      return F::set1(0.5f) * x * (one + error_function(x * F::set1(0.70710678f)));
    case Activation::relu:
      return max(x, F::zero());
    case Activation::relu_squared: {
      const F positive = max(x, F::zero());
      return positive * positive;
    }
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::tanh:
      return tanh(x);
    case Activation::softplus:
      return softplus(x);
    case Activation::xielu: {
      const F above = max(x, F::zero()), below = min(x, F::zero());
      const F negative = F::set1(xielu.negative) * (exp(below) - one - below);
      return fma(F::set1(xielu.positive) * above, above, fma(F::set1(xielu.linear), x, negative));
    }
    case Activation::identity:
    case Activation::swiglu_clamped:
      break;
  }
  return x;
}

F gated(Activation kind, float clamp, F gate, F up) {
  if (kind != Activation::swiglu_clamped) {
    gate = activate(kind, gate, {});
    if (clamp <= 0) return gate * up;
    const F most = F::set1(clamp);
    return min(gate, most) * max(min(up, most), F::zero() - most);
  }
  const F seven = F::set1(7), cut = min(gate, seven);
  return cut * sigmoid(cut * F::set1(1.702f)) * (max(min(up, seven), F::zero() - seven) + F::set1(1));
}

F finished(const Epilogue& epilogue, F v) {
  if (epilogue.activation != Activation::identity) v = activate(epilogue.activation, v, epilogue.xielu);
  if (epilogue.clamp > 0) v = max(min(v, F::set1(epilogue.clamp)), F::set1(-epilogue.clamp));
  if (epilogue.scale != 1) v = v * F::set1(epilogue.scale);
  if (epilogue.softcap > 0) v = capped(v, epilogue.softcap);
  return v;
}

}  // namespace

void store(const float* tile, int rows, int count, const Epilogue& epilogue, float* out,
           std::int64_t stride) {
  alignas(64) float bias[16] = {}, whole[16];
  if (epilogue.bias != nullptr)
    for (int i = 0; i < count; ++i) bias[i] = epilogue.bias[i];
  for (int r = 0; r < rows; ++r, tile += 16, out += stride) {
    const float* add = epilogue.add != nullptr ? epilogue.add + r * stride : nullptr;
    const float* mul = epilogue.mul != nullptr ? epilogue.mul + r * stride : nullptr;
    float* to = count == 16 ? out : whole;
    for (int i = 0; i < 16; i += lanes) {
      F v = finished(epilogue, F::load(tile + i) + F::load(bias + i));
      if (mul != nullptr && count == 16) v = v * F::load(mul + i);
      if (add != nullptr && count == 16) v = v + F::load(add + i);
      v.store(to + i);
    }
    for (int i = 0; to != out && i < count; ++i) {
      const float v = mul != nullptr ? whole[i] * mul[i] : whole[i];
      out[i] = add != nullptr ? v + add[i] : v;
    }
    if (epilogue.out_scale != 1)
      for (int i = 0; i < count; ++i) out[i] *= epilogue.out_scale;
  }
}

void store_gated(Activation activation, float clamp, const float* gate, const float* up, int rows, int count,
                 const float* gate_bias, const float* up_bias, float* out, std::int64_t stride) {
  alignas(64) float bias[2][16] = {};
  for (int i = 0; i < count; ++i) {
    if (gate_bias != nullptr) bias[0][i] = gate_bias[i];
    if (up_bias != nullptr) bias[1][i] = up_bias[i];
  }
  alignas(64) float whole[16];
  for (int r = 0; r < rows; ++r, gate += 16, up += 16, out += stride) {
    float* to = count == 16 ? out : whole;
    for (int i = 0; i < 16; i += lanes) {
      const F g = F::load(gate + i) + F::load(bias[0] + i), u = F::load(up + i) + F::load(bias[1] + i);
      gated(activation, clamp, g, u).store(to + i);
    }
    if (to != out)
      for (int i = 0; i < count; ++i) out[i] = whole[i];
  }
}

void rotate(float* head, Rope::Pairs pairs, int dims, const float* cosines, const float* sines) {
  const int half = dims / 2;
  const int first_step = pairs == Rope::Pairs::adjacent ? 2 : 1,
            apart = pairs == Rope::Pairs::adjacent ? 1 : half;
  for (int i = 0; i < half; ++i) {
    float& a = head[i * first_step];
    float& b = head[i * first_step + apart];
    const float x = a, y = b;
    a = x * cosines[i] - y * sines[i];
    b = x * sines[i] + y * cosines[i];
  }
}

}  // namespace rf::RF_ISA
