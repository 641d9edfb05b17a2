// Parts of a model that several architectures share.
#pragma once
#include "model/builder.h"

namespace rf {

// A transformer layer: attention and a feed-forward network, each normed before, after, or both, and added to
// the residual stream. The defaults are Llama's.
struct LayerOptions {
  std::string_view attention_norm = "attn_norm", attention_post = "";
  std::string_view ffn_norm = "ffn_norm", ffn_post = "";
  Activation activation = Activation::silu;
  Xielu xielu{};                                                // of that activation
  bool parallel = false;                                        // both read the same x
  bool post_last = false;                                       // the norms after follow the addition
  float residual_scale = 1;                                     // of what is added to x
  float clamp = 0;                                              // of queries, keys and values
  Routing routing{};                                            // where the layer has experts
  float expert_clamp = 0, shared_clamp = 0;                     // of gates, of experts and of other networks
  std::string_view attention_sub_norm = "", ffn_sub_norm = "";  // before attn_output and ffn_down
};

// Attention with `attention` to the positions of `seen` between qkv and attn_output.
SlotId attention_block(Builder& b, SlotId x, const Layer& w, const Attention& attention,
                       const LayerOptions& options, SlotId out, const Seen& seen = {});
// What attention gives times activation(attn_gate of the normed x), which has a number for each element or
// for each head.
SlotId gate_attention(Builder& b, SlotId x, SlotId attended, const Layer& w, Activation activation);
// A dense network, or experts where the layer has ffn_gate_inp, with the shared experts (suffix _shexp) that
// it has.
SlotId feed_forward(Builder& b, SlotId x, const Layer& w, const LayerOptions& options, SlotId add);
// Both.
SlotId transformer_layer(Builder& b, SlotId x, const Layer& w, const Attention& attention,
                         const LayerOptions& options);

}  // namespace rf
