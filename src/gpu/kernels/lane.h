// What kernels know of the machine. This file and the three faces that it picks from are the only ones that
// depend on the platform: AMD (-x hip), NVIDIA (-x cuda), and the host, where tests/sim runs kernels as
// fibres. No face needs a vendor's headers or device libraries.
//
// clang-format off
// Each face defines
//   RF_KERNEL(name, Params, threads, blocks)  head of a kernel of blocks of `threads` threads, `blocks` of which should
//                                             fit a multiprocessor at once where registers limit that: followed by its
//                                             body, in which its only argument is `p`
//   RF_SHARED(type, name, count)   declares an array in the block's LDS
//   RF_DEVICE                      marks functions that kernels call
//   RF_INLINE                      after a lambda's parameters: it is inlined, as those functions are
//   RF_UNROLL, RF_UNROLL_BY(n), RF_NO_UNROLL   before a loop: of constant bounds; n times; to be left as it is
// and in rf::gpu::lane
//   wave                           lanes that run together: 32 or 64
//   thread(), block_x(), block_y(), block_z()
//   std::uint8_t* dynamic_shared() the LDS that the launch asked for, 16-byte aligned
//   barrier()                      of the block; what was written to LDS and memory before it is seen after it
//   wave_barrier()                 of the wave: likewise for what its lanes wrote to LDS
//   group_barrier<threads>(group)  likewise of that many neighbouring threads (a power of two, from 32 on), of which the
//                                  block's group'th are; all groups take part equally often
//   device_fence()                 what was written before it is seen by other blocks before what is written after it
//   shuffle(v, lane), shuffle_xor(v, mask)   float or int of another lane of the wave; all lanes take part
//   uniform(v)                     v, which is the same in all lanes of a wave
//   fresh(v)                       v, of which the compiler knows nothing: what follows from it is not kept in registers
//                                  from one pass of a loop to the next
//   in_order()                     loads are not moved across it, where the compiler would else fill registers with them
//   dot4(a, b, c)                  c + the products of four signed bytes each
//   select_bytes(low, high, index) byte j: that of the eight bytes high:low which byte j of index (0..7) names
//   half_to_float(bits), float_to_half(value)   IEEE f16, rounding to nearest even
//   pack_halves(low, high)         both as f16 in a word
//   exp2(x)                        relative error under 2e-7; results under 2^-126 may be 0
//   load4(p)                       Four words from 16-byte-aligned memory that no one writes meanwhile
//   load4_once(p), load2_once(p), load1_once(p)   likewise, of device memory that is read once: caches need not keep it
//   prefetch(p)                    asks for the 128 bytes around p, where the machine can
//   atomic_add(p, n)               the old value; relaxed, of the whole device
//   wait_for_previous(), let_next_start()   programmatic dependent launch: before the first, nothing that the launch
//                                  before wrote may be read; without such launches both do nothing
//   without_matrix_unit               lanes multiply by themselves
//   MatrixUnit                     products of 16 weight rows and 16 activation rows over 32 bytes each
//     words                        4-byte words of a lane's part of 16 weight rows x 32 bytes
//     weight_row(lane, w), weight_quad(lane, w)   which: bytes 4 quad .. 4 quad + 3 of that row
//     quad_at(place)               which quad operands in LDS have at a place of a row
//     load_weights(words, lane, out)   a lane's part of 16 weight rows, from LDS as Activations
//     Activations                  a lane's part of 16 activation rows x 32 bytes:
//       load(words, lane)          from LDS, at operand_word()
//       read(rows, stride, lane)   from memory, rows `stride` bytes apart
//     sums                         a lane's part of the 16 x 16 sums
//     sum_weight(lane, i), sum_activation(lane, i)   which rows' sum is the i-th
//     low_rows_first               the first half of the sums is of activation rows 0 to 7
//     multiply(sums, weights, activations)     sums += the products, over all 32 bytes
//     multiply_half<h>(...)        over bytes 16 h .. 16 h + 15 alone
//   without_half_unit              no matrix unit multiplies halves: HalfUnit is not defined
//   HalfUnit                       products of 16 query rows and 16 other rows over 32 halves each, added up in f32; a
//                                  row's sums do not depend on the other rows
//     Operand                      a lane's part of 16 rows x 32 halves: `parts` units of 8 neighbours
//     row(lane, n), unit(lane, n)  which: halves 8 unit .. 8 unit + 7 of that row
//     sums                         a lane's part of the 16 x 16 sums: of `rows` query rows
//     query(lane, r)               the r-th of them
//     row_of(i), other(lane, i)    which r and which other row the i-th sum is of; i = 2 j and 2 j + 1 share r
//     lanes_from, lanes_to         lanes that differ in these bits (powers of two, from .. to) share query rows and
//                                  have all of their sums together
//     multiply(sums, queries, others)   sums += the products
//     turn(first, second)          16 query rows x 32 as an operand, from the sums, as pairs of halves, of two products:
//                                  columns 2 m and 2 m + 1 of the 32 (others of `first`, then of `second`) become the
//     place(m)                     -th pair of halves of a row
// clang-format on
#pragma once
#include <cstdint>

