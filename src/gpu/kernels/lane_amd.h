// The AMD face of lane.h: clang's builtins, from gfx906 on.
#pragma once
#include <cstdint>

#define RF_DEVICE __attribute__((device, always_inline)) inline
#define RF_UNROLL _Pragma("unroll")
#define RF_PRAGMA(text) _Pragma(#text)
#define RF_UNROLL_BY(n) RF_PRAGMA(unroll n)
#define RF_NO_UNROLL _Pragma("nounroll")
#define RF_SHARED(type, name, count) __attribute__((shared)) type name[count]
#define RF_KERNEL(name, Params, threads, blocks) \
  extern "C" __attribute__((global, amdgpu_flat_work_group_size(threads, threads))) void name(Params p)

// The formats' headers are written for the host as well.
#pragma clang force_cuda_host_device begin
#include "tensor/formats/list.h"
#pragma clang force_cuda_host_device end

namespace rf::gpu {
extern __attribute__((shared)) Four rf_dynamic_lds[];
}

namespace rf::gpu::lane {

inline constexpr int wave = __AMDGCN_WAVEFRONT_SIZE__;

RF_DEVICE int thread() {
  return static_cast<int>(__builtin_amdgcn_workitem_id_x());
}
RF_DEVICE int block_x() {
  return static_cast<int>(__builtin_amdgcn_workgroup_id_x());
}
RF_DEVICE int block_y() {
  return static_cast<int>(__builtin_amdgcn_workgroup_id_y());
}
RF_DEVICE int block_z() {
  return static_cast<int>(__builtin_amdgcn_workgroup_id_z());
}
RF_DEVICE std::uint8_t* dynamic_shared() {
  return reinterpret_cast<std::uint8_t*>(rf_dynamic_lds);
}

RF_DEVICE void barrier() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
  __builtin_amdgcn_s_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}
RF_DEVICE void device_fence() {
  __builtin_amdgcn_fence(__ATOMIC_SEQ_CST, "agent");
}
RF_DEVICE void wave_barrier() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "wavefront");
  __builtin_amdgcn_wave_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "wavefront");
}
template <int threads>
RF_DEVICE void group_barrier(int) {
  if constexpr (threads <= wave)
    wave_barrier();
  else
    barrier();
}

RF_DEVICE int uniform(int v) {
  return __builtin_amdgcn_readfirstlane(v);
}
RF_DEVICE int fresh(int v) {
  asm volatile("" : "+v"(v));
  return v;
}
RF_DEVICE void in_order() {
  __builtin_amdgcn_sched_barrier(0);
}

RF_DEVICE int shuffle(int v, int lane) {
  return __builtin_amdgcn_ds_bpermute(4 * lane, v);
}
RF_DEVICE float shuffle(float v, int lane) {
  return __builtin_bit_cast(float, shuffle(__builtin_bit_cast(int, v), lane));
}
RF_DEVICE int shuffle_xor(int v, int mask) {
  return shuffle(v, (thread() & (wave - 1)) ^ mask);
}
RF_DEVICE float shuffle_xor(float v, int mask) {
  return shuffle(v, (thread() & (wave - 1)) ^ mask);
}

RF_DEVICE int dot4(int a, int b, int c) {
#if defined(__GFX11__) || defined(__GFX12__)
  return __builtin_amdgcn_sudot4(true, a, true, b, c, false);
#elif defined(__gfx900__) || defined(__gfx902__) || defined(__gfx904__) || defined(__gfx909__) ||       \
    defined(__gfx90c__) || defined(__gfx9_generic__) || defined(__gfx1010__) || defined(__gfx1013__) || \
    defined(__gfx10_1_generic__)
  // Bytes are taken out anew each time: those of all operands would not stay in registers.
  asm volatile("" : "+v"(a), "+v"(b));
  for (int j = 0; j < 32; j += 8) c += (a << (24 - j) >> 24) * (b << (24 - j) >> 24);
  asm volatile("" : "+v"(c));
  return c;
#else
  return __builtin_amdgcn_sdot4(a, b, c, false);
#endif
}

