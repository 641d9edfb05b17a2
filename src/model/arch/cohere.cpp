// Command-R and its successor: one norm for both branches, logits scaled; Command-R7B rotates where it has a
// window.
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
  b.logits(x, {.scale = b.number("logit_scale", 1)});
}

}  // namespace

void record_command_r(Builder& b) {
  cohere_layers(b, false);
}

void record_cohere2(Builder& b) {
  cohere_layers(b, true);
}

}  // namespace rf
