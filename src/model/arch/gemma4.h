// What Gemma 3n and Gemma 4 share.
#pragma once
#include <vector>

#include "model/builder.h"

namespace rf {

// One slot a layer: (norm(projection of x, scaled by 1 / sqrt(hidden)) + the token's row * sqrt(width)) /
// sqrt(2). Empty where the model has none.
std::vector<SlotId> layer_inputs(Builder& b, SlotId x);

// The layers before the first one that has no cache of its own.
int own_caches(const Builder& b);
// The layer whose cache layer `i` reads: itself, or the last one before the shared ones that sees as far.
int cache_owner(const Builder& b, int i, int own);

// Attention over the cache of layer `owner`, and attn_output with `options`.
SlotId gemma_attention(Builder& b, SlotId x, const Layer& w, int owner,
                       const Builder::MatmulOptions& options);

}  // namespace rf
