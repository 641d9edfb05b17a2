// Activation rows: norm, quantisation, epilogues and head preparation.
#include "cpu/kernels.h"
#include "cpu/kernels/export.h"
#include "cpu/simd/simd.h"

namespace rf::RF_ISA {
namespace {

float root_mean_square(const float* x, int n, float eps) {
  F acc[4] = {F::zero(), F::zero(), F::zero(), F::zero()};
  int i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes)
    for (int j = 0; j < 4; ++j) {
      const F v = F::load(x + i + j * lanes);
      acc[j] = fma(v, v, acc[j]);
    }
  float total = sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
  for (; i < n; ++i) total += x[i] * x[i];
  return __builtin_sqrtf(total / static_cast<float>(n) + eps);
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
  std::int32_t* sums = out.sums + 2 * static_cast<std::int64_t>(block) * out.rows + row;
  std::int32_t low = 0, high = 0;
  for (int i = 0; i < 16; ++i) low += codes[i];
  for (int i = 16; i < 32; ++i) high += codes[i];
  sums[0] = low;
  sums[out.rows] = high;
}

}  // namespace

void pack(const float* x, int columns, const PackOptions& options, int row, const PackedRows& out) {
  const float inverse = options.norm != nullptr ? 1.0f / root_mean_square(x, columns, options.eps) : 1.0f;
  alignas(64) float block[32];
  for (int b = 0; b < out.blocks; ++b) {
    const int present = columns - 32 * b < 32 ? columns - 32 * b : 32;
    const float* in = x + 32 * b;
    if (present < 32) {
      for (int i = 0; i < 32; ++i) block[i] = i < present ? in[i] : 0.0f;
      if (options.norm != nullptr)
        for (int i = 0; i < present; ++i) block[i] = block[i] * inverse * options.norm[32 * b + i];
    } else if (options.norm != nullptr) {
      for (int i = 0; i < 32; i += lanes)
        (F::load(in + i) * F::set1(inverse) * F::load(options.norm + 32 * b + i)).store(block + i);
    } else {
      for (int i = 0; i < 32; i += lanes) F::load(in + i).store(block + i);
    }
    if (options.quantise) quantise_block(block, row, b, out);
    if (options.keep) {
      float* values = out.values + 32 * (static_cast<std::int64_t>(b) * out.rows + row);
      for (int i = 0; i < 32; i += lanes) F::load(block + i).store(values + i);
    }
  }
}

void store(const float* tile, int rows, int count, const float* bias, const float* add, float* out,
           std::int64_t stride) {
  for (int r = 0; r < rows; ++r, tile += 16, out += stride) {
    const float* residual = add != nullptr ? add + r * stride : nullptr;
    if (count == 16) {
      for (int i = 0; i < 16; i += lanes) {
        F v = F::load(tile + i);
        if (bias != nullptr) v = v + F::load(bias + i);
        if (residual != nullptr) v = v + F::load(residual + i);
        v.store(out + i);
      }
      continue;
    }
    for (int i = 0; i < count; ++i) {
      float v = tile[i];
      if (bias != nullptr) v += bias[i];
      if (residual != nullptr) v += residual[i];
      out[i] = v;
    }
  }
}

namespace {

F activate(Activation kind, F x) {
  const F one = F::set1(1);
  if (kind == Activation::silu) return x / (one + exp(F::zero() - x));
  // gelu, tanh form: x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3))
  const F inner = F::set1(1.5957691216f) * x * fma(x * x, F::set1(0.044715f), one);
  return x / (one + exp(F::zero() - inner));
}

}  // namespace

void store_gated(Activation activation, const float* gate, const float* up, int rows, int count,
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
      const F g = activate(activation, F::load(gate + i) + F::load(bias[0] + i));
      (g * (F::load(up + i) + F::load(bias[1] + i))).store(to + i);
    }
    if (to != out)
      for (int i = 0; i < count; ++i) out[i] = whole[i];
  }
}

void prepare_head(float* head, int dim, const float* norm, float eps, Rope::Pairs pairs, int dims,
                  const float* cosines, const float* sines) {
  if (norm != nullptr) {
    const float inverse = 1.0f / root_mean_square(head, dim, eps);
    for (int i = 0; i < dim; ++i) head[i] = head[i] * inverse * norm[i];
  }
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
