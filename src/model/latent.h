// Attention over one latent vector a position, shared by families of several files of arch/.
#pragma once
#include "model/indexer.h"

namespace rf {

struct LatentOptions {
  bool rotated = true;         // else the rotated part of queries and keys is as it is
  Indexer* indexer = nullptr;  // null: rows see all
  Rope::Pairs indexer_pairs = Rope::Pairs::adjacent;
  float residual_scale = 1;
};

// MLA (arXiv:2405.04434), with the key and value projections of each head (attn_k_b, attn_v_b, or attn_kv_b
// that holds both) moved to its query and its result, so that the cache has one vector for all heads.
SlotId latent_attention(Builder& b, SlotId x, const Layer& w, const LatentOptions& options);

}  // namespace rf
