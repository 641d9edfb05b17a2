// The quantised formats: everything that is made once a format is made from these lists.
#pragma once
#include "tensor/formats/iq1_m.h"
#include "tensor/formats/iq1_s.h"
#include "tensor/formats/iq2_s.h"
#include "tensor/formats/iq2_xs.h"
#include "tensor/formats/iq2_xxs.h"
#include "tensor/formats/iq3_s.h"
#include "tensor/formats/iq3_xxs.h"
#include "tensor/formats/iq4_nl.h"
#include "tensor/formats/iq4_xs.h"
#include "tensor/formats/mxfp4.h"
#include "tensor/formats/nvfp4.h"
#include "tensor/formats/q1_0.h"
#include "tensor/formats/q2_0.h"
#include "tensor/formats/q2_k.h"
#include "tensor/formats/q3_k.h"
#include "tensor/formats/q4_0.h"
#include "tensor/formats/q4_1.h"
#include "tensor/formats/q4_k.h"
#include "tensor/formats/q5_0.h"
#include "tensor/formats/q5_1.h"
#include "tensor/formats/q5_k.h"
#include "tensor/formats/q6_k.h"
#include "tensor/formats/q8_0.h"
#include "tensor/formats/q8_1.h"
#include "tensor/formats/q8_k.h"
#include "tensor/formats/tq1_0.h"
#include "tensor/formats/tq2_0.h"

// In three parts, which kernels are compiled in: bits lie alike in every 32 elements; or otherwise in each,
// for which kernels spell all of a block out; or name points of a grid.
#define RF_PLAIN_FORMATS(X) \
  X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(Q8_0) X(Q8_1) X(Q8_K) X(Q1_0) X(Q2_0) X(MXFP4) X(NVFP4) X(IQ4_NL)
#define RF_SCALED_FORMATS(X) X(Q2_K) X(Q3_K) X(Q4_K) X(Q5_K) X(Q6_K) X(IQ4_XS) X(TQ1_0) X(TQ2_0)
#define RF_GRID_FORMATS(X) X(IQ1_S) X(IQ1_M) X(IQ2_XXS) X(IQ2_XS) X(IQ2_S) X(IQ3_XXS) X(IQ3_S)

#define RF_FORMATS(X) RF_PLAIN_FORMATS(X) RF_SCALED_FORMATS(X) RF_GRID_FORMATS(X)

// The layouts of formats/spread.h: no file has these.
#define RF_SPREAD_FORMATS(X) \
  X(IQ1_S::Spread)           \
  X(IQ1_M::Spread) X(IQ2_XXS::Spread) X(IQ2_XS::Spread) X(IQ2_S::Spread) X(IQ3_XXS::Spread) X(IQ3_S::Spread)
