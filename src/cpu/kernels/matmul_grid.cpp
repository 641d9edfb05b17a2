#define RF_UNROLLED_BLOCKS 1
#define RF_DIRECT_ROWS 4
#include "cpu/kernels/quantised.h"

RF_DEFINE_MATMUL(grid_matmul, RF_GRID_FORMATS)
