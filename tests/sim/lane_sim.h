// The host face of lane.h: kernels as fibres on the simulated device (tests/sim/fibres.h). RF_SIM_WAVE is the
// wave's size, 32 or 64.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/half.h"
#include "sim/fibres.h"
#include "tensor/formats/list.h"

#define RF_DEVICE inline
#define RF_UNROLL
#define RF_UNROLL_BY(n)
#define RF_NO_UNROLL
// One array for all of a block's threads, known by its place in the source.
#define RF_SHARED(type, name, count) \
  static char name##_site;           \
  type(&name)[count] =               \
      *reinterpret_cast<type(*)[count]>(rf::gpu::sim::shared(&name##_site, sizeof(type[count])))
#define RF_KERNEL(name, Params, threads, blocks) extern "C" void name(Params p)

namespace rf::gpu::lane {

inline constexpr int wave = RF_SIM_WAVE;

inline int thread() {
  return sim::where().thread;
}
inline int block_x() {
  return sim::where().block[0];
}
inline int block_y() {
  return sim::where().block[1];
}
inline int block_z() {
  return sim::where().block[2];
}
inline std::uint8_t* dynamic_shared() {
  return sim::dynamic_shared();
}
inline void barrier() {
  sim::barrier();
}
inline void device_fence() {}
inline int uniform(int v) {
  return v;
}
inline int fresh(int v) {
  return v;
}
inline void in_order() {}
inline void wave_barrier() {
  const int nothing = 0;
  sim::exchange(&nothing, 1);
}
template <int threads>
inline void group_barrier(int) {
  if constexpr (threads <= wave)
    wave_barrier();
  else
    barrier();
}

// A lane number beyond the wave wraps around, as on the hardware.
inline int shuffle(int v, int lane) {
  const std::uint32_t* words = sim::exchange(&v, 1);
  return static_cast<int>(words[sim::exchange_words * (lane & (wave - 1))]);
}
inline float shuffle(float v, int lane) {
  return __builtin_bit_cast(float, shuffle(__builtin_bit_cast(int, v), lane));
}
inline int shuffle_xor(int v, int mask) {
  return shuffle(v, (thread() & (wave - 1)) ^ mask);
}
inline float shuffle_xor(float v, int mask) {
  return shuffle(v, (thread() & (wave - 1)) ^ mask);
}

inline int dot4(int a, int b, int c) {
  for (int j = 0; j < 4; ++j)
    c += static_cast<std::int8_t>(static_cast<std::uint32_t>(a) >> 8 * j) *
         static_cast<std::int8_t>(static_cast<std::uint32_t>(b) >> 8 * j);
  return c;
}

inline std::uint32_t select_bytes(std::uint32_t low, std::uint32_t high, std::uint32_t index) {
  const std::uint64_t all = low | static_cast<std::uint64_t>(high) << 32;
  std::uint32_t result = 0;
  for (int j = 0; j < 4; ++j)
    result |= static_cast<std::uint32_t>(all >> 8 * (index >> 8 * j & 7) & 255) << 8 * j;
  return result;
}

inline float exp2(float x) {
  return std::exp2(x);
}

inline float half_to_float(std::uint16_t bits) {
  return f16_to_f32(bits);
}
inline std::uint16_t float_to_half(float value) {
  return f32_to_f16(value);
}

inline std::uint32_t pack_halves(float low, float high) {
  return float_to_half(low) | static_cast<std::uint32_t>(float_to_half(high)) << 16;
}

inline Four load4(const void* p) {
  sim::check_aligned(p, 16);
  Four four;
  std::memcpy(&four, p, sizeof four);
  return four;
}
inline Four load4_once(const void* p) {
  return load4(p);
}
inline std::uint32_t load1_once(const void* p) {
  sim::check_aligned(p, 4);
  std::uint32_t one;
  std::memcpy(&one, p, sizeof one);
  return one;
}
inline Two load2_once(const void* p) {
  sim::check_aligned(p, 8);
  Two two;
  std::memcpy(&two, p, sizeof two);
  return two;
}
inline void prefetch(const void*) {}

inline std::int32_t atomic_add(std::int32_t* p, std::int32_t n) {
  const std::int32_t before = *p;
  *p = before + n;
  return before;
}

inline void wait_for_previous() {}
inline void let_next_start() {}

inline constexpr bool without_matrix_unit = false;

// A unit that holds its operands spread over the wave, in a way of its own: a lane has word `w` of row
// lane % 16, quad lane / 16 + (wave / 16) w, and the sums of one activation row.
struct MatrixUnit {
  static constexpr bool low_rows_first = false;
  static constexpr int parts = wave / 16, words = 8 / parts, sums = 256 / wave;
  struct Activations {
    std::uint32_t w[words];
  };
  static int weight_row(int lane, int) { return lane & 15; }
  static int weight_quad(int lane, int w) { return lane / 16 + parts * w; }
  static int sum_weight(int lane, int i) { return lane / 16 + parts * i; }
  static int sum_activation(int lane, int) { return lane & 15; }
  static Activations load(const std::uint32_t* rows, int lane) {
    sim::check_aligned(rows, 16);
    Activations a;
    for (int w = 0; w < words; ++w) a.w[w] = rows[operand_word(lane & 15, weight_quad(lane, w))];
    return a;
  }
  static constexpr int quad_at(int place) { return place; }
  static void load_weights(const std::uint32_t* rows, int lane, std::uint32_t (&out)[words]) {
    for (int w = 0; w < words; ++w) out[w] = rows[operand_word(lane & 15, weight_quad(lane, w))];
  }
  static Activations read(const std::int8_t* rows, int stride, int lane) {
    Activations a;
    const int row = lane & 15;
    for (int w = 0; w < words; ++w)
      std::memcpy(&a.w[w], rows + row * stride + 4 * weight_quad(lane, w), sizeof a.w[w]);
    return a;
  }
  static void multiply(int (&c)[sums], const std::uint32_t (&weights)[words], const Activations& a) {
    product(c, weights, a, 0, 8);
  }
  template <int h>
  static void multiply_half(int (&c)[sums], const std::uint32_t (&weights)[words], const Activations& a) {
    product(c, weights, a, 4 * h, 4 * h + 4);
  }

 private:
  static void product(int (&c)[sums], const std::uint32_t (&weights)[words], const Activations& a, int first,
                      int last) {
    std::uint32_t own[2 * words];
    std::memcpy(own, weights, sizeof weights);
    std::memcpy(own + words, a.w, sizeof a.w);
    const int lane = thread() & (wave - 1);
    const std::uint32_t* all = sim::exchange(own, 2 * words);
    const auto at = [&](int row, int quad, int operand) {
      return static_cast<int>(
          all[sim::exchange_words * (row + 16 * (quad % parts)) + operand * words + quad / parts]);
    };
    for (int i = 0; i < sums; ++i)
      for (int quad = first; quad < last; ++quad)
        c[i] = dot4(at(sum_weight(lane, i), quad, 0), at(sum_activation(lane, i), quad, 1), c[i]);
  }
};

inline constexpr bool without_half_unit = false;

// Waves of 32 have two query rows a lane, and columns in pairs; waves of 64 one, and four columns.
struct HalfUnit {
  static constexpr bool small = wave == 32;
  static constexpr int parts = 64 / wave, sums = 256 / wave, rows = small ? 2 : 1,
                       lanes_from = small ? 1 : 16, lanes_to = small ? 4 : 64;
  struct Operand {
    Four part[parts];
  };
  static int row(int lane, int n) { return small ? lane / 4 + 8 * n : lane % 16; }
  static int unit(int lane, int) { return small ? lane % 4 : lane / 16; }
  static int query(int lane, int r) { return row(lane, r); }
  static constexpr int row_of(int i) { return small ? i >> 1 & 1 : 0; }
  static int other(int lane, int i) {
    return small ? 2 * (lane % 4) + (i & 1) + 8 * (i >> 2) : 4 * (lane / 16) + i;
  }
  static constexpr int place(int m) { return 4 * (m & 3) + (m >> 2); }
  static void multiply(float (&c)[sums], const Operand& queries, const Operand& others) {
    const Operand own[2] = {queries, others};
    const int lane = thread() & (wave - 1);
    const std::uint32_t* all = sim::exchange(own, 8 * parts);
    for (int i = 0; i < sums; ++i) {
      const int q = query(lane, row_of(i)), o = other(lane, i);
      for (int u = 0; u < 4; ++u) {
        const std::uint32_t *a = at(all, q, u), *b = at(all, o, u) + 4 * parts;
        for (int w = 0; w < 4; ++w)
          for (int h = 0; h < 32; h += 16)
            c[i] += half_to_float(static_cast<std::uint16_t>(a[w] >> h)) *
                    half_to_float(static_cast<std::uint16_t>(b[w] >> h));
      }
    }
  }
  static Operand turn(const std::uint32_t (&first)[sums / 2], const std::uint32_t (&second)[sums / 2]) {
    Operand o;
    if constexpr (small) {
      o.part[0] = {{first[0], first[2], second[0], second[2]}};
      o.part[1] = {{first[1], first[3], second[1], second[3]}};
    } else {
      const std::uint32_t own[4] = {first[0], first[1], second[0], second[1]};
      const int lane = thread() & (wave - 1), u = unit(lane, 0);
      const std::uint32_t* all = sim::exchange(own, 4);
      for (int w = 0; w < 4; ++w)
        o.part[0].w[w] = all[sim::exchange_words * (row(lane, 0) + 16 * (2 * (w & 1) + (u >> 1))) +
                             2 * (w >> 1) + (u & 1)];
    }
    return o;
  }

 private:
  static const std::uint32_t* at(const std::uint32_t* all, int row, int unit) {
    return all + sim::exchange_words * (small ? row % 8 * 4 + unit : row + 16 * unit) +
           (small ? row / 8 * 4 : 0);
  }
};

}  // namespace rf::gpu::lane
