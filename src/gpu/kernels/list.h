// Every kernel. Define RF_GPU_KERNEL(name, Params, threads of a block) and write RF_GPU_KERNELS.
// rf_matvec_FORMAT takes matvec_lds() bytes of dynamic LDS, rf_scan_KIND scan_lds(), all others none.
#pragma once
#include "gpu/kernels/params.h"
#include "tensor/formats/list.h"

#define RF_GPU_KERNELS_OF_FLOATS(Fmt)                    \
  RF_GPU_KERNEL(rf_embed_##Fmt, EmbedParams, 64)         \
  RF_GPU_KERNEL(rf_matvec_rows_##Fmt, MatvecParams, 256) \
  RF_GPU_KERNEL(rf_matmul_##Fmt, MatmulParams, 256)
#define RF_GPU_KERNELS_OF_FORMAT(Fmt)                  \
  RF_GPU_KERNEL(rf_embed_##Fmt, EmbedParams, 64)       \
  RF_GPU_KERNEL(rf_matvec_##Fmt, MatvecParams, 256)    \
  RF_GPU_KERNEL(rf_matmul_16_##Fmt, MatvecParams, 256) \
  RF_GPU_KERNEL(rf_matmul_32_##Fmt, MatvecParams, 512) \
  RF_GPU_KERNEL(rf_matmul_##Fmt, MatmulParams, 256)
#define RF_GPU_KERNELS_OF_KV(kv)                             \
  RF_GPU_KERNEL(rf_attend_##kv##_64, AttendParams, 256)      \
  RF_GPU_KERNEL(rf_attend_##kv##_128, AttendParams, 256)     \
  RF_GPU_KERNEL(rf_attend_##kv##_256, AttendParams, 256)     \
  RF_GPU_KERNEL(rf_attend_##kv##_576, AttendParams, 256)     \
  RF_GPU_KERNEL(rf_attend_row_##kv##_128, AttendParams, 256) \
  RF_GPU_KERNEL(rf_attend_row_##kv##_256, AttendParams, 256) \
  RF_GPU_KERNEL(rf_attend_row_##kv##_576, AttendParams, 256)

#define RF_GPU_KERNELS                                 \
  RF_FORMATS(RF_GPU_KERNELS_OF_FORMAT)                 \
  RF_GPU_KERNELS_OF_FLOATS(F32)                        \
  RF_GPU_KERNELS_OF_FLOATS(F16)                        \
  RF_GPU_KERNELS_OF_FLOATS(BF16)                       \
  RF_GPU_KERNELS_OF_KV(f32)                            \
  RF_GPU_KERNELS_OF_KV(f16)                            \
  RF_GPU_KERNELS_OF_KV(q8_0)                           \
  RF_GPU_KERNELS_OF_KV(q4_0)                           \
  RF_GPU_KERNEL(rf_pack, PackParams, 512)              \
  RF_GPU_KERNEL(rf_finish, FinishParams, 256)          \
  RF_GPU_KERNEL(rf_best_of_part, BestParams, 256)      \
  RF_GPU_KERNEL(rf_best, BestParams, 256)              \
  RF_GPU_KERNEL(rf_rope, RopeParams, 64)               \
  RF_GPU_KERNEL(rf_attend_prepare, PrepareParams, 128) \
  RF_GPU_KERNEL(rf_route, RouteParams, 32)             \
  RF_GPU_KERNEL(rf_group, GroupParams, 256)            \
  RF_GPU_KERNEL(rf_heads_rest, HeadsRestParams, 256)   \
  RF_GPU_KERNEL(rf_conv, ConvParams, 256)              \
  RF_GPU_KERNEL(rf_shift, ShiftParams, 256)            \
  RF_GPU_KERNEL(rf_scan_mamba, ScanParams, 128)        \
  RF_GPU_KERNEL(rf_scan_mamba2, ScanParams, 128)       \
  RF_GPU_KERNEL(rf_scan_delta, ScanParams, 128)        \
  RF_GPU_KERNEL(rf_scan_rwkv6, ScanParams, 128)        \
  RF_GPU_KERNEL(rf_scan_rwkv7, ScanParams, 128)        \
  RF_GPU_KERNEL(rf_scan_finish, ScanParams, 128)       \
  RF_GPU_KERNEL(rf_row, RowParams, 256)
