// Random weights of any format and random activations, from one seed.
#pragma once
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/half.h"
#include "tensor/formats/list.h"
#include "tensor/tensor.h"

namespace rf::test {

// The environment's RF_SEED, else a fresh one for each run of the program.
inline std::uint32_t run_seed() {
  static const std::uint32_t seed = [] {
    if (const char* given = std::getenv("RF_SEED")) return static_cast<std::uint32_t>(std::stoul(given));
    return static_cast<std::uint32_t>(std::random_device{}());
  }();
  return seed;
}

class Random {
 public:
  explicit Random(const std::string& name) {  // the same numbers for the same name and run_seed()
    std::seed_seq seeds(name.begin(), name.end());
    std::uint32_t word = 0;
    seeds.generate(&word, &word + 1);
    engine_.seed((std::uint64_t{run_seed()} << 32) + word);
  }
  int integer(int first, int last) { return std::uniform_int_distribution<int>(first, last)(engine_); }
  bool one_in(int n) { return integer(1, n) == 1; }
  float uniform(float low, float high) { return std::uniform_real_distribution<float>(low, high)(engine_); }
  float gauss() { return std::normal_distribution<float>()(engine_); }
  std::vector<float> gauss(std::size_t n) {
    std::vector<float> values(n);
    for (float& v : values) v = gauss();
    return values;
  }
  std::vector<int> shuffled(int n) {
    std::vector<int> order(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) order[static_cast<std::size_t>(i)] = i;
    std::shuffle(order.begin(), order.end(), engine_);
    return order;
  }

