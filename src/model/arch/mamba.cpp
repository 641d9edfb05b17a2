// Layers that are a recurrence and nothing else: Mamba, Falcon Mamba and Mamba 2.
#include "model/archs.h"
#include "model/recurrent.h"

namespace rf {

void record_mamba(Builder& b) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) x = mamba_block(b, x, b.layer(i), {});
  b.logits(x, {});
}

void record_mamba2(Builder& b) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) x = mamba2_block(b, x, b.layer(i), {});
  b.logits(x, {});
}

}  // namespace rf
