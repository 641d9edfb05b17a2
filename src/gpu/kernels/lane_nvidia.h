// The NVIDIA face of lane.h: clang's builtins and PTX, from sm_80 on.
#pragma once
#include <cstdint>

#define RF_DEVICE __attribute__((device, always_inline)) inline
#define RF_UNROLL _Pragma("unroll")
#define RF_PRAGMA(text) _Pragma(#text)
#define RF_UNROLL_BY(n) RF_PRAGMA(unroll n)
#define RF_NO_UNROLL _Pragma("nounroll")
#define RF_SHARED(type, name, count) __attribute__((shared)) type name[count]
#define RF_KERNEL(name, Params, threads, blocks) \
  extern "C" __attribute__((global, launch_bounds(threads, blocks))) void name(Params p)

// The formats' headers are written for the host as well.
#pragma clang force_cuda_host_device begin
#include "tensor/formats/list.h"
#pragma clang force_cuda_host_device end

namespace rf::gpu {
extern __attribute__((shared)) Four rf_dynamic_lds[];
}

namespace rf::gpu::lane {

inline constexpr int wave = 32;

RF_DEVICE int thread() {
  return __nvvm_read_ptx_sreg_tid_x();
}
RF_DEVICE int block_x() {
  return __nvvm_read_ptx_sreg_ctaid_x();
}
RF_DEVICE int block_y() {
  return __nvvm_read_ptx_sreg_ctaid_y();
}
RF_DEVICE int block_z() {
  return __nvvm_read_ptx_sreg_ctaid_z();
}
RF_DEVICE std::uint8_t* dynamic_shared() {
  return reinterpret_cast<std::uint8_t*>(rf_dynamic_lds);
}

RF_DEVICE void barrier() {
  __syncthreads();
}
RF_DEVICE void wave_barrier() {
  __nvvm_bar_warp_sync(~0u);
}
template <int threads>
RF_DEVICE void group_barrier(int group) {
  if constexpr (threads <= wave)
    wave_barrier();
  else
    asm volatile("bar.sync %0, %1;" ::"r"(1 + group), "n"(threads) : "memory");
}
RF_DEVICE void device_fence() {
  asm volatile("fence.acq_rel.gpu;" ::: "memory");
}

RF_DEVICE int uniform(int v) {
  return v;
}
RF_DEVICE int fresh(int v) {
  asm volatile("" : "+r"(v));
  return v;
}
RF_DEVICE void in_order() {}

RF_DEVICE int shuffle(int v, int lane) {
  return __nvvm_shfl_sync_idx_i32(~0u, v, lane, 31);
}
RF_DEVICE float shuffle(float v, int lane) {
  return __nvvm_shfl_sync_idx_f32(~0u, v, lane, 31);
}
RF_DEVICE int shuffle_xor(int v, int mask) {
  return __nvvm_shfl_sync_bfly_i32(~0u, v, mask, 31);
}
RF_DEVICE float shuffle_xor(float v, int mask) {
  return __nvvm_shfl_sync_bfly_f32(~0u, v, mask, 31);
}

RF_DEVICE int dot4(int a, int b, int c) {
  int d;
  asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}

RF_DEVICE std::uint32_t select_bytes(std::uint32_t low, std::uint32_t high, std::uint32_t index) {
  const std::uint32_t near = index | index >> 4;  // two nibbles of the selector in each byte
  const std::uint32_t selector = (near & 0xff) | (near >> 8 & 0xff00);
  return __nvvm_prmt(low, high, selector);
}

RF_DEVICE float exp2(float x) {
  return __nvvm_ex2_approx_ftz_f(x);
}

RF_DEVICE float half_to_float(std::uint16_t bits) {
  return static_cast<float>(__builtin_bit_cast(_Float16, bits));
}
RF_DEVICE std::uint16_t float_to_half(float value) {
  return __builtin_bit_cast(std::uint16_t, static_cast<_Float16>(value));
}

RF_DEVICE std::uint32_t pack_halves(float low, float high) {
  std::uint32_t word;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}

typedef std::uint32_t NativeFour __attribute__((ext_vector_type(4)));
typedef std::uint32_t NativeTwo __attribute__((ext_vector_type(2)));
RF_DEVICE Four load4(const void* p) {
  return __builtin_bit_cast(Four, *static_cast<const NativeFour*>(p));
}
RF_DEVICE Four load4_once(const void* p) {
  return __builtin_bit_cast(Four, __nvvm_ldg_ui4(static_cast<const NativeFour*>(p)));
}
RF_DEVICE Two load2_once(const void* p) {
  return __builtin_bit_cast(Two, __nvvm_ldg_ui2(static_cast<const NativeTwo*>(p)));
}
RF_DEVICE std::uint32_t load1_once(const void* p) {
  return __nvvm_ldg_ui(static_cast<const std::uint32_t*>(p));
}

RF_DEVICE void prefetch(const void* p) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}

RF_DEVICE std::int32_t atomic_add(std::int32_t* p, std::int32_t n) {
  return __nvvm_atom_add_gen_i(p, n);
}

RF_DEVICE void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
RF_DEVICE void let_next_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

inline constexpr bool without_matrix_unit = false;

