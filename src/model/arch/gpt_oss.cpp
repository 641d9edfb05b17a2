// gpt-oss: attention sinks, a window on every other layer, experts with clamped gates.
#include "model/archs.h"
#include "model/blocks.h"

namespace rf {

void record_gpt_oss(Builder& b) {
  Routing routing = b.routing();
  routing.gating = Routing::Gating::softmax_of_chosen;
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i)
    x = transformer_layer(
        b, x, b.layer(i), b.attention(b.layer(i)),
        {.ffn_norm = "post_attention_norm", .activation = Activation::swiglu_clamped, .routing = routing});
  b.logits(x, {});
}

}  // namespace rf
