// Rows of activations: norms and quantisation, by a block of 256 threads. Whoever does it, a row's result is
// the same to the bit.
#pragma once
#include "gpu/kernels/lane.h"
#include "gpu/kernels/params.h"

namespace rf::gpu {

// The sum over the block's `threads` threads, for all of them. `scratch`: threads / 32 floats of LDS.
template <int threads>
RF_DEVICE float block_sum(float v, float* scratch) {
  v = lane::sum_of_lanes(v, 32);
  lane::barrier();
  if (lane::thread() % 32 == 0) scratch[lane::thread() / 32] = v;
  lane::barrier();
  float sum = 0;
  for (int i = 0; i < threads / 32; ++i) sum += scratch[i];
  return sum;
}

struct Moments {
  float mean, inverse;
};

RF_DEVICE float normed(const NormView& norm, const Moments& m, float v, int k) {
  if (norm.kind == NormKind::off) return v;
  v = (v - m.mean) * m.inverse;
  if (norm.weight != nullptr) v *= norm.weight[k];
  if (norm.bias != nullptr) v += norm.bias[k];
  return v;
}

// Of values[0 .. n), four neighbours at a time; every thread of the block takes part.
template <int threads, class Value>
RF_DEVICE Moments moments(NormKind kind, float eps, int n, Value value, float* scratch) {
  Moments m{0, 1};
  if (kind == NormKind::off) return m;
  if (kind == NormKind::layer) {
    float sum = 0;
    for (int k = 4 * lane::thread(); k < n; k += 4 * threads)
      for (int i = 0; i < 4; ++i) sum += k + i < n ? value(k + i) : 0.0f;
    m.mean = block_sum<threads>(sum, scratch) / static_cast<float>(n);
  }
  float squares = 0;
  for (int k = 4 * lane::thread(); k < n; k += 4 * threads)
    for (int i = 0; i < 4; ++i) {
      const float v = k + i < n ? value(k + i) - m.mean : 0.0f;
      squares = __builtin_fmaf(v, v, squares);
    }
  m.inverse = 1.0f / __builtin_sqrtf(block_sum<threads>(squares, scratch) / static_cast<float>(n) + eps);
  return m;
}

// A row of x and its norm, of which a thread of 256 has the four columns at 4 thread + 1024 i. The first
// pieces wait in registers: the norm's weights from the start, which need nothing that the launch before
// does, the row's values once load() has been called.
class NormedRow {
 public:
  RF_DEVICE NormedRow(const NormView& norm, int columns)
      : norm_(norm), columns_(columns), aligned_((columns & 3) == 0) {
    RF_UNROLL
    for (int i = 0; i < kept; ++i) weights_[i] = norm.weight != nullptr ? four(norm.weight, at(i)) : Quad{};
  }
  // Also normed values are multiplied by `weight`.
  RF_DEVICE void load(const float* x, float weight, float* scratch) {
    x_ = x;
    weight_ = weight;
    aligned_ = aligned_ && (reinterpret_cast<std::uintptr_t>(x) & 15) == 0;
    RF_UNROLL
    for (int i = 0; i < kept; ++i) values_[i] = four(x, at(i));
    if (norm_.kind == NormKind::layer) {
      float sum = 0;
      each_piece([&](const Quad& v, int) { sum += ((v.v[0] + v.v[1]) + v.v[2]) + v.v[3]; });
      moments_.mean = block_sum<256>(sum, scratch) / static_cast<float>(columns_);
    }
    if (norm_.kind == NormKind::off) return;
    float squares = 0;
    each_piece([&](const Quad& v, int k) {
      RF_UNROLL
      for (int i = 0; i < 4; ++i) {
        const float apart = k + i < columns_ ? v.v[i] - moments_.mean : 0.0f;
        squares = __builtin_fmaf(apart, apart, squares);
      }
    });
    moments_.inverse =
        1.0f / __builtin_sqrtf(block_sum<256>(squares, scratch) / static_cast<float>(columns_) + norm_.eps);
  }
  // each(four normed values, first column) over all columns, zeros beyond the last, up to `end` of which
  // every lane sees as many.
  template <class Each>
  RF_DEVICE void each_four(int end, Each each) const {
    RF_UNROLL
    for (int i = 0; i < kept; ++i)
      if (1024 * i < end) each(normed_four(values_[i], weights_[i], at(i)), at(i));
    for (int i = kept; 1024 * i < end; ++i) {
      const int k = at(i);
      each(normed_four(four(x_, k), norm_.weight != nullptr ? four(norm_.weight, k) : Quad{}, k), k);
    }
  }

