// Qwen 2 and 2.5: Llama's layer with biases on queries, keys and values.
#include "model/archs.h"
#include "model/blocks.h"

namespace rf {

void record_qwen2(Builder& b) {
  SlotId x = b.embed();
  for (int i = 0; i < b.spec().layers; ++i) x = dense_layer(b, x, b.layer(i), {});
  b.logits(x);
}

}  // namespace rf