namespace rf::gpu {

struct alignas(16) Four {
  std::uint32_t w[4];
};
struct alignas(8) Two {
  std::uint32_t w[2];
};

// Operands of the matrix unit lie in LDS as rows of 32 bytes, of which every four have their halves
// exchanged, so that lanes meet in no bank: the word at a place of a row, where quad
// MatrixUnit::quad_at(place) of its bytes is. Operands of 16 rows begin on 16 bytes, at a row whose number is
// a multiple of 8.
constexpr int operand_word(int row, int place) {
  return 8 * row + (place ^ (row & 4));
}

}  // namespace rf::gpu

#define RF_INLINE __attribute__((always_inline))

#if defined(RF_SIM)
#include <sim/lane_sim.h>  // of tests/
#elif defined(__AMDGCN__)
#include "gpu/kernels/lane_amd.h"
#else
#include "gpu/kernels/lane_nvidia.h"
#endif

namespace rf::gpu::lane {

// Relative error under 4e-7 from -87 on; 0 below, and above 88.7 what it is there: no infinity may meet a 0.
RF_DEVICE float exp(float x) {
  x = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x;
  x = x < -104.0f ? -104.0f : x > 88.7f ? 88.7f : x;
  const float y = x * 1.44269504f, rest = __builtin_fmaf(x, 1.44269504f, -y), power = exp2(y);
  return __builtin_fmaf(power, __builtin_fmaf(x, 1.33654e-8f, 0.693147181f * rest), power);
}

// For finite x > 0, no subnormals; absolute error under 2e-7 |log x| + 1e-7. log m = 2 artanh((m - 1) / (m +
// 1)).
RF_DEVICE float log(float x) {
  const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, x);
  int n = static_cast<int>(bits >> 23) - 127;
  float m = __builtin_bit_cast(float, (bits & 0x7fffffu) | 0x3f800000u);
  if (m > 1.41421356f) m *= 0.5f, ++n;
  const float s = (m - 1.0f) / (m + 1.0f), q = s * s;
  float y = __builtin_fmaf(q, 1.0f / 9, 1.0f / 7);
  y = __builtin_fmaf(y, q, 0.2f);
  y = __builtin_fmaf(y, q, 1.0f / 3);
  y = __builtin_fmaf(y, q, 1.0f);
  return __builtin_fmaf(static_cast<float>(n), 0.693147181f, 2.0f * s * y);
}

RF_DEVICE float tanh(float x) {
  const float a = x < 0 ? -x : x;
  // Near 0 the quotient below loses digits: x - x^3 / 3 + 2 x^5 / 15.
  if (a < 0.05f) return x * __builtin_fmaf(x * x, __builtin_fmaf(x * x, 2.0f / 15, -1.0f / 3), 1.0f);
  const float y = 1.0f - 2.0f / (exp(2.0f * a) + 1.0f);
  return x < 0 ? -y : y;
}

RF_DEVICE float sigmoid(float x) {
  return 1.0f / (1.0f + exp(-x));
}

// Sum and largest over `width` neighbouring lanes (a power of two), for each of them.
RF_DEVICE float sum_of_lanes(float v, int width) {
  for (int m = 1; m < width; m *= 2) v += shuffle_xor(v, m);
  return v;
}
RF_DEVICE float largest_of_lanes(float v, int width) {
  for (int m = 1; m < width; m *= 2) {
    const float other = shuffle_xor(v, m);
    v = other > v ? other : v;
  }
  return v;
}

}  // namespace rf::gpu::lane
