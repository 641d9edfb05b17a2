// f16 and bf16 as bits, and their conversions; only <cstdint>, for host and device code alike.
// Static, since kernels are compiled for several instruction sets and must each keep their own copy.
#pragma once
#include <cstdint>

namespace rf {

static inline float float_of_bits(std::uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}
static inline std::uint32_t bits_of_float(float value) {
  return __builtin_bit_cast(std::uint32_t, value);
}

// IEEE 754 binary16, exactly, subnormals, infinities and NaN included.
static inline float f16_to_f32(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
  const std::uint32_t rest = h & 0x7fffu;
  if (rest >= 0x7c00u) return float_of_bits(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  if (rest < 0x400u) {  // zero or subnormal: rest * 2^-24, exact in f32
    const float magnitude = static_cast<float>(rest) * 0x1p-24f;
    return float_of_bits(sign | bits_of_float(magnitude));
  }
  return float_of_bits(sign | ((rest << 13) + (112u << 23)));
}

// Rounds to nearest, ties to even; overflows to infinity.
static inline std::uint16_t f32_to_f16(float value) {
  const std::uint32_t bits = bits_of_float(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (rest >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (rest < 0x38800000u) {  // adding 0.5 leaves the subnormal's 10 bits, rounded, in the low mantissa
    const float shifted = float_of_bits(rest) + 0.5f;
    return static_cast<std::uint16_t>(sign | (bits_of_float(shifted) - 0x3f000000u));
  }
  const std::uint32_t odd = rest >> 13 & 1u;
  return static_cast<std::uint16_t>(sign | ((rest + 0xfffu + odd - (112u << 23)) >> 13));
}

static inline float bf16_to_f32(std::uint16_t h) {
  return float_of_bits(static_cast<std::uint32_t>(h) << 16);
}

// Rounds to nearest, ties to even; overflows to infinity.
static inline std::uint16_t f32_to_bf16(float value) {
  const std::uint32_t bits = bits_of_float(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace rf
