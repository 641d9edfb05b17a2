// Rows of activations: norms and quantisation, by the threads of a block. Whoever does it, a row's result is
// the same to the bit.
#pragma once
#include "gpu/kernels/lane.h"
#include "gpu/kernels/params.h"

namespace rf::gpu {

// The sum over the block's threads, each of which has `own` strands of it, for all of them. `scratch`: a
// float of LDS for each 32 strands.
template <int threads, int own>
RF_DEVICE float block_sum(const float (&strands)[own], float* scratch) {
  float v[own];
  RF_UNROLL
  for (int n = 0; n < own; ++n) v[n] = lane::sum_of_lanes(strands[n], 32);
  lane::barrier();
  RF_UNROLL
  for (int n = 0; n < own; ++n)
    if (lane::thread() % 32 == 0) scratch[(lane::thread() + threads * n) / 32] = v[n];
  lane::barrier();
  float sum = 0;
  RF_UNROLL
  for (int i = 0; i < threads * own / 32; ++i) sum += scratch[i];
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
    m.mean = block_sum<threads>({sum}, scratch) / static_cast<float>(n);
  }
  float squares = 0;
  for (int k = 4 * lane::thread(); k < n; k += 4 * threads)
    for (int i = 0; i < 4; ++i) {
      const float v = k + i < n ? value(k + i) - m.mean : 0.0f;
      squares = __builtin_fmaf(v, v, squares);
    }
  m.inverse = 1.0f / __builtin_sqrtf(block_sum<threads>({squares}, scratch) / static_cast<float>(n) + eps);
  return m;
}

// A row of x and its norm, by 256 or 512 threads. Sums over it are made in row_strands strands, of which one
// has the four columns at 4 strand + 2048 i, so that they do not depend on the number of threads. An RMS norm
// without bias is a factor of all that is made of the row, known when the row has been read once. What has to
// be read again comes out of the first-level cache, rather than being kept: kernels that run once are short
// of code, which comes from memory too.
inline constexpr int row_strands = 512;
template <int threads>
class NormedRow {
  static constexpr int own = row_strands / threads, step = 4 * threads;

 public:
  struct Quad {
    float v[4];
  };
  // The strand whose turn it is comes first.
  struct Sums {
    float of_strand[own];
    RF_DEVICE void turn() {
      const float first = of_strand[0];
      of_strand[0] = of_strand[own - 1], of_strand[own - 1] = first;
    }
  };
  static_assert(own <= 2);

  RF_DEVICE NormedRow(const NormView& norm, int columns, const float* x, float weight)
      : norm_(norm),
        columns_(columns),
        x_(x),
        weight_(weight),
        aligned_(is_aligned(x) && (columns & 3) == 0) {}

  // Values do not wait for their moments.
  RF_DEVICE bool is_factor() const {
    return norm_.kind == NormKind::off || (norm_.kind == NormKind::rms && norm_.bias == nullptr);
  }
  // Before all else, unless that. `scratch`: row_strands / 32 floats of LDS.
  RF_DEVICE void find_moments(float* scratch) {
    if (norm_.kind == NormKind::off) return;
    if (norm_.kind == NormKind::layer) {
      const Sums sums = over_columns([&](const Quad& v, int, float& sum)
                                         RF_INLINE { sum += ((v.v[0] + v.v[1]) + v.v[2]) + v.v[3]; });
      mean_ = block_sum<threads>(sums.of_strand, scratch) / static_cast<float>(columns_);
    }
    take(over_columns([&](const Quad& v, int k, float& sum) RF_INLINE { add_squares(v, k, sum); }), scratch);
  }
  // The squares that each_four() gave, instead.
  RF_DEVICE void take(const Sums& squares, float* scratch) {
    if (norm_.kind == NormKind::off) return;
    inverse_ =
        1.0f / __builtin_sqrtf(block_sum<threads>(squares.of_strand, scratch) / static_cast<float>(columns_) +
                               norm_.eps);
  }
  // Of what each_four() gives, once moments are known.
  RF_DEVICE float factor() const { return is_factor() ? inverse_ * weight_ : weight_; }

