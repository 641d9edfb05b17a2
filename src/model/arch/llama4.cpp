// Llama 4, text: three layers of four rotate and see their own chunk of positions, with queries and keys
// normed after it; the fourth sees all and scales its queries with the position. A row goes to one expert,
// its input weighed, and to the shared one.
#include "model/archs.h"
#include "model/blocks.h"

namespace rf {

void record_llama4(Builder& b) {
  LayerOptions options;
  if (b.has_experts()) {
    options.routing = b.routing();
    options.routing.gating = Routing::Gating::sigmoid;
    options.routing.weigh_input = true;
  }
  // The largest model, told by its experts, does not norm queries and keys.
  const bool normed = options.routing.experts < 128;
  // Files without chunks say that the window is 0: all layers rotate then.
  const bool chunks = !b.has_key("attention.sliding_window") || b.count("attention.sliding_window") > 0;
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    if (chunks && i % 4 == 3) {
      a.rope = {};
      a.temperature = b.number("attention.temperature_scale", 0.1f);
      a.temperature_length = static_cast<float>(b.size("attention.temperature_length", 8192));
      a.temperature_offset = 1;
    } else {
      if (chunks) {
        a.sees = Attention::Sees::chunk;
        a.window = b.size("attention.chunk_size", 8192);
      }
      if (normed) a.q_norm = a.k_norm = {.kind = Norm::Kind::rms, .eps = b.spec().norm_eps};
      a.norm_after_rope = true;
    }
    x = transformer_layer(b, x, b.layer(i), a, options);
  }
  b.logits(x, {});
}

}  // namespace rf
