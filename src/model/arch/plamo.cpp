// PLaMo 1 (one norm for both branches), 2 (Mamba in most layers) and 3; from 2 on norms come before and
// after.
#include "model/archs.h"
#include "model/blocks.h"
#include "model/recurrent.h"

namespace rf {

void record_plamo(Builder& b) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i)
    x = transformer_layer(b, x, b.layer(i), b.attention(b.layer(i)),
                          {.ffn_norm = "attn_norm", .parallel = true});
  b.logits(x, {});
}

void record_plamo2(Builder& b) {
  const LayerOptions options{.attention_post = "post_attention_norm", .ffn_post = "post_ffw_norm"};
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    x = b.has(w["ssm_in"]) ? plamo_mamba_block(b, x, w)
                           : attention_block(b, x, w, b.attention(w), options, none);
    x = feed_forward(b, x, w, options, x);
  }
  b.logits(x, {});
}

void record_plamo3(Builder& b) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i)
    x = transformer_layer(b, x, b.layer(i), b.attention(b.layer(i)),
                          {.attention_post = "post_attention_norm", .ffn_post = "post_ffw_norm"});
  b.logits(x, {});
}

}  // namespace rf
