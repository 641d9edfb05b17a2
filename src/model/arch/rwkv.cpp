// RWKV 6 (arXiv:2404.05892) and 7 (arXiv:2503.14456): time mixing, a recurrence whose inputs are mixed with
// the row before; then channel mixing, a network whose input is. In QRWKV 6 and ARWKV 7 (arXiv:2501.15570)
// time mixing stands in the place of Qwen 2's attention, between its norms and networks.
#include "base/error.h"
#include "model/archs.h"
#include "model/blocks.h"

namespace rf {
namespace {

constexpr float head_norm_eps = 64e-5f;  // of the published models

struct Shape {
  std::int64_t width;
  int head, heads;
};

Shape shape_of(const Builder& b) {
  const int width = b.spec().hidden, head = b.size("wkv.head_size");
  if (width % head != 0) b.bad_key("wkv.head_size", fmt::format("a divisor of embedding_length, {}", width));
  return {width, head, width / head};
}

Scan scan_of(Builder& b, const Layer& w, const Shape& shape, Scan::Kind kind, const char* bonus) {
  return {.kind = kind,
          .heads = shape.heads,
          .groups = shape.heads,
          .key_dim = shape.head,
          .value_dim = shape.head,
          .bonus = b.numbers(w[bonus] + ".weight", shape.width),
          .norm = b.has(w["time_mix_ln"])
                      ? Norm{.kind = Norm::Kind::layer,
                             .weight = b.numbers(w["time_mix_ln"] + ".weight", shape.width),
                             .bias = b.numbers(w["time_mix_ln"] + ".bias", shape.width),
                             .eps = head_norm_eps}
                      : Norm{}};
}

// The shares of the row before, one vector each: rows of one tensor, or tensors of their own in older files.
std::vector<WeightId> shares(Builder& b, const Layer& w, std::string_view letters, std::int64_t width) {
  const std::string joined = w["time_mix_lerp_fused"];
  std::vector<WeightId> mix;
  for (const char letter : letters) {
    const std::string own = w["time_mix_lerp_"] + letter;
    mix.push_back(b.has(joined) ? b.row_of(joined + ".weight", width, static_cast<std::int64_t>(mix.size()))
                                : b.numbers(own + ".weight", width));
  }
  return mix;
}

// W2 activation(W1 x), x being part `part` of the slot `in`, to column `column` of `out`.
struct LowRank {
  const char *first, *second;
  Activation between = Activation::identity, after = Activation::identity;
  const char* bias = nullptr;
};
void low_rank(Builder& b, SlotId in, std::int64_t part, const Layer& w, const LowRank& names, SlotId out,
              std::int64_t column) {
  const std::int64_t width = b.spec().hidden;
  const SlotId low = b.matmul(in, w, names.first,
                              {.out = b.slot("low rank", b.rows_of(w[names.first])),
                               .activation = names.between,
                               .x_column = part * width});
  b.matmul(low, w, names.second,
           {.out = out,
            .activation = names.after,
            .first_column = column * width,
            .bias = names.bias != nullptr ? b.numbers(w[names.bias] + ".weight", width) : none});
}

SlotId time_mix6(Builder& b, SlotId x, const Layer& w) {
  const Shape shape = shape_of(b);
  const std::int64_t width = shape.width;
  // How much of the row before each input takes depends on the row.
  const WeightId mix[] = {b.numbers(w["time_mix_lerp_x"] + ".weight", width)};
  const SlotId mixed = b.shift(x, w, "attn_norm", mix, none);
  const SlotId low =
      b.matmul(mixed, w, "time_mix_w1",
               {.out = b.slot("mixtures", b.rows_of(w["time_mix_w1"])), .activation = Activation::tanh});
  const SlotId in =
      b.shift(x, w, "attn_norm", shares(b, w, "wkvrg", width), b.heads(low, w, "time_mix_w2", 5, none));
  // Without a bonus for the row itself it is gated linear attention, whose heads may share keys and values.
  Scan scan{.kind = Scan::Kind::gla,
            .heads = shape.heads,
            .groups = shape.heads,
            .key_dim = shape.head,
            .value_dim = shape.head};
  const bool bonus = b.has(w["time_mix_first"]);
  if (bonus) scan = scan_of(b, w, shape, Scan::Kind::rwkv6, "time_mix_first");
  if (!bonus && w->kv_heads > 0) scan.groups = w->kv_heads;
  if (shape.heads % scan.groups != 0)
    b.bad_key("attention.head_count_kv", fmt::format("a divisor of {}, found {}", shape.heads, scan.groups));
  const std::int64_t keys = scan.keys();
  const SlotId row = b.slot("rwkv", 3 * width + 2 * keys);  // [ r w k v g ]
  const auto project = [&](const char* name, std::int64_t part, std::int64_t column, Activation activation) {
    b.matmul(in, w, name,
             {.out = row, .activation = activation, .first_column = column, .x_column = part * width});
  };
  project("time_mix_receptance", 3, 0, Activation::identity);
  low_rank(b, in, 0, w,
           {.first = "time_mix_decay_w1",
            .second = "time_mix_decay_w2",
            .between = Activation::tanh,
            .bias = "time_mix_decay"},
           row, 1);
  project("time_mix_key", 1, 2 * width, Activation::identity);
  project("time_mix_value", 2, 2 * width + keys, Activation::identity);
  project("time_mix_gate", 4, 2 * width + 2 * keys, bonus ? Activation::silu : Activation::sigmoid);
  const SlotId y = b.scan(row, none, w, scan);
  return b.matmul(y, w, "time_mix_output", {.add = x});
}

// `first`: the first layer's values, which this call fills in the first layer.
SlotId time_mix7(Builder& b, SlotId x, const Layer& w, SlotId first) {
  const Shape shape = shape_of(b);
  const std::int64_t width = shape.width;
  const bool begins = w.index == 0;
  const bool gated = b.has(w["time_mix_g1"]);
  const SlotId in = b.shift(x, w, "attn_norm", shares(b, w, gated ? "rwkvag" : "rwkva", width), none);
  const SlotId row = b.slot("rwkv", (begins ? 6 : 7) * width);  // [ r w k v a g m ]
  const auto project = [&](const char* name, std::int64_t part, SlotId out, std::int64_t column) {
    b.matmul(in, w, name, {.out = out, .first_column = column * width, .x_column = part * width});
  };
  project("time_mix_receptance", 0, row, 0);
  low_rank(
      b, in, 1, w,
      {.first = "time_mix_w1", .second = "time_mix_w2", .between = Activation::tanh, .bias = "time_mix_w0"},
      row, 1);
  project("time_mix_key", 2, row, 2);
  project("time_mix_value", 3, row, 3);
  if (begins) project("time_mix_value", 3, first, 0);
  low_rank(
      b, in, 4, w,
      {.first = "time_mix_a1", .second = "time_mix_a2", .after = Activation::sigmoid, .bias = "time_mix_a0"},
      row, 4);
  if (gated) {
    low_rank(b, in, 5, w, {.first = "time_mix_g1", .second = "time_mix_g2", .between = Activation::sigmoid},
             row, 5);
  } else {  // gates of one, the bias of a product with nothing
    b.make_numbers(w["time_mix_ones.weight"], std::vector<float>(static_cast<std::size_t>(width)),
                   {1, width, 1, 1});
    b.make_numbers(w["time_mix_ones.bias"], std::vector<float>(static_cast<std::size_t>(width), 1.0f),
                   {width, 1, 1, 1});
    project("time_mix_ones", 0, row, 5);
  }
  if (!begins)
    low_rank(b, in, 3, w,
             {.first = "time_mix_v1",
              .second = "time_mix_v2",
              .after = Activation::sigmoid,
              .bias = "time_mix_v0"},
             row, 6);
  Scan scan = scan_of(b, w, shape, Scan::Kind::rwkv7, "time_mix_r_k");
  scan.key_scale = b.numbers(w["time_mix_k_k"] + ".weight", width);
  scan.key_mix = b.numbers(w["time_mix_k_a"] + ".weight", width);
  return b.matmul(b.scan(row, begins ? none : first, w, scan), w, "time_mix_output", {.add = x});
}

SlotId channel_mix(Builder& b, SlotId x, const Layer& w, bool gated, float out_scale) {
  const std::int64_t width = b.spec().hidden;
  std::vector<WeightId> mix{b.numbers(w["channel_mix_lerp_k"] + ".weight", width)};
  if (gated) mix.push_back(b.numbers(w["channel_mix_lerp_r"] + ".weight", width));
  const SlotId in = b.shift(x, w, "attn_norm_2", mix, none);
  SlotId gate = none;
  if (gated)
    gate = b.matmul(
        in, w, "channel_mix_receptance",
        {.out = b.slot("channel gate", width), .activation = Activation::sigmoid, .x_column = width});
  const SlotId keys = b.matmul(in, w, "channel_mix_key",
                               {.out = b.slot("ffn", b.rows_of(w["channel_mix_key"])),
                                .activation = Activation::relu_squared,
                                .x_column = 0});
  return b.matmul(keys, w, "channel_mix_value", {.add = x, .out_scale = out_scale, .mul = gate});
}

}  // namespace

// Where the file says so the residual stream is halved after each `rescale_every_n_layers` layers; its
// weights are made for it.
void record_rwkv6(Builder& b) {
  const int every = b.has_key("rescale_every_n_layers") ? b.count("rescale_every_n_layers") : 0;
  SlotId x = b.embed({.norm = "token_embd_norm"});
  for (int i = 0; i < b.layers(); ++i) {
    x = time_mix6(b, x, b.layer(i));
    x = channel_mix(b, x, b.layer(i), true, every > 0 && (i + 1) % every == 0 ? 0.5f : 1);
  }
  b.logits(x, {});
}

void record_rwkv6_qwen2(Builder& b) {
  SlotId x = b.embed({});
  for (int i = 0; i < b.layers(); ++i) {
    x = time_mix6(b, x, b.layer(i));
    x = feed_forward(b, x, b.layer(i), {}, x);
  }
  b.logits(x, {});
}

void record_arwkv7(Builder& b) {
  SlotId x = b.embed({});
  const SlotId first = b.slot("first values", b.spec().hidden);
  for (int i = 0; i < b.layers(); ++i) {
    x = time_mix7(b, x, b.layer(i), first);
    x = feed_forward(b, x, b.layer(i), {}, x);
  }
  b.logits(x, {});
}

void record_rwkv7(Builder& b) {
  SlotId x = b.embed({.norm = "token_embd_norm"});
  const SlotId first = b.slot("first values", b.spec().hidden);
  for (int i = 0; i < b.layers(); ++i) {
    x = time_mix7(b, x, b.layer(i), first);
    x = channel_mix(b, x, b.layer(i), false, 1);
  }
  b.logits(x, {});
}

}  // namespace rf
