#include "tensor/decode.h"

#include <cstring>

#include "base/error.h"
#include "base/half.h"
#include "tensor/formats/list.h"

namespace rf {
namespace {

template <class F>
void decode_blocks(const std::byte* row, std::int64_t n, float* out) {
  for (std::int64_t k = 0; k < n; k += F::elements, row += sizeof(typename F::Block)) {
    typename F::Block block;
    std::memcpy(&block, row, sizeof block);
    F::decode(block, out + k);
  }
}

void decode_f32(const std::byte* row, std::int64_t n, float* out) {
  std::memcpy(out, row, static_cast<std::size_t>(n) * sizeof(float));
}

// F64 and integers: rounded to the nearest f32.
template <class Number>
void decode_numbers(const std::byte* row, std::int64_t n, float* out) {
  for (std::int64_t k = 0; k < n; ++k) {
    Number number;
    std::memcpy(&number, row + static_cast<std::size_t>(k) * sizeof number, sizeof number);
    out[k] = static_cast<float>(number);
  }
}

template <float (*convert)(std::uint16_t)>
void decode_16(const std::byte* row, std::int64_t n, float* out) {
  for (std::int64_t k = 0; k < n; ++k) {
    std::uint16_t bits;
    std::memcpy(&bits, row + 2 * k, 2);
    out[k] = convert(bits);
  }
}

using Decoder = void (*)(const std::byte*, std::int64_t, float*);

Decoder decoder(Type type) {
  switch (static_cast<std::uint32_t>(type)) {
    case static_cast<std::uint32_t>(Type::f32):
      return decode_f32;
    case static_cast<std::uint32_t>(Type::f16):
      return decode_16<f16_to_f32>;
    case static_cast<std::uint32_t>(Type::bf16):
      return decode_16<bf16_to_f32>;
    case static_cast<std::uint32_t>(Type::f64):
      return decode_numbers<double>;
    case static_cast<std::uint32_t>(Type::i8):
      return decode_numbers<std::int8_t>;
    case static_cast<std::uint32_t>(Type::i16):
      return decode_numbers<std::int16_t>;
    case static_cast<std::uint32_t>(Type::i32):
      return decode_numbers<std::int32_t>;
    case static_cast<std::uint32_t>(Type::i64):
      return decode_numbers<std::int64_t>;
#define RF_CASE(F) \
  case F::id:      \
    return decode_blocks<F>;
      RF_FORMATS(RF_CASE)
      RF_SPREAD_FORMATS(RF_CASE)
#undef RF_CASE
    default:
      return nullptr;
  }
}

}  // namespace

bool holds_weights(Type type) {
  return type != Type::i8 && type != Type::i16 && type != Type::i32 && type != Type::i64;
}

void decode_row(Type type, const std::byte* row, std::int64_t n, float* out) {
  const Decoder decode = decoder(type);
  if (decode == nullptr) fail("tensor type {} cannot be decoded", static_cast<std::uint32_t>(type));
  decode(row, n, out);
}

}  // namespace rf
