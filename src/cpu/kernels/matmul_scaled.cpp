#include "cpu/kernels/quantised.h"

RF_DEFINE_MATMUL(scaled_matmul, RF_SCALED_FORMATS)