RF_DEVICE std::uint32_t select_bytes(std::uint32_t low, std::uint32_t high, std::uint32_t index) {
  return __builtin_amdgcn_perm(high, low, index);
}

RF_DEVICE float exp2(float x) {
  return __builtin_amdgcn_exp2f(x);
}

RF_DEVICE float half_to_float(std::uint16_t bits) {
  return static_cast<float>(__builtin_bit_cast(_Float16, bits));
}
RF_DEVICE std::uint16_t float_to_half(float value) {
  return __builtin_bit_cast(std::uint16_t, static_cast<_Float16>(value));
}

RF_DEVICE std::uint32_t pack_halves(float low, float high) {
  return float_to_half(low) | static_cast<std::uint32_t>(float_to_half(high)) << 16;
}

typedef std::uint32_t NativeFour __attribute__((ext_vector_type(4)));
typedef std::uint32_t NativeTwo __attribute__((ext_vector_type(2)));
RF_DEVICE Four load4(const void* p) {
  return __builtin_bit_cast(Four, *static_cast<const NativeFour*>(p));
}
// From device memory, whatever the compiler knows of the pointer: flat loads would count as LDS's too.
template <class Native>
RF_DEVICE Native load_global(const void* p) {
  return *(const __attribute__((address_space(1))) Native*)p;
}
RF_DEVICE Four load4_once(const void* p) {
  return __builtin_bit_cast(Four, load_global<NativeFour>(p));
}
RF_DEVICE Two load2_once(const void* p) {
  return __builtin_bit_cast(Two, load_global<NativeTwo>(p));
}
RF_DEVICE std::uint32_t load1_once(const void* p) {
  return load_global<std::uint32_t>(p);
}

RF_DEVICE void prefetch(const void*) {}

