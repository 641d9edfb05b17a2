#define RF_UNROLLED_BLOCKS 8
#define RF_DIRECT_ROWS 8
#include "cpu/kernels/quantised.h"

RF_DEFINE_MATMUL(scaled_matmul, RF_SCALED_FORMATS)
