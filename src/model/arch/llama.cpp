// Llama 1 to 3 and the families that share its files' name: Mistral, Yi, SmolLM2 and others.
#include "model/archs.h"
#include "model/blocks.h"

namespace rf {

void record_llama(Builder& b) {
  b.refuse("expert_count", "mixture of experts");
  SlotId x = b.embed();
  for (int i = 0; i < b.spec().layers; ++i) x = dense_layer(b, x, b.layer(i), {});
  b.logits(x);
}

}  // namespace rf
