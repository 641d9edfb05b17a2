// GLM-4: norms before and after; with experts: norms before only, and a bias in their choice.
#include "model/archs.h"
#include "model/blocks.h"

namespace rf {

void record_glm4(Builder& b) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i)
    x = transformer_layer(b, x, b.layer(i), b.attention(b.layer(i)),
                          {.attention_post = "post_attention_norm", .ffn_post = "post_ffw_norm"});
  b.logits(x, {});
}

// Scores of experts are sigmoids unless the file says otherwise.
void record_glm4moe(Builder& b) {
  Routing routing = b.routing();
  if (!b.has_key("expert_gating_func")) routing.gating = Routing::Gating::sigmoid;
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i)
    x = transformer_layer(b, x, b.layer(i), b.attention(b.layer(i)),
                          {.ffn_norm = "post_attention_norm", .routing = routing});
  b.logits(x, {});
}

}  // namespace rf
