// Qwen 3, dense: an RMS norm on every query and key head.
#include "model/archs.h"
#include "model/blocks.h"

namespace rf {

void record_qwen3(Builder& b) {
  SlotId x = b.embed();
  for (int i = 0; i < b.spec().layers; ++i) {
    const Layer w = b.layer(i);
    x = dense_layer(b, x, w, {.q_norm = w["attn_q_norm"], .k_norm = w["attn_k_norm"]});
  }
  b.logits(x);
}

}  // namespace rf
