// Gemma 3n, text: Gemma 4's inputs of each layer and shared caches, with several streams of activations of
// which one goes through the layers (AltUp, arXiv:2301.13310), a learned shortcut beside attention (LAuReL,
// arXiv:2411.07501), and gates of which few are not zero.
#include <cmath>

#include "base/error.h"
#include "model/arch/gemma4.h"
#include "model/archs.h"
#include "model/blocks.h"

namespace rf {
namespace {

// The stream that goes through the layers, and the others side by side.
struct Streams {
  SlotId first, others;
};

class Layers {
 public:
  explicit Layers(Builder& b)
      : b_(b),
        hidden_(b.spec().hidden),
        streams_(b.size("altup.num_inputs", 4)),
        sparsity_(b.numbers_of("activation_sparsity_scale")) {
    if (b.has_key("altup.active_idx") && b.count("altup.active_idx") != 0)
      b.bad_key("altup.active_idx", "0: other streams cannot be the active one");
    if (streams_ < 2) b.bad_key("altup.num_inputs", "at least 2");
  }

  Streams begin(SlotId x) {
    const SlotId made = others("projected");
    b_.matmul(x, b_.outside(), "altup_proj", {.out = made});
    return {x, b_.row(Row::Kind::match, {.x = x, .side = made, .out = others("streams"), .streams = streams_},
                      b_.outside())};
  }

  SlotId end(const Streams& s) {
    const SlotId made =
        b_.heads(s.others, b_.outside(), "altup_unembd_proj", streams_ - 1, others("projected"));
    return b_.row(Row::Kind::merge,
                  {.x = s.first, .side = made, .out = b_.slot("merged", hidden_), .streams = streams_},
                  b_.outside());
  }

  Streams layer(const Streams& s, const Layer& w, SlotId input, int owner) {
    const Streams p = predict(s, w);
    const SlotId attended = attention(p.first, w, owner);
    const SlotId activated = feed_forward(attended, w);
    const SlotId x = correct(activated, p, w, 0, "residual", none, false);
    const SlotId scaled = correct(activated, p, w, 0, "scaled", none, true);
    const SlotId gated = b_.matmul(
        scaled, w, "inp_gate",
        {.out = b_.slot("layer gate", b_.width(input)), .activation = Activation::gelu_tanh, .mul = input});
    const SlotId added =
        b_.matmul(gated, w, "proj", {.out = b_.slot("layer input", hidden_), .post = "post_norm"});
    return {x, correct(activated, p, w, 1, "streams", added, false)};
  }

 private:
  SlotId others(const char* kind) { return b_.slot(kind, std::int64_t{streams_ - 1} * hidden_); }

  Builder::RowOptions mixing(const Layer& w, const char* coefficients) {
    return {.streams = streams_,
            .norm = b_.norm(w["altup_router_norm"], hidden_),
            .router = w["altup_router"],
            .coefficients = w[coefficients],
            .scale = 1 / static_cast<float>(hidden_)};
  }

  Streams predict(const Streams& s, const Layer& w) {
    Builder::RowOptions options = mixing(w, "altup_predict_coef");
    options.x = s.first;
    options.side = s.others;
    options.out = b_.slot("predicted", hidden_);
    const SlotId first = b_.row(Row::Kind::predict, options, w);
    options.first = 1;
    options.out = others("predicted others");
    return {first, b_.row(Row::Kind::predict, options, w)};
  }

  SlotId correct(SlotId activated, const Streams& p, const Layer& w, int first, const char* kind,
                 SlotId added, bool scaled) {
    Builder::RowOptions options = mixing(w, "altup_correct_coef");
    options.x = activated;
    options.add = p.first;
    options.side = first == 0 ? none : p.others;
    options.mul = added;
    options.first = first;
    if (scaled) options.factors = w["altup_correct_scale"];
    options.out = first == 0 ? b_.slot(kind, hidden_) : others(kind);
    return b_.row(Row::Kind::correct, options, w);
  }

  // (attention + x + shortcut of the normed x) / sqrt(2).
  SlotId attention(SlotId x, const Layer& w, int owner) {
    const SlotId shortcut = b_.row(
        Row::Kind::norm,
        {.x = x, .add = x, .out = b_.slot("shortcut", hidden_), .norm = b_.norm(w["attn_norm"], hidden_)}, w);
    const SlotId low = b_.matmul(
        x, w, "laurel_l", {.out = b_.slot("low rank", b_.rows_of(w["laurel_l"])), .norm = "attn_norm"});
    b_.matmul(low, w, "laurel_r", {.add = shortcut, .post = "laurel_post_norm"});
    return gemma_attention(b_, x, w, owner,
                           {.add = shortcut,
                            .out = b_.slot("attended", hidden_),
                            .post = "post_attention_norm",
                            .out_scale = static_cast<float>(std::sqrt(0.5))});
  }

  SlotId feed_forward(SlotId x, const Layer& w) {
    const auto index = static_cast<std::size_t>(w.index);
    const Builder::MatmulOptions down{
        .add = x, .out = b_.slot("activated", hidden_), .post = "post_ffw_norm"};
    if (index >= sparsity_.size() || !std::isfinite(sparsity_[index]))
      return b_.matmul(b_.gate_up(x, w, {.activation = Activation::gelu_tanh}), w, "ffn_down", down);
    const std::int64_t ffn = b_.rows_of(w["ffn_gate"]);
    const SlotId gate = b_.matmul(x, w, "ffn_gate", {.out = b_.slot("gate", ffn), .norm = "ffn_norm"});
    const SlotId sparse = b_.row(Row::Kind::sparsify,
                                 {.x = gate,
                                  .out = b_.slot("sparse gate", ffn),
                                  .scale = sparsity_[index],
                                  .activation = Activation::gelu_tanh},
                                 w);
    const SlotId up =
        b_.matmul(x, w, "ffn_up", {.out = b_.slot("ffn", ffn), .norm = "ffn_norm", .mul = sparse});
    return b_.matmul(up, w, "ffn_down", down);
  }

  Builder& b_;
  int hidden_, streams_;
  std::vector<float> sparsity_;
};

}  // namespace

void record_gemma3n(Builder& b) {
  const int own = own_caches(b);
  Layers layers(b);
  const SlotId x = b.embed({.scale = std::sqrt(static_cast<float>(b.spec().hidden))});
  const std::vector<SlotId> inputs = layer_inputs(b, x);
  if (inputs.empty()) fail("{}: tensor 'per_layer_token_embd.weight' is missing", b.path());
  Streams streams = layers.begin(x);
  for (int i = 0; i < b.layers(); ++i)
    streams = layers.layer(streams, b.layer(i), inputs[static_cast<std::size_t>(i)], cache_owner(b, i, own));
  b.logits(layers.end(streams), {.softcap = b.number("final_logit_softcapping", 30)});
}

}  // namespace rf