RF_DEVICE std::int32_t atomic_add(std::int32_t* p, std::int32_t n) {
  return __hip_atomic_fetch_add(p, n, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}

RF_DEVICE void wait_for_previous() {}
RF_DEVICE void let_next_start() {}

typedef int Native4 __attribute__((ext_vector_type(4)));
typedef int Native8 __attribute__((ext_vector_type(8)));
typedef int Native2 __attribute__((ext_vector_type(2)));

#if defined(__GFX11__) || defined(__GFX12__) || defined(__gfx908__) || defined(__gfx90a__) || \
    defined(__gfx940__) || defined(__gfx941__) || defined(__gfx942__) || defined(__gfx950__)
inline constexpr bool without_matrix_unit = false;
#else
inline constexpr bool without_matrix_unit = true;
#endif

// Activations are the rows of the hardware's product, weights its columns: a lane has sums of one weight row.
#if defined(__GFX11__)
struct MatrixUnit {
  static constexpr bool low_rows_first = true;
  static constexpr int words = 8, sums = 8;
  struct Activations {
    std::uint32_t w[words];
  };
  static RF_DEVICE int weight_row(int lane, int) { return lane & 15; }
  static RF_DEVICE int weight_quad(int, int w) { return w; }
  static RF_DEVICE int sum_weight(int lane, int) { return lane & 15; }
  static RF_DEVICE int sum_activation(int lane, int i) { return 2 * i + (lane >> 4); }
  static RF_DEVICE Activations load(const std::uint32_t* rows, int lane) {
    const int row = lane & 15;
    const Four a = load4(rows + operand_word(row, 0)), b = load4(rows + operand_word(row, 4));
    return {{a.w[0], a.w[1], a.w[2], a.w[3], b.w[0], b.w[1], b.w[2], b.w[3]}};
  }
  static RF_DEVICE Activations read(const std::int8_t* rows, int stride, int lane) {
    const std::int8_t* from = rows + (lane & 15) * stride;
    const Four a = load4(from), b = load4(from + 16);
    return {{a.w[0], a.w[1], a.w[2], a.w[3], b.w[0], b.w[1], b.w[2], b.w[3]}};
  }
  template <int h, bool alone = true>
  static RF_DEVICE void multiply_half(int (&c)[sums], const std::uint32_t (&weights)[words],
                                      const Activations& a) {
    if (alone) in_order();
    Native4 x, y;
    Native8 z;
    for (int i = 0; i < 4; ++i) {
      x[i] = static_cast<int>(a.w[4 * h + i]);
      y[i] = static_cast<int>(weights[4 * h + i]);
    }
    for (int i = 0; i < sums; ++i) z[i] = c[i];
    z = __builtin_amdgcn_wmma_i32_16x16x16_iu8_w32(true, x, true, y, z, false);
    for (int i = 0; i < sums; ++i) c[i] = z[i];
  }
#elif defined(__GFX12__)
struct MatrixUnit {
  static constexpr bool low_rows_first = false;
  static constexpr int words = 4, sums = 8;
  struct Activations {
    std::uint32_t w[words];
  };
  static RF_DEVICE int weight_row(int lane, int) { return lane & 15; }
  static RF_DEVICE int weight_quad(int lane, int w) { return 4 * (w >> 1) + 2 * (lane >> 4) + (w & 1); }
  static RF_DEVICE int sum_weight(int lane, int) { return lane & 15; }
  static RF_DEVICE int sum_activation(int lane, int i) { return i + 8 * (lane >> 4); }
  static RF_DEVICE Activations load(const std::uint32_t* rows, int lane) {
    const std::uint32_t* low = rows + operand_word(lane & 15, 2 * (lane >> 4));
    const std::uint32_t* high = rows + operand_word(lane & 15, 2 * (lane >> 4) + 4);
    return {{low[0], low[1], high[0], high[1]}};
  }
  static RF_DEVICE Activations read(const std::int8_t* rows, int stride, int lane) {
    const std::int8_t* from = rows + (lane & 15) * stride + 8 * (lane >> 4);
    const Two low = load2_once(from), high = load2_once(from + 16);
    return {{low.w[0], low.w[1], high.w[0], high.w[1]}};
  }
  template <int h, bool alone = true>
  static RF_DEVICE void multiply_half(int (&c)[sums], const std::uint32_t (&weights)[words],
                                      const Activations& a) {
    if (alone) in_order();
    Native2 x, y;
    Native8 z;
    for (int i = 0; i < 2; ++i) {
      x[i] = static_cast<int>(a.w[2 * h + i]);
      y[i] = static_cast<int>(weights[2 * h + i]);
    }
    for (int i = 0; i < sums; ++i) z[i] = c[i];
    z = __builtin_amdgcn_wmma_i32_16x16x16_iu8_w32_gfx12(true, x, true, y, z, false);
    for (int i = 0; i < sums; ++i) c[i] = z[i];
  }
#elif defined(__gfx908__) || defined(__gfx90a__)
struct MatrixUnit {
  static constexpr bool low_rows_first = false;
  static constexpr int words = 2, sums = 4;
  struct Activations {
    std::uint32_t w[words];
  };
  static RF_DEVICE int weight_row(int lane, int) { return lane & 15; }
  static RF_DEVICE int weight_quad(int lane, int w) { return 4 * w + (lane >> 4); }
  static RF_DEVICE int sum_weight(int lane, int) { return lane & 15; }
  static RF_DEVICE int sum_activation(int lane, int i) { return 4 * (lane >> 4) + i; }
  static RF_DEVICE Activations load(const std::uint32_t* rows, int lane) {
    return {{rows[operand_word(lane & 15, lane >> 4)], rows[operand_word(lane & 15, (lane >> 4) + 4)]}};
  }
  static RF_DEVICE Activations read(const std::int8_t* rows, int stride, int lane) {
    const std::int8_t* from = rows + (lane & 15) * stride + 4 * (lane >> 4);
    return {
        {*reinterpret_cast<const std::uint32_t*>(from), *reinterpret_cast<const std::uint32_t*>(from + 16)}};
  }
  template <int h, bool alone = true>
  static RF_DEVICE void multiply_half(int (&c)[sums], const std::uint32_t (&weights)[words],
                                      const Activations& a) {
    if (alone) in_order();
    Native4 z = {c[0], c[1], c[2], c[3]};
    z = __builtin_amdgcn_mfma_i32_16x16x16i8(static_cast<int>(a.w[h]), static_cast<int>(weights[h]), z, 0, 0,
                                             0);
    for (int i = 0; i < sums; ++i) c[i] = z[i];
  }
#elif defined(__gfx940__) || defined(__gfx941__) || defined(__gfx942__) || defined(__gfx950__)
struct MatrixUnit {
  static constexpr bool low_rows_first = false;
  static constexpr int words = 2, sums = 4;
  struct Activations {
    std::uint32_t w[words];
  };
  static RF_DEVICE int weight_row(int lane, int) { return lane & 15; }
  static RF_DEVICE int weight_quad(int lane, int w) { return 2 * (lane >> 4) + w; }
  static RF_DEVICE int sum_weight(int lane, int) { return lane & 15; }
  static RF_DEVICE int sum_activation(int lane, int i) { return 4 * (lane >> 4) + i; }
  static RF_DEVICE Activations load(const std::uint32_t* rows, int lane) {
    const std::uint32_t* from = rows + operand_word(lane & 15, 2 * (lane >> 4));
    return {{from[0], from[1]}};
  }
  static RF_DEVICE Activations read(const std::int8_t* rows, int stride, int lane) {
    const Two two = load2_once(rows + (lane & 15) * stride + 8 * (lane >> 4));
    return {{two.w[0], two.w[1]}};
  }
  static RF_DEVICE void product(int (&c)[sums], std::uint64_t x, std::uint64_t y) {
    Native4 z = {c[0], c[1], c[2], c[3]};
    z = __builtin_amdgcn_mfma_i32_16x16x32_i8(static_cast<long>(x), static_cast<long>(y), z, 0, 0, 0);
    for (int i = 0; i < sums; ++i) c[i] = z[i];
  }
  static RF_DEVICE std::uint64_t pair(std::uint32_t low, std::uint32_t high) {
    return low | static_cast<std::uint64_t>(high) << 32;
  }
  static RF_DEVICE void multiply(int (&c)[sums], const std::uint32_t (&weights)[words],
                                 const Activations& a) {
    product(c, pair(a.w[0], a.w[1]), pair(weights[0], weights[1]));
  }
  // The other half's lanes give zeros.
  template <int h>
  static RF_DEVICE void multiply_half(int (&c)[sums], const std::uint32_t (&weights)[words],
                                      const Activations& a) {
    const bool mine = (thread() >> 5 & 1) == h;
    product(c, pair(a.w[0], a.w[1]), mine ? pair(weights[0], weights[1]) : 0);
  }
#else
// No matrix unit: every lane has a whole weight row and reads the activation rows of its sums.
struct MatrixUnit {
  static constexpr bool low_rows_first = false;
  static constexpr int words = 8, sums = 256 / wave;
  // Where they lie: read when they are multiplied, they need no registers. Rows in LDS have halves exchanged.
  struct Activations {
    const std::uint8_t* first;  // of the sums' rows
    int stride, row, exchanged;
    RF_DEVICE Four half(int i, int h) const {
      int at = i * stride + 16 * (h ^ (exchanged & (row + i) >> 2));
      asm volatile("" : "+v"(at));  // addresses of all rows are not kept
      return load4(first + at);
    }
  };
  static RF_DEVICE int weight_row(int lane, int) { return lane & 15; }
  static RF_DEVICE int weight_quad(int, int w) { return w; }
  static RF_DEVICE int sum_weight(int lane, int) { return lane & 15; }
  static RF_DEVICE int sum_activation(int lane, int i) { return sums * (lane >> 4) + i; }
  static RF_DEVICE Activations load(const std::uint32_t* rows, int lane) {
    const int row = sum_activation(lane, 0);
    return {reinterpret_cast<const std::uint8_t*>(rows + 8 * row), 32, row, 1};
  }
  static RF_DEVICE Activations read(const std::int8_t* rows, int stride, int lane) {
    const int row = sum_activation(lane, 0);
    return {reinterpret_cast<const std::uint8_t*>(rows + row * stride), stride, row, 0};
  }
  template <int h, bool alone = true>
  static RF_DEVICE void multiply_half(int (&c)[sums], const std::uint32_t (&weights)[words],
                                      const Activations& a) {
    RF_UNROLL
    for (int i = 0; i < sums; ++i) {
      in_order();
      const Four x = a.half(i, h);
      RF_UNROLL
      for (int j = 0; j < 4; ++j)
        c[i] = dot4(static_cast<int>(weights[4 * h + j]), static_cast<int>(x.w[j]), c[i]);
      asm volatile("" : "+v"(c[i]));  // before the next row is read
    }
  }
#endif
  static constexpr int quad_at(int place) { return place; }
  static RF_DEVICE void load_weights(const std::uint32_t* rows, int lane, std::uint32_t (&out)[words]) {
    RF_UNROLL
    for (int w = 0; w < words; ++w) out[w] = rows[operand_word(weight_row(lane, w), weight_quad(lane, w))];
  }
#if !(defined(__gfx940__) || defined(__gfx941__) || defined(__gfx942__) || defined(__gfx950__))
  static RF_DEVICE void multiply(int (&c)[sums], const std::uint32_t (&weights)[words],
                                 const Activations& a) {
    multiply_half<0, false>(c, weights, a);
    multiply_half<1, false>(c, weights, a);
  }
#endif
};

typedef _Float16 NativeHalf4 __attribute__((ext_vector_type(4)));
typedef _Float16 NativeHalf8 __attribute__((ext_vector_type(8)));
typedef _Float16 NativeHalf16 __attribute__((ext_vector_type(16)));
typedef float NativeFloat4 __attribute__((ext_vector_type(4)));
typedef float NativeFloat8 __attribute__((ext_vector_type(8)));

#if defined(__GFX11__) || defined(__GFX12__) || defined(__gfx908__) || defined(__gfx90a__) || \
    defined(__gfx940__) || defined(__gfx941__) || defined(__gfx942__) || defined(__gfx950__)
inline constexpr bool without_half_unit = false;

// The others are the rows of the hardware's product, queries its columns: a lane has sums of one query row.
// gfx90a takes subnormal halves for zeros.
struct HalfUnit {
#if defined(__GFX11__)
  static constexpr int parts = 4, sums = 8;
#elif defined(__GFX12__)
  static constexpr int parts = 2, sums = 8;
#else
  static constexpr int parts = 1, sums = 4;
#endif
  static constexpr int rows = 1, lanes_from = 16, lanes_to = wave;
  struct Operand {
    Four part[parts];
  };
  static RF_DEVICE int row(int lane, int) { return lane & 15; }
  static RF_DEVICE int query(int lane, int) { return lane & 15; }
  static constexpr int row_of(int) { return 0; }
#if defined(__GFX11__)
  // Both halves of the wave have the same operand, and every other row of sums.
  static RF_DEVICE int unit(int, int n) { return n; }
  static RF_DEVICE int other(int lane, int i) { return 2 * i + (lane >> 4); }
  static constexpr int place(int m) { return m; }
  static RF_DEVICE void multiply(float (&c)[sums], const Operand& queries, const Operand& others) {
    struct Pair {
      Four low, high;
    };
    NativeFloat8 z;
    for (int i = 0; i < sums; ++i) z[i] = c[i];
    for (int t = 0; t < 4; t += 2)
      z = __builtin_amdgcn_wmma_f32_16x16x16_f16_w32(
          __builtin_bit_cast(NativeHalf16, Pair{others.part[t], others.part[t + 1]}),
          __builtin_bit_cast(NativeHalf16, Pair{queries.part[t], queries.part[t + 1]}), z);
    for (int i = 0; i < sums; ++i) c[i] = z[i];
  }
  static RF_DEVICE Operand turn(const std::uint32_t (&first)[sums / 2],
                                const std::uint32_t (&second)[sums / 2]) {
    const bool odd_here = (thread() & 16) != 0;
    Operand o;
    for (int j = 0; j < sums; ++j) {
      const std::uint32_t own = j < 4 ? first[j & 3] : second[j & 3];
      const std::uint32_t other =
          __builtin_amdgcn_permlanex16(own, own, 0x76543210, 0xfedcba98, false, false);
      const std::uint32_t even = odd_here ? other : own, odd = odd_here ? own : other;
      o.part[j >> 1].w[2 * (j & 1)] = select_bytes(even, odd, 0x05040100);
      o.part[j >> 1].w[2 * (j & 1) + 1] = select_bytes(even, odd, 0x07060302);
    }
    return o;
  }
#elif defined(__GFX12__)
  static RF_DEVICE int unit(int lane, int n) { return 2 * n + (lane >> 4); }
  static RF_DEVICE int other(int lane, int i) { return i + 8 * (lane >> 4); }
  static constexpr int place(int m) { return m; }
  static RF_DEVICE void multiply(float (&c)[sums], const Operand& queries, const Operand& others) {
    NativeFloat8 z;
    for (int i = 0; i < sums; ++i) z[i] = c[i];
    for (int t = 0; t < 2; ++t)
      z = __builtin_amdgcn_wmma_f32_16x16x16_f16_w32_gfx12(__builtin_bit_cast(NativeHalf8, others.part[t]),
                                                           __builtin_bit_cast(NativeHalf8, queries.part[t]),
                                                           z);
    for (int i = 0; i < sums; ++i) c[i] = z[i];
  }
  static RF_DEVICE Operand turn(const std::uint32_t (&first)[sums / 2],
                                const std::uint32_t (&second)[sums / 2]) {
    return {{{{first[0], first[1], first[2], first[3]}}, {{second[0], second[1], second[2], second[3]}}}};
  }
#else
  // Four quarters of the wave have four halves of a product each: words 2 t and 2 t + 1 of a unit for the
  // t-th.
  static RF_DEVICE int unit(int lane, int) { return lane >> 4; }
  static RF_DEVICE int other(int lane, int i) { return 4 * (lane >> 4) + i; }
  static constexpr int place(int m) { return 4 * (m >> 1 & 3) + 2 * (m >> 3) + (m & 1); }
  static RF_DEVICE void multiply(float (&c)[sums], const Operand& queries, const Operand& others) {
    NativeFloat4 z = {c[0], c[1], c[2], c[3]};
    for (int t = 0; t < 4; t += 2)
      z = __builtin_amdgcn_mfma_f32_16x16x16f16(
          __builtin_bit_cast(NativeHalf4, Two{{others.part[0].w[t], others.part[0].w[t + 1]}}),
          __builtin_bit_cast(NativeHalf4, Two{{queries.part[0].w[t], queries.part[0].w[t + 1]}}), z, 0, 0, 0);
    for (int i = 0; i < sums; ++i) c[i] = z[i];
  }
  static RF_DEVICE Operand turn(const std::uint32_t (&first)[sums / 2],
                                const std::uint32_t (&second)[sums / 2]) {
    return {{{{first[0], first[1], second[0], second[1]}}}};
  }
#endif
};
#else
inline constexpr bool without_half_unit = true;
struct HalfUnit;
struct HalfUnit;
#endif

}  // namespace rf::gpu::lane
