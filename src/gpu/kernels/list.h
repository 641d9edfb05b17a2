// Every kernel: X(name, params, threads of a block). Kernels of matvec and matmul take dynamic LDS, all others
// none.
#pragma once
#include "gpu/kernels/params.h"
#include "tensor/formats/list.h"

#define RF_GPU_FORMAT_KERNELS(X, Fmt)            \
  X(rf_embed_##Fmt, EmbedParams, 64)             \
  X(rf_matvec_##Fmt, MatvecParams, 256)          \
  X(rf_matvec_rows_##Fmt, MatvecParams, 256)     \
  X(rf_matmul_##Fmt, MatmulParams, 256)
#define RF_GPU_FLOAT_KERNELS(X, Fmt)             \
  X(rf_embed_##Fmt, EmbedParams, 64)             \
  X(rf_matvec_rows_##Fmt, MatvecParams, 256)     \
  X(rf_matmul_##Fmt, MatmulParams, 256)

// Attention is compiled for three sizes of heads: key_dim and value_dim up to 128, 256 and 576.
#define RF_GPU_ATTEND_KERNELS(X, kv, size)       \
  X(rf_attend_##kv##_##size, AttendParams, 256)

#define RF_GPU_ATTEND(X, kv) \
  RF_GPU_ATTEND_KERNELS(X, kv, 128) RF_GPU_ATTEND_KERNELS(X, kv, 256) RF_GPU_ATTEND_KERNELS(X, kv, 576)

#define RF_GPU_OTHER_KERNELS(X)         \
  X(rf_pack, PackParams, 256)           \
  X(rf_finish, FinishParams, 256)       \
  X(rf_rope, RopeParams, 64)            \
  X(rf_attend_prepare, PrepareParams, 128) \
  X(rf_attend_merge, AttendParams, 128) \
  X(rf_route, RouteParams, 256)         \
  X(rf_group, GroupParams, 256)         \
  X(rf_heads_rest, HeadsRestParams, 256) \
  X(rf_sample, SampleParams, 256)       \
  X(rf_copy, CopyParams, 256)

namespace rf::gpu {

// Bytes of dynamic LDS of rf_matvec_FORMAT.
constexpr std::uint32_t matvec_lds(std::int32_t columns) {
  return static_cast<std::uint32_t>((columns + 31) / 32 * 40);
}
// The widest row that it takes with 48 KB of LDS; wider ones go through rf_pack and rf_matvec_rows_FORMAT.
inline constexpr std::int32_t matvec_columns = 32768;
inline constexpr std::int32_t matvec_rows = 8;  // that rf_matvec_rows_FORMAT takes

}  // namespace rf::gpu
