// Command-R and its successors: one norm for both branches, logits scaled; from Command-R7B on layers rotate
// where they have a window.
#include "model/archs.h"
#include "model/blocks.h"

namespace rf {
namespace {

void cohere_layers(Builder& b, bool rotate_windows_only) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    if (rotate_windows_only && a.window == 0) a.rope = {};
    x = transformer_layer(b, x, b.layer(i), a, {.ffn_norm = "attn_norm", .parallel = true});
  }
  b.logits(x, {.scale = b.factor("logit_scale", 1)});
}

}  // namespace

void record_command_r(Builder& b) {
  cohere_layers(b, false);
}

void record_cohere2(Builder& b) {
  cohere_layers(b, true);
}

// With experts, whose sum counts as much as the shared ones'. The dense layers at the beginning rotate too.
void record_cohere2moe(Builder& b) {
  Routing routing = b.routing();
  if (!b.has_key("expert_gating_func")) routing.gating = Routing::Gating::sigmoid;
  const int dense = b.has_key("leading_dense_block_count") ? b.count("leading_dense_block_count") : 0;
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    Attention a = b.attention(w);
    if (a.window == 0 && i >= dense) a.rope = {};
    const SlotId sum = attention_block(b, x, w, a, {}, b.slot("parallel", b.spec().hidden));
    x = feed_forward(
        b, x, w,
        {.ffn_norm = "attn_norm", .residual_scale = b.has(w["ffn_up_shexp"]) ? 0.5f : 1, .routing = routing},
        sum);
  }
  b.logits(x, {.scale = b.factor("logit_scale", 1)});
}

}  // namespace rf
