#include "cpu/kernels/export.h"

#define RF_STRING(x) #x
#define RF_NAME(x) RF_STRING(x)

namespace rf::RF_ISA {

const Kernels& table() {
  static constexpr Kernels kernels{.name = RF_NAME(RF_ISA),
                                   .pack = pack,
                                   .tile_matmul = tile_matmul,
                                   .scratch_bytes = scratch_bytes,
                                   .store = store,
                                   .normalise = normalise,
                                   .store_gated = store_gated,
                                   .rotate = rotate,
                                   .store_kv = store_kv,
                                   .attend_chunk = attend_chunk,
                                   .score_chunk = score_chunk,
                                   .merge = merge,
                                   .finish = finish,
                                   .conv = conv,
                                   .scan = scan,
                                   .shift = shift};
  return kernels;
}

}  // namespace rf::RF_ISA
