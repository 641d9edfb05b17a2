#define RF_UNROLLED_BLOCKS 1
#define RF_DIRECT_ROWS 32
#include "cpu/kernels/quantised.h"

RF_DEFINE_MATMUL(plain_matmul, RF_PLAIN_FORMATS)