// Weights are the 16 rows of mma's product, activations two times its 8 columns.
struct MatrixUnit {
  static constexpr int words = 4, sums = 8;
  static constexpr bool low_rows_first = true;
  struct Activations {
    std::uint32_t w[words];
  };
  static RF_DEVICE int weight_row(int lane, int w) { return (lane >> 2) + 8 * (w & 1); }
  static RF_DEVICE int weight_quad(int lane, int w) { return (lane & 3) + 4 * (w >> 1); }
  static RF_DEVICE int sum_weight(int lane, int i) { return (lane >> 2) + 8 * (i >> 1 & 1); }
  static RF_DEVICE int sum_activation(int lane, int i) { return 2 * (lane & 3) + (i & 1) + 8 * (i >> 2); }
  // A lane's two words of a row are neighbours.
  static constexpr int quad_at(int place) { return (place >> 1) + 4 * (place & 1); }
  static RF_DEVICE Two load_two(const std::uint32_t* rows, int lane) {
    return *reinterpret_cast<const Two*>(rows + operand_word(lane >> 2, 2 * (lane & 3)));
  }
  static RF_DEVICE Activations load(const std::uint32_t* rows, int lane) {
    const Two low = load_two(rows, lane), high = load_two(rows + 64, lane);
    return {{low.w[0], low.w[1], high.w[0], high.w[1]}};
  }
  static RF_DEVICE void load_weights(const std::uint32_t* rows, int lane, std::uint32_t (&out)[words]) {
    const Two low = load_two(rows, lane), high = load_two(rows + 64, lane);
    out[0] = low.w[0], out[1] = high.w[0], out[2] = low.w[1], out[3] = high.w[1];
  }
  static RF_DEVICE Activations read(const std::int8_t* rows, int stride, int lane) {
    Activations a;
    RF_UNROLL
    for (int n = 0; n < 2; ++n) {
      const int row = (lane >> 2) + 8 * n;
      const std::int8_t* from = rows + row * stride + 4 * (lane & 3);
      a.w[2 * n] = *reinterpret_cast<const std::uint32_t*>(from);
      a.w[2 * n + 1] = *reinterpret_cast<const std::uint32_t*>(from + 16);
    }
    return a;
  }
  static RF_DEVICE void multiply(int (&c)[sums], const std::uint32_t (&weights)[words],
                                 const Activations& a) {
    for (int n = 0; n < 2; ++n)
      asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
          "{%0, %1, %2, %3};"
          : "+r"(c[4 * n]), "+r"(c[4 * n + 1]), "+r"(c[4 * n + 2]), "+r"(c[4 * n + 3])
          : "r"(weights[0]), "r"(weights[1]), "r"(weights[2]), "r"(weights[3]), "r"(a.w[2 * n]),
            "r"(a.w[2 * n + 1]));
  }
  template <int h>
  static RF_DEVICE void multiply_half(int (&c)[sums], const std::uint32_t (&weights)[words],
                                      const Activations& a) {
    for (int n = 0; n < 2; ++n)
      asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
          "{%0, %1, %2, %3};"
          : "+r"(c[4 * n]), "+r"(c[4 * n + 1]), "+r"(c[4 * n + 2]), "+r"(c[4 * n + 3])
          : "r"(weights[2 * h]), "r"(weights[2 * h + 1]), "r"(a.w[2 * n + h]));
  }
};

inline constexpr bool without_half_unit = false;

// Queries are the 16 rows of mma's product, the others two times its 8 columns. Which halves a row's quarters
// are is free as long as both operands agree, so a lane takes whole units: words 2 t and 2 t + 1 for the t-th
// product.
struct HalfUnit {
  static constexpr int parts = 2, sums = 8, rows = 2, lanes_from = 1, lanes_to = 4;
  struct Operand {
    Four part[parts];
  };
  static RF_DEVICE int row(int lane, int n) { return (lane >> 2) + 8 * n; }
  static RF_DEVICE int unit(int lane, int) { return lane & 3; }
  static RF_DEVICE int query(int lane, int r) { return (lane >> 2) + 8 * r; }
  static constexpr int row_of(int i) { return i >> 1 & 1; }
  static RF_DEVICE int other(int lane, int i) { return 2 * (lane & 3) + (i & 1) + 8 * (i >> 2); }
  static constexpr int place(int m) { return 4 * (m & 3) + (m >> 2); }
  static RF_DEVICE void multiply(float (&c)[sums], const Operand& queries, const Operand& others) {
    const Four &low = queries.part[0], &high = queries.part[1];
    for (int t = 0; t < 2; ++t)
      for (int n = 0; n < 2; ++n)
        asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
            "{%0, %1, %2, %3};"
            : "+f"(c[4 * n]), "+f"(c[4 * n + 1]), "+f"(c[4 * n + 2]), "+f"(c[4 * n + 3])
            : "r"(low.w[2 * t]), "r"(high.w[2 * t]), "r"(low.w[2 * t + 1]), "r"(high.w[2 * t + 1]),
              "r"(others.part[n].w[2 * t]), "r"(others.part[n].w[2 * t + 1]));
  }
  static RF_DEVICE Operand turn(const std::uint32_t (&first)[sums / 2],
                                const std::uint32_t (&second)[sums / 2]) {
    Operand o;
    for (int n = 0; n < 2; ++n) o.part[n] = {{first[n], first[n + 2], second[n], second[n + 2]}};
    return o;
  }
};

}  // namespace rf::gpu::lane
