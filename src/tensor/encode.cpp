#include "tensor/encode.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "tensor/encode/exact.h"
#include "tensor/encode/plain.h"
#include "tensor/encode/scaled.h"
#include "tensor/formats/list.h"

namespace rf {
namespace {

using namespace encode;

// Where each search looks, as fractions of the range that fits exactly. Finer steps take twice the time and
// gain less than 1% of the error.
constexpr ScaleGrid three_bits{0.65f, 0.08f, 7}, four_bits{0.78f, 0.06f, 7}, five_bits{0.88f, 0.03f, 8},
    six_bits{0.96f, 0.01f, 9}, nonlinear{0.72f, 0.06f, 8};
constexpr ScaleGrid line_two{0.5f, 0.1f, 6}, line_four{0.88f, 0.04f, 5}, line_five{0.94f, 0.02f, 5};

// Below the smallest step of an f16 scale nothing is left but zeros, and squares would underflow.
constexpr float smallest = 0x1p-26f;

// Values that f16 scales cannot hold must not turn into others in silence: the block becomes infinite.
template <class F>
void mark_overflow(const float* x, typename F::Block& block) {
  float back[F::elements];
  F::decode(block, back);
  for (int k = 0; k < F::elements; ++k)
    if (!(std::abs(back[k] - x[k]) <= std::abs(x[k]) / 3 || std::abs(x[k]) < 0x1p15f)) {
      block = {};
      block.d = 0x7c00;  // infinity; times 0 NaN
      return;
    }
}

template <class F>
void encode_one(const float* x, const float* w, typename F::Block& block) {
  if constexpr (requires { encode_exact(x, block); }) {
    encode_exact(x, block);
  } else {
    const float largest = largest_magnitude(x, F::elements);
    if (largest < smallest) return;
    constexpr int low = -F::zero, high = F::top - F::zero;
    if constexpr (F::id == IQ4_NL::id)
      encode_plain<F, Iq4Levels>(x, w, block, nonlinear);
    else if constexpr (F::id == IQ4_XS::id)
      ScaledBlock<F, Iq4Levels>(x, w).encode(block, nonlinear);
    else if constexpr (F::has_min && F::sub_scales)
      LineBlock<F>(x, w).encode(block, F::top == 3 ? line_two : F::top == 15 ? line_four : line_five);
    else if constexpr (F::has_min)
      encode_line<F>(x, w, block, F::top == 15 ? line_four : line_five);
    else if constexpr (F::sub_scales)
      ScaledBlock<F, UniformLevels<low, high>>(x, w).encode(block, F::top == 7 ? three_bits : six_bits);
    else
      encode_plain<F, UniformLevels<low, high>>(x, w, block, F::top == 15 ? four_bits : five_bits);
    if (largest > 0x1p15f) mark_overflow<F>(x, block);
  }
}

template <class F>
void encode_blocks(const float* x, const float* w, std::int64_t n, std::byte* out) {
  for (std::int64_t k = 0; k < n; k += F::elements, out += sizeof(typename F::Block)) {
    typename F::Block block{};
    encode_one<F>(x + k, w + k, block);
    std::memcpy(out, &block, sizeof block);
  }
}

void encode_f32(const float* x, const float*, std::int64_t n, std::byte* out) {
  std::memcpy(out, x, static_cast<std::size_t>(n) * sizeof(float));
}

template <std::uint16_t (*convert)(float)>
void encode_16(const float* x, const float*, std::int64_t n, std::byte* out) {
  for (std::int64_t k = 0; k < n; ++k) {
    const std::uint16_t bits = convert(x[k]);
    std::memcpy(out + 2 * k, &bits, sizeof bits);
  }
}

#define RF_WRITTEN_FORMATS(X) \
  X(Q4_0)                     \
  X(Q4_1)                     \
  X(Q5_0)                     \
  X(Q5_1) X(Q8_0) X(Q2_K) X(Q3_K) X(Q4_K) X(Q5_K) X(Q6_K) X(IQ4_NL) X(IQ4_XS) X(MXFP4) X(TQ1_0) X(TQ2_0)

// All weights of mean 1, drawn a fifth of the way towards equal ones: importance is estimated from some text
// and others will come. That keeps the plain error near what it is without weights, at hardly any cost in the
// weighted one, and columns that the text never reached are still written well.
std::vector<float> usable_weights(std::span<const float> importance, std::int64_t columns) {
  std::vector<float> weights(static_cast<std::size_t>(columns), 1.0f);
  if (importance.empty()) return weights;
  double sum = 0;
  for (const float value : importance) sum += static_cast<double>(value);
  const double mean = sum / static_cast<double>(importance.size());
  if (!(mean > 0) || !std::isfinite(mean)) return weights;
  constexpr double equal = 0.2;
  for (std::size_t k = 0; k < weights.size(); ++k)
    weights[k] = static_cast<float>((1 - equal) * static_cast<double>(importance[k]) / mean + equal);
  return weights;
}

}  // namespace

Encoder::Write Encoder::writer(Type type) {
  switch (static_cast<std::uint32_t>(type)) {
    case static_cast<std::uint32_t>(Type::f32):
      return encode_f32;
    case static_cast<std::uint32_t>(Type::f16):
      return encode_16<f32_to_f16>;
    case static_cast<std::uint32_t>(Type::bf16):
      return encode_16<f32_to_bf16>;
#define RF_CASE(F) \
  case F::id:      \
    return encode_blocks<F>;
      RF_WRITTEN_FORMATS(RF_CASE)
#undef RF_CASE
    default:
      return nullptr;
  }
}

bool can_encode(Type type) {
  return Encoder::writer(type) != nullptr;
}

std::string encodable_types() {
  std::string names;
  for (std::uint32_t id = 0; id < 256; ++id)
    if (const TypeInfo* info = find_type(id); info != nullptr && can_encode(info->type))
      names += (names.empty() ? "" : ", ") + std::string(info->name);
  return names;
}

Encoder::Encoder(Type type, std::int64_t columns, std::span<const float> importance)
    : write_(writer(type)), columns_(columns), weights_(usable_weights(importance, columns)) {
  if (write_ == nullptr)
    fail("tensor type {} cannot be written; those that can: {}", type_info(type).name, encodable_types());
}

}  // namespace rf