  struct Quad {
    float v[4];
  };

 private:
  static constexpr int kept = 4;

  static RF_DEVICE int at(int i) { return 4 * lane::thread() + 1024 * i; }
  RF_DEVICE Quad four(const float* from, int k) const {
    Quad q{};
    if (aligned_) {
      if (k >= columns_) return q;
      const Four words = lane::load4(from + k);
      RF_UNROLL
      for (int i = 0; i < 4; ++i) q.v[i] = __builtin_bit_cast(float, words.w[i]);
    } else {
      RF_UNROLL
      for (int i = 0; i < 4; ++i)
        if (k + i < columns_) q.v[i] = from[k + i];
    }
    return q;
  }
  template <class Each>
  RF_DEVICE void each_piece(Each each) const {
    RF_UNROLL
    for (int i = 0; i < kept; ++i)
      if (1024 * i < columns_) each(values_[i], at(i));
    for (int i = kept; 1024 * i < columns_; ++i) each(four(x_, at(i)), at(i));
  }
  RF_DEVICE Quad normed_four(const Quad& v, const Quad& w, int k) const {
    Quad q{};
    RF_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (k + i >= columns_) continue;
      float x = v.v[i];
      if (norm_.kind != NormKind::off) {
        x = (x - moments_.mean) * moments_.inverse;
        if (norm_.weight != nullptr) x *= w.v[i];
        if (norm_.bias != nullptr) x += norm_.bias[k + i];
      }
      q.v[i] = x * weight_;
    }
    return q;
  }

  NormView norm_;
  int columns_;
  bool aligned_;
  const float* x_ = nullptr;
  float weight_ = 1;
  Moments moments_{0, 1};
  Quad weights_[kept], values_[kept];
};

// What a block of 32 is quantised by.
RF_DEVICE float inverse_scale(float largest) {
  return largest > 0x1p-100f ? 127.0f / largest : 0.0f;
}
RF_DEVICE float scale_of(float largest) {
  return largest / 127.0f;
}
RF_DEVICE int code_of(float v, float inverse) {
  return static_cast<int>((v * inverse + 0x1.8p23f) - 0x1.8p23f);
}
RF_DEVICE std::int32_t sums_of(int low, int high) {
  return (low & 0xffff) | static_cast<std::int32_t>(static_cast<std::uint32_t>(high) << 16);
}
// The halves of Packed::sums.
RF_DEVICE int low_sum(std::int32_t sums) {
  return static_cast<std::int16_t>(sums & 0xffff);
}
RF_DEVICE int high_sum(std::int32_t sums) {
  return sums >> 16;
}

// Quantises a row to codes, scales and sums (Packed), up to `padded` columns. Eight lanes share a block
// of 32.
RF_DEVICE void quantise(const NormedRow& row, int padded, std::int8_t* codes, float* scales,
                        std::int32_t* sums) {
  row.each_four(padded, [&](const NormedRow::Quad& v, int k) {
    float top = 0;
    RF_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float magnitude = v.v[i] < 0 ? -v.v[i] : v.v[i];
      top = magnitude > top ? magnitude : top;
    }
    top = lane::largest_of_lanes(top, 8);
    const float inverse = inverse_scale(top);
    std::uint32_t word = 0;
    int sum = 0;
    RF_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int code = code_of(v.v[i], inverse);
      sum += code;
      word |= static_cast<std::uint32_t>(code & 255) << 8 * i;
    }
    sum += lane::shuffle_xor(sum, 1);
    sum += lane::shuffle_xor(sum, 2);
    const int other = lane::shuffle_xor(sum, 4);
    if (k >= padded) return;
    *reinterpret_cast<std::uint32_t*>(codes + k) = word;
    if ((lane::thread() & 7) != 0) return;
    scales[k / 32] = scale_of(top);
    sums[k / 32] = sums_of(sum, other);
  });
}
// The row of `count`'s launch that a block of the grid stands for exists.
RF_DEVICE int rows_of(const RowCount& count) {
  if (count.counts == nullptr) return count.rows;
  const int live = count.counts[count.which];
  return live < count.rows ? live : count.rows;
}

}  // namespace rf::gpu
