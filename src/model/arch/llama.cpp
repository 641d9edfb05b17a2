// Llama 1 to 3 and the families that share its layer: Mistral, Mixtral, Yi, SmolLM2, Qwen 2 and 3 with their
// experts, InternLM 2, EXAONE 3, Phi 3, GLM edge and others. Norms of queries and keys, biases, fused
// matrices, experts and shared experts are where the file has them.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/archs.h"
#include "model/blocks.h"

namespace rf {
namespace {

void llama_layers(Builder& b, const LayerOptions& options) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i)
    x = transformer_layer(b, x, b.layer(i), b.attention(b.layer(i)), options);
  b.logits(x, {});
}

// Queries and keys normed over all heads, and experts.
void row_normed_layers(Builder& b, const Routing& routing) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    a.norm_over = Attention::NormOver::row;
    x = transformer_layer(b, x, b.layer(i), a, {.routing = routing});
  }
  b.logits(x, {});
}

}  // namespace

void record_llama(Builder& b) {
  LayerOptions options;
  if (b.has_experts()) {
    options.routing = b.routing();
    options.routing.normalise = b.flag("expert_weights_norm", true);
  }
  llama_layers(b, options);
}

// Experts just as the keys say: the weights of the chosen ones keep their sum unless expert_weights_norm.
void record_routed(Builder& b) {
  llama_layers(b, {.routing = b.routing()});
}

// Apertus: a network without a gate, whose activation has numbers of its own in every layer, kept as they
// were trained: through softplus they are above zero.
void record_apertus(Builder& b) {
  const auto softplus = [](float x) { return std::max(x, 0.0f) + std::log1p(std::exp(-std::abs(x))); };
  std::vector<float> positive = b.layer_numbers("xielu.alpha_p"), negative = b.layer_numbers("xielu.alpha_n");
  const std::vector<float> linear = b.layer_numbers("xielu.beta");
  for (std::size_t k = 0; k < linear.size(); ++k) {
    positive[k] = softplus(positive[k]);
    negative[k] = linear[k] + softplus(negative[k]);
  }
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const auto k = static_cast<std::size_t>(i);
    x = transformer_layer(b, x, b.layer(i), b.attention(b.layer(i)),
                          {.activation = Activation::xielu, .xielu = {positive[k], negative[k], linear[k]}});
  }
  b.logits(x, {});
}

// BitNet: what attention and gates give is normed as well.
void record_bitnet(Builder& b) {
  llama_layers(b, {.attention_sub_norm = "attn_sub_norm", .ffn_sub_norm = "ffn_sub_norm"});
}

void record_arcee(Builder& b) {
  llama_layers(b, {.activation = Activation::relu_squared});
}

// Llama with what a search left of each layer (arXiv:2411.19146): attention, one matrix in its place, or
// neither, and a network of any size, or none.
void record_deci(Builder& b) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    const Layer w = b.layer(i);
    if (w->heads > 0 && w->kv_heads > 0)
      x = attention_block(b, x, w, b.attention(w), {}, none);
    else if (w->heads > 0)
      x = b.matmul(x, w, "attn_output",
                   {.add = x, .out = b.slot("attended", b.spec().hidden), .norm = "attn_norm"});
    if (w->ffn > 0) x = feed_forward(b, x, w, {}, x);
  }
  b.logits(x, {});
}

void record_seed_oss(Builder& b) {
  llama_layers(b, {.ffn_norm = "post_attention_norm"});
}

// Phi-3.5-MoE: weights of experts that keep no sum.
void record_phimoe(Builder& b) {
  Routing routing = b.routing();
  routing.gating = Routing::Gating::sparse_mixer;
  llama_layers(b, {.routing = routing});
}

// OLMo 1: layer norms without weights.
void record_olmo(Builder& b) {
  b.allow_plain_norms();
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i)
    x = transformer_layer(b, x, b.layer(i), b.attention(b.layer(i)),
                          {.clamp = b.number("attention.clamp_kqv", 0)});
  b.logits(x, {});
}

// Positions by ALiBi where the file says so, else by rotation. Files of the 13B model do not say so.
void record_baichuan(Builder& b) {
  const bool large = b.spec().hidden == 5120 && b.layer(0)->heads == 40;
  const float alibi = b.number("attention.max_alibi_bias", large ? 8 : 0);
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    if (alibi > 0) a.rope = {};
    a.alibi = alibi;
    x = transformer_layer(b, x, b.layer(i), a, {});
  }
  b.logits(x, {});
}

void record_refact(Builder& b) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    a.rope = {};
    a.alibi = b.number("attention.max_alibi_bias", 8);
    x = transformer_layer(b, x, b.layer(i), a, {});
  }
  b.logits(x, {});
}

void record_dbrx(Builder& b) {
  LayerOptions options{.ffn_norm = "attn_output_norm", .clamp = b.number("attention.clamp_kqv", 0)};
  options.routing = b.routing();
  options.routing.normalise = true;
  llama_layers(b, options);
}

// Every fourth layer has no rotation.
void record_smollm3(Builder& b) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    if (i % 4 == 3) a.rope = {};
    x = transformer_layer(b, x, b.layer(i), a, {});
  }
  b.logits(x, {});
}

