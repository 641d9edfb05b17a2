// Parts of a model that several architectures share.
#pragma once
#include "model/builder.h"

namespace rf {

// One pre-norm transformer layer: attention, then a gated feed-forward network, each added to x.
inline SlotId dense_layer(Builder& b, SlotId x, const Layer& w, const Builder::AttendOptions& options) {
  x = b.matmul(b.attend(b.qkv(x, w), w, options), w, "attn_output", x);
  return b.matmul(b.gate_up(x, w, Activation::silu), w, "ffn_down", x);
}

}  // namespace rf