  // each(four values, first column) over all columns, zeros beyond the last, up to `end` of which every lane
  // sees as many; `together` of them are loaded before the first is used. Returns the sums of squares.
  template <int together, class Each>
  RF_DEVICE Sums each_four(int end, Each each) const {
    Sums squares{};
    RF_NO_UNROLL
    for (int begin = 0; begin < whole_turns(end); begin += step * together) {
      const int first = begin + 4 * lane::thread();
      Loaded loaded[together];
      RF_UNROLL
      for (int n = 0; n < together; ++n) loaded[n] = load(first + step * n);
      RF_UNROLL
      for (int n = 0; n < together; ++n) {
        if (begin + step * n < end) {
          add_squares(loaded[n].x, first + step * n, squares.of_strand[0]);
          each(value(loaded[n], first + step * n), first + step * n);
        }
        squares.turn();
      }
    }
    return squares;
  }

 private:
  static RF_DEVICE bool is_aligned(const float* p) { return (reinterpret_cast<std::uintptr_t>(p) & 15) == 0; }
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
  template <class Add>
  RF_DEVICE Sums over_columns(Add add) const {
    Sums sums{};
    RF_NO_UNROLL
    for (int k = 4 * lane::thread(); k < whole_turns(columns_) + 4 * lane::thread(); k += step) {
      add(four(x_, k), k, sums.of_strand[0]);
      sums.turn();
    }
    return sums;
  }
  // Up to where every strand has had as many columns.
  static RF_DEVICE int whole_turns(int end) {
    return (end + 4 * row_strands - 1) / (4 * row_strands) * (4 * row_strands);
  }
  RF_DEVICE void add_squares(const Quad& x, int k, float& squares) const {
    RF_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float apart = k + i < columns_ ? x.v[i] - mean_ : 0.0f;
      squares = __builtin_fmaf(apart, apart, squares);
    }
  }
  struct Loaded {
    Quad x, weights{{1, 1, 1, 1}}, bias{};
  };
  RF_DEVICE Loaded load(int k) const {
    Loaded l;
    l.x = four(x_, k);
    if (norm_.weight != nullptr) l.weights = four(norm_.weight, k);
    if (norm_.bias != nullptr) l.bias = four(norm_.bias, k);
    return l;
  }
  RF_DEVICE Quad value(const Loaded& l, int k) const {
    Quad q{};
    RF_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float x = is_factor() ? l.x.v[i] : (l.x.v[i] - mean_) * inverse_;
      q.v[i] = k + i < columns_ ? x * l.weights.v[i] + l.bias.v[i] : 0.0f;
    }
    return q;
  }

  const NormView& norm_;
  int columns_;
  const float* x_;
  float weight_;
  bool aligned_;
  float mean_ = 0, inverse_ = 1;
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

// 32 outputs of one row, a lane each, quantised as block `block` of the packed row by those who are to store.
RF_DEVICE void pack_outputs(const Packed& out, std::int64_t row, int block, float v, bool stores) {
  const float top = lane::largest_of_lanes(v < 0 ? -v : v, 32);
  const int code = code_of(v, inverse_scale(top)), in_block = lane::thread() & 31;
  int sum = code;
  for (int m = 1; m < 16; m *= 2) sum += lane::shuffle_xor(sum, m);
  const int other = lane::shuffle_xor(sum, 16);
  if (!stores) return;
  out.codes[row * out.padded + 32 * block + in_block] = static_cast<std::int8_t>(code);
  if (in_block != 0) return;
  out.scales[row * (out.padded / 32) + block] = scale_of(top);
  out.sums[row * (out.padded / 32) + block] = sums_of(sum, other);
}

// Quantises a row to codes, scales and sums (Packed), up to `padded` columns, and returns the sums of
// squares. Scales are those of the values that each_four() gives, times `factor`. Eight lanes share a block
// of 32. `together`: as each_four.
template <int together, int threads>
RF_DEVICE auto quantise(const NormedRow<threads>& row, int padded, int block_stride, float factor,
                        std::int8_t* codes, float* scales, std::int32_t* sums) {
  return row.template each_four<together>(padded, [&](const auto& v, int k) RF_INLINE {
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
    const int at = k / 32 * block_stride;
    *reinterpret_cast<std::uint32_t*>(codes + at + k % 32) = word;
    if ((lane::thread() & 7) != 0) return;
    scales[at / 32] = scale_of(top) * factor;
    sums[at / 32] = sums_of(sum, other);
  });
}
// The row of `count`'s launch that a block of the grid stands for exists.
RF_DEVICE int rows_of(const RowCount& count) {
  if (count.counts == nullptr) return count.rows;
  const int live = count.counts[count.which];
  return live < count.rows ? live : count.rows;
}

}  // namespace rf::gpu
