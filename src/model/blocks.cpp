#include "model/blocks.h"

namespace rf {

SlotId attention_block(Builder& b, SlotId x, const Layer& w, const Attention& attention,
                       const LayerOptions& options, SlotId out, const Seen& seen) {
  const SlotId qkv = b.qkv(x, w, attention, {.norm = options.attention_norm, .clamp = options.clamp});
  return b.matmul(b.attend(qkv, w, attention, seen), w, "attn_output",
                  {.add = x,
                   .out = out,
                   .norm = options.attention_sub_norm,
                   .post = options.attention_post,
                   .post_last = options.post_last,
                   .scale = options.residual_scale});
}

SlotId gate_attention(Builder& b, SlotId x, SlotId attended, const Layer& w, Activation activation) {
  const std::int64_t gates = b.rows_of(w["attn_gate"]), width = b.width(attended);
  if (gates == width)
    return b.matmul(
        x, w, "attn_gate",
        {.out = b.slot("gated", width), .norm = "attn_norm", .activation = activation, .mul = attended});
  const SlotId side = b.matmul(x, w, "attn_gate", {.out = b.slot("head gates", gates), .norm = "attn_norm"});
  return b.row(Row::Kind::gate,
               {.x = attended, .side = side, .out = b.slot("gated", width), .activation = activation}, w);
}

SlotId feed_forward(Builder& b, SlotId x, const Layer& w, const LayerOptions& options, SlotId add) {
  const SlotId out = b.slot("residual", b.spec().hidden);
  Builder::GateUpOptions up{.norm = options.ffn_norm,
                            .activation = options.activation,
                            .xielu = options.xielu,
                            .clamp = options.shared_clamp};
  const Builder::MatmulOptions down{.add = add,
                                    .out = out,
                                    .norm = options.ffn_sub_norm,
                                    .post = options.ffn_post,
                                    .post_last = options.post_last,
                                    .scale = options.residual_scale};
  if (!b.has(w["ffn_gate_inp"])) return b.matmul(b.gate_up(x, w, up), w, "ffn_down", down);
  Builder::GateUpOptions shared_up = up;
  up.clamp = options.expert_clamp;
  if (!b.has(w["ffn_up_shexp"])) return b.experts(x, w, options.routing, up, down);
  // Both read x, so that it may only be written last.
  shared_up.suffix = "_shexp";
  Builder::MatmulOptions shared_down = down;
  shared_down.out = b.slot("shared", b.spec().hidden);
  const bool normed_together = !options.ffn_post.empty();
  if (normed_together) shared_down.add = none, shared_down.post = "";
  SlotId sum;
  if (b.has(w["ffn_gate_inp_shexp"]))  // one expert that every row uses, to the degree that its gate says
    sum = b.experts(x, w, {.experts = 1, .used = 1, .gating = Routing::Gating::sigmoid}, shared_up,
                    shared_down);
  else
    sum = b.matmul(b.gate_up(x, w, shared_up), w, "ffn_down_shexp", shared_down);
  Builder::MatmulOptions last = down;
  last.add = sum;
  if (!normed_together) return b.experts(x, w, options.routing, up, last);
  last.post = "";
  last.out = b.slot("all experts", b.spec().hidden);
  const SlotId both = b.experts(x, w, options.routing, up, last);
  const Norm post = b.norm(w[options.ffn_post], b.spec().hidden);
  return b.row(Row::Kind::norm, {.x = both, .add = add, .out = out, .norm = post}, w);
}

SlotId transformer_layer(Builder& b, SlotId x, const Layer& w, const Attention& attention,
                         const LayerOptions& options) {
  if (!options.parallel) {
    x = attention_block(b, x, w, attention, options, none);
    return feed_forward(b, x, w, options, x);
  }
  const SlotId sum = attention_block(b, x, w, attention, options, b.slot("parallel", b.spec().hidden));
  return feed_forward(b, x, w, options, sum);
}

}  // namespace rf