 private:
  std::mt19937_64 engine_;
};

// Zeroed memory that keeps its bytes when its pages are dropped, as a mapped file does: back ends release the
// pages of weights they have copied.
class KeptMemory {
 public:
  explicit KeptMemory(std::size_t bytes) : size_(std::max<std::size_t>(bytes, 1)) {
    void* block = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) throw std::runtime_error("no memory for a tensor");
    data_ = static_cast<std::byte*>(block);
  }
  ~KeptMemory() {
    if (data_ != nullptr) ::munmap(data_, size_);
  }
  KeptMemory(KeptMemory&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  KeptMemory& operator=(KeptMemory&&) = delete;
  std::byte* data() const { return data_; }

 private:
  std::byte* data_;
  std::size_t size_;
};

// Gives a block the scale nearest to `value`, and a min of that size if it has one.
template <class F>
void set_scale(Random& random, std::byte* block, float value) {
  if constexpr (F::id == Q8_K::id) {
    std::memcpy(block, &value, sizeof value);
  } else if constexpr (F::id == MXFP4::id) {
    block[0] = value == 0 ? std::byte{0} : static_cast<std::byte>(128 + std::ilogb(value));
  } else if constexpr (F::id == NVFP4::id) {
    for (int g = 0; g < 4; ++g) {
      const float wanted = std::abs(value) * random.uniform(0.25f, 1);
      int bits = random.one_in(16) ? 0x7f : 0;  // which means 0
      while (bits < 0x7e && NVFP4::scale_of(static_cast<std::uint8_t>(bits + 1)) <= wanted) ++bits;
      block[g] = static_cast<std::byte>(bits | (random.one_in(2) ? 0x80 : 0));
      if (block[g] == std::byte{0xff}) block[g] = std::byte{0x7f};
    }
  } else {
    const std::uint16_t half = f32_to_f16(value);
    if constexpr (F::id == IQ1_M::id) {
      for (int i = 0; i < 4; ++i)
        block[49 + 2 * i] =
            (block[49 + 2 * i] & std::byte{15}) | static_cast<std::byte>((half >> 4 * i & 15) << 4);
      return;
    }
    for (int at = F::fields[0].offset; at < F::fields[0].offset + F::fields[0].bytes; at += 2) {
      const std::uint16_t bits = at == F::fields[0].offset ? half : f32_to_f16(random.one_in(16) ? 0 : value);
      std::memcpy(block + at, &bits, sizeof bits);
    }
  }
}

// Random bytes under scales that bring the values to [-1, 1] or so; sometimes a scale is 0.
template <class F>
void random_block(Random& random, std::byte* out) {
  for (std::size_t i = 0; i < sizeof(typename F::Block); ++i)
    out[i] = static_cast<std::byte>(random.integer(0, 255));
  set_scale<F>(random, out, 1);
  typename F::Block block;
  float values[F::elements], largest = 1;
  std::memcpy(&block, out, sizeof block);
  F::decode(block, values);
  for (const float value : values) largest = std::max(largest, std::abs(value));
  set_scale<F>(random, out,
               random.one_in(16) ? 0 : random.uniform(0.25f, 1) * (random.one_in(2) ? 1.f : -1.f) / largest);
}

inline void fill_random(Random& random, const Tensor& tensor, std::byte* out) {
  const auto count = static_cast<std::size_t>(tensor.columns() * tensor.rows());
  const auto scalars = [&]<class Bits>(Bits (*convert)(float)) {
    for (std::size_t i = 0; i < count; ++i) {
      const Bits bits = convert(random.gauss() / 2);
      std::memcpy(out + i * sizeof bits, &bits, sizeof bits);
    }
  };
  switch (static_cast<std::uint32_t>(tensor.type)) {
    case static_cast<std::uint32_t>(Type::f32):
      return scalars(+[](float x) { return x; });
    case static_cast<std::uint32_t>(Type::f16):
      return scalars(+[](float x) { return f32_to_f16(x); });
    case static_cast<std::uint32_t>(Type::bf16):
      return scalars(+[](float x) { return static_cast<std::uint16_t>(bits_of_float(x) >> 16); });
    case static_cast<std::uint32_t>(Type::f64):
      return scalars(+[](float x) { return static_cast<double>(x) * (1 + 0x1p-30); });
#define RF_CASE(F)                                                                                           \
  case F::id:                                                                                                \
    for (std::size_t at = 0; at < tensor.bytes(); at += sizeof(F::Block)) random_block<F>(random, out + at); \
    return;
      RF_FORMATS(RF_CASE)
#undef RF_CASE
    default:
      throw std::runtime_error("no random blocks of " + std::string(type_info(tensor.type).name));
  }
}

// A row for tests of dots. In every block of 32 columns it is a power of two times whole numbers in
// [-127, 127], 127 among them, so that 8-bit quantisation loses nothing; `kind` spoils that:
//   exact       as said
//   gauss       any numbers
//   zeros       0 and, now and then, -0
//   denormal    some blocks lie below the smallest normal number
//   huge        one value is 1e30
inline void fill_row(Random& random, const std::string& kind, std::span<float> row) {
  const int typical =
      -static_cast<int>(std::lround(std::log2(64 * std::sqrt(static_cast<float>(row.size())))));
  for (std::size_t first = 0; first < row.size(); first += 32) {
    const std::span<float> block = row.subspan(first, std::min<std::size_t>(32, row.size() - first));
    int exponent = typical + random.integer(-2, 2);
    if (kind == "denormal" && random.one_in(2)) exponent = -149 + random.integer(0, 16);
    for (float& x : block) {
      x = std::ldexp(static_cast<float>(random.integer(-127, 127)), exponent);
      if (kind == "gauss") x = std::ldexp(64 * random.gauss(), exponent);
      if (kind == "zeros") x = random.one_in(4) ? -0.0f : 0.0f;
    }
    if (kind == "exact" || kind == "denormal")
      block[static_cast<std::size_t>(random.integer(0, static_cast<int>(block.size()) - 1))] =
          std::ldexp(random.one_in(2) ? 127.0f : -127.0f, exponent);
  }
  if (kind == "huge")
    row[static_cast<std::size_t>(random.integer(0, static_cast<int>(row.size()) - 1))] = 1e30f;
}

}  // namespace rf::test