// Norms follow attention and feed-forward network alone; those of queries and keys run over the whole row.
// Layers with a window (OLMo 3) rotate as they were trained, without the file's stretching.
void record_olmo2(Builder& b) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    a.norm_over = Attention::NormOver::row;
    if (a.window > 0) a.rope = {.pairs = a.rope.pairs, .dims = a.rope.dims, .base = a.rope.base};
    x = transformer_layer(b, x, b.layer(i), a,
                          {.attention_norm = "",
                           .attention_post = "post_attention_norm",
                           .ffn_norm = "",
                           .ffn_post = "post_ffw_norm"});
  }
  b.logits(x, {});
}

void record_olmoe(Builder& b) {
  row_normed_layers(b, b.routing());
}

void record_minimax(Builder& b) {
  Routing routing = b.routing();
  routing.normalise = b.flag("expert_weights_norm", true);
  row_normed_layers(b, routing);
}

// As OLMo 2's, with norms of every head; where some layers have a window, the others have no rotation.
void record_exaone4(Builder& b) {
  bool windows = false;
  for (const LayerSpec& layer : b.spec().layers) windows = windows || layer.window > 0;
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    if (windows && a.window == 0) a.rope = {};
    x = transformer_layer(b, x, b.layer(i), a,
                          {.attention_norm = "",
                           .attention_post = "post_attention_norm",
                           .ffn_norm = "",
                           .ffn_post = "post_ffw_norm"});
  }
  b.logits(x, {});
}

// Granite: four factors, each where the file has it; no rotation where it says so.
void record_granite(Builder& b) {
  LayerOptions options{.residual_scale = b.factor("residual_scale", 1)};
  if (b.has_experts()) {
    options.routing = b.routing();
    options.routing.normalise = true;
  }
  SlotId x = b.embed({.scale = b.factor("embedding_scale", 1)});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    a.scale = b.factor("attention.scale", a.scale);
    if (!b.flag("rope.scaling.finetuned", true)) a.rope = {};
    x = transformer_layer(b, x, b.layer(i), a, options);
  }
  b.logits(x, {.scale = 1 / b.factor("logit_scale", 1)});
}

// Where the file has no factors, those of the published models.
void record_minicpm(Builder& b) {
  const float depth = 1.4f / std::sqrt(static_cast<float>(b.layers()));
  SlotId x = b.embed({.scale = b.factor("embedding_scale", 12)});
  for (int i = 0; i < b.layers(); ++i)
    x = transformer_layer(b, x, b.layer(i), b.attention(b.layer(i)),
                          {.residual_scale = b.factor("residual_scale", depth)});
  const float usual = static_cast<float>(b.spec().hidden) / 256;
  b.logits(x, {.scale = 1 / b.factor("logit_scale", usual)});
}

// ERNIE 4.5 with experts: a bias in the choice.
void record_ernie(Builder& b) {
  LayerOptions options;
  if (b.has_experts()) options.routing = b.routing(), options.routing.normalise = true;
  llama_layers(b, options);
}

// Hunyuan: queries and keys are normed after their rotation, the base of which files of the vision model
// stretch by a factor (NTK-aware scaling).
void record_hunyuan(Builder& b) {
  LayerOptions options;
  if (b.has_experts()) options.routing = b.routing(), options.routing.normalise = true;
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    a.norm_after_rope = true;
    if (const float alpha = b.number("rope.scaling.alpha", 0); alpha > 0) {
      const auto dim = static_cast<float>(a.key_dim);
      a.rope.base *= std::pow(alpha, dim / (dim - 2));
    }
    x = transformer_layer(b, x, b.layer(i), a, options);
  }
  b.logits(x, {});
}

// Chameleon: layer norms of queries and keys, for each head its own; the larger model's norms follow
// attention and network.
void record_chameleon(Builder& b) {
  LayerOptions options;
  if (b.flag("swin_norm", false))
    options = {.attention_norm = "", .attention_post = "attn_norm", .ffn_norm = "", .ffn_post = "ffn_norm"};
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    for (Norm* norm : {&a.q_norm, &a.k_norm}) norm->kind = Norm::Kind::layer, norm->eps = 1e-5f;
    x = transformer_layer(b, x, b.layer(i), a, options);
  }
  b.logits(x, {});
}

// Nanbeige: the layers are gone through several times, each time with caches of their own, and the last norm
// comes between.
void record_nanbeige(Builder& b) {
  const int loops = b.size("num_loops", 1);
  if (loops > 64) b.bad_key("num_loops", fmt::format("at most 64, found {}", loops));
  const bool norm_between = !b.flag("skip_loop_final_norm", false);
  SlotId x = b.embed({});
  for (int loop = 0; loop < loops; ++loop) {
    if (loop > 0 && norm_between)
      x = b.row(
          Row::Kind::norm,
          {.x = x, .out = b.slot("looped", b.spec().hidden), .norm = b.norm("output_norm", b.spec().hidden)},
          b.outside());
    for (int i = 0; i < b.layers(); ++i) {
      Attention a = b.attention(b.layer(i));
      a.scale = b.factor("attention.scale", a.scale);
      x = transformer_layer(b, x, b.layer(i), a, {});
    }
  }
  b.logits(x, {});
}

// Mistral 3: queries grow with the logarithm of the position beyond the trained length.
void record_mistral3(Builder& b) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    Attention a = b.attention(b.layer(i));
    a.temperature = b.number("attention.temperature_scale", 0);
    a.temperature_length = static_cast<float>(
        b.size("attention.temperature_length", b.size("rope.scaling.original_context_length", 1)));
    LayerOptions options;
    if (b.has_experts()) options.routing = b.routing(), options.routing.normalise = true;
    x = transformer_layer(b, x, b.layer(i), a, options);
  }
  b.logits(x, {});
}

}  // namespace rf
