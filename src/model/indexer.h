// Sparse attention: an indexer beside a layer's attention chooses the positions that it sees.
#pragma once
#include <vector>

#include "model/builder.h"

namespace rf {

// What the file says of its indexers. Up to as many positions as they choose all are seen; where sequences
// have no more, nothing is chosen.
class Indexer {
 public:
  // Reads attention.indexer.head_count, key_length, top_k and, where positions are chosen by blocks,
  // block_size and local_blocks. Throws Error naming the key.
  explicit Indexer(const Builder& b);

  // DeepSeek V3.2's (arXiv:2512.02556): queries out of the low rank row `low`, of which attn_q_b's are made
  // too, a key and weights of the heads out of x, of which the first rope.dims elements are rotated. A layer
  // that shares sees what the one before it sees. Takes indexer.attn_q_b, attn_k, k_norm and proj.
  Seen positions(Builder& b, SlotId x, SlotId low, const Layer& w, Rope rope);
  // MiniMax M3's: queries and a key out of x, each normed; each key head of the layer has a query head that
  // chooses blocks. Layers without indexer.q_proj see all. Takes q_proj, k_proj, q_norm and k_norm.
  Seen blocks(Builder& b, SlotId x, const Layer& w, const Attention& attention) const;

 private:
  int heads_, key_dim_;
  Selection selection_;
  bool chooses_;
  Seen before_{};
};

}  // namespace rf
