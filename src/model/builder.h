// Builder: what an architecture's file is written with. Each call records one step.
#pragma once
#include <array>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "model/model.h"

namespace rf {

// Names of one layer's tensors, without ".weight" and ".bias", and its shape.
struct Layer {
  int index = 0;
  const LayerSpec* spec = nullptr;
  std::string operator[](std::string_view name) const;  // "blk.INDEX.NAME", outside the layers NAME
  const LayerSpec* operator->() const { return spec; }
};

// The positions that rows see: those that `slot` names of each row.
struct Seen {
  Selection selection{};
  SlotId slot = none;  // none: all
};

// Tensors are taken by name and checked against the shapes that the Spec gives; every call throws Error
// naming a tensor that is missing or not as expected. Biases are taken wherever the file has them. Norms are
// of the kind that the Spec gives, "" standing for none. The activations live in a few slots that all layers
// share, so a step's result is valid until the same kind of step is recorded again; only the residual stream
// x outlives a layer.
class Builder {
 public:
  Builder(const Gguf& file, const Spec& spec, int context, bool embed);

  const Spec& spec() const { return spec_; }
  int context() const { return context_; }  // positions a sequence will have at most
  int layers() const { return static_cast<int>(spec_.layers.size()); }
  Layer layer(int index) const { return {index, &spec_.layers[static_cast<std::size_t>(index)]}; }
  Layer outside() const { return {none, nullptr}; }
  bool has(const std::string& name) const { return find(name + ".weight") != nullptr; }
  bool has_experts() const;  // expert_count is there, and not 0

  // Values under the architecture's keys. Sizes are from 1 to 1 << 20, numbers finite; throws Error naming
  // the key.
  bool has_key(std::string_view key) const;
  int size(std::string_view key) const;
  int size(std::string_view key, int fallback) const { return has_key(key) ? size(key) : fallback; }
  int count(std::string_view key) const;  // as a size, or 0
  float number(std::string_view key, float fallback) const;
  float factor(std::string_view key, float fallback) const;  // a number; 0 is as if it were absent
  bool flag(std::string_view key, bool fallback) const;
  std::vector<bool> flags_of(std::string_view key) const;  // bools or integers; empty where it is absent
  std::string text(std::string_view key, const std::string& fallback) const;
  std::vector<float> numbers_of(std::string_view key) const;  // empty where it is absent
  // One for each layer, from a list or one number for all; the key is a whole one.
  std::vector<float> layer_numbers(const std::string& key) const;
  const std::string& path() const { return file_.path(); }
  [[noreturn]] void bad_key(std::string_view key, const std::string& expected) const;

  struct EmbedOptions {
    float scale = 1;
    std::string_view norm = "";  // of the result
    bool positions = false;      // position_embd is added
    bool types = false;          // a row of token_types is added (Program::separator)
  };
  SlotId embed(const EmbedOptions& options);  // token_embd
  // scale times columns [first, first + count) of the token's row in the table `name`.
  SlotId embed_columns(const std::string& name, std::int64_t first, std::int64_t count, float scale,
                       SlotId out);

  // Attention in the layer's shape: its heads, window and rotation, scale 1 / sqrt(key_dim), and the norms of
  // queries and keys (attn_q_norm, attn_k_norm), the layer's own factors of rotation and sinks (attn_sinks)
  // where the file has them.
  Attention attention(const Layer& layer);
  struct QkvOptions {
    std::string_view norm = "attn_norm";
    float clamp = 0;
    bool keys_are_values = false;  // attn_k gives the values too
  };
  // attn_q, attn_k, attn_v, or attn_qkv that holds them one after the other.
  SlotId qkv(SlotId x, const Layer& layer, const Attention& attention, const QkvOptions& options);
  // Makes the layer's cache, unless `attention` names another's. Rows see the positions of `seen` alone.
  SlotId attend(SlotId qkv, const Layer& layer, Attention attention, const Seen& seen = {});
  // The choice out of rows of queries, a key and weights; `heads` are those of queries over the one key.
  // Makes their cache. The result is valid until the next choice.
  Seen index(SlotId row, const Layer& layer, Attention heads, const Selection& selection);
  // The file's factors of the first `pairs` of the layer's rotated pairs, none where it has none.
  WeightId rope_factors(const Layer& layer, int pairs);
  CacheId cache_of(const Layer& layer) const;  // that attend() made, where no step chooses

  struct GateUpOptions {
    std::string_view norm = "ffn_norm";
    Activation activation = Activation::silu;
    std::string_view suffix = "";  // of the tensors' names, for shared experts
    Xielu xielu{};                 // of that activation
    float clamp = 0;               // of both factors
    Norm router_norm{};            // of experts, where the router has one of its own
    SlotId routes = none;          // of experts that are chosen already
  };
  // ffn_gate and ffn_up; ffn_up that holds both one after the other; or ffn_up alone: activation(W x),
  // ungated.
  SlotId gate_up(SlotId x, const Layer& layer, const GateUpOptions& options);

  struct MatmulOptions {
    SlotId add = none;
    SlotId out = none;  // none: in the place of `add`
    std::string_view norm = "", post = "";
    bool post_last = false;  // `post` comes after the addition
    float scale = 1, out_scale = 1;
    Activation activation = Activation::identity;
    std::int64_t first_column = none;  // the part of `out` that it writes, when not the whole
    std::int64_t x_column = none;      // the part of the input that it reads, likewise
    SlotId mul = none;
    // Of the matrix, when not the whole: rows from first_row on, of `all_rows` that it must have.
    std::int64_t first_row = 0, rows = 0, all_rows = 0;
    Norm given{}, given_post{};  // in the place of `norm` and `post`
    WeightId bias = none;        // of a name of its own
  };
  SlotId matmul(SlotId in, const Layer& layer, std::string_view name, const MatmulOptions& options);
  // The product of each head with its own matrix; the rest of each head, where it is wider, is passed on. It
  // writes the first columns of `out`; none: a slot of their width.
  SlotId heads(SlotId in, const Layer& layer, std::string_view name, int count, SlotId out);

  // Of the file's keys: expert_count, expert_used_count, expert_group_count, expert_group_used_count,
  // expert_gating_func, expert_weights_norm, expert_weights_scale.
  Routing routing() const;
  // The choice alone, by ffn_gate_inp with exp_probs_b where the file has it, which goes to `routing`.
  SlotId route(SlotId x, const Layer& layer, Routing& routing, std::string_view suffix, const Norm& norm);
  // The choice, unless it is made; ffn_gate_exps where the file has it, ffn_up_exps
  // (or ffn_gate_up_exps, each matrix of which holds both); ffn_down_exps.
  SlotId experts(SlotId x, const Layer& layer, Routing routing, const GateUpOptions& up,
                 const MatmulOptions& down);

  struct RowOptions {
    SlotId x = none, add = none, mul = none, side = none, out = none;
    int streams = 0, first = 0;
    Norm norm{};
    std::string router{}, coefficients{}, factors{};  // W0, W1, W2
    float scale = 1;
    Activation activation = Activation::identity;
  };
  SlotId row(Row::Kind kind, const RowOptions& options, const Layer& layer);

  // The convolution's tensor has a row for each channel, as long as its kernel.
  struct ConvOptions {
    std::int64_t first_column = 0;
    Activation activation = Activation::identity;
    bool gated = false;
  };
  SlotId conv(SlotId x, const Layer& layer, std::string_view name, const ConvOptions& options);
  // x mixed with the row before it, once for each of `mix`, vectors of x's width.
  SlotId shift(SlotId x, const Layer& layer, std::string_view norm, std::span<const WeightId> mix,
               SlotId side);
  // Makes the state.
  SlotId scan(SlotId x, SlotId side, const Layer& layer, Scan scan);

  struct LogitsOptions {
    float scale = 1, softcap = 0;
    std::string_view norm = "output_norm";
  };
  // output, or token_embd where the file has no output.weight. Of a model that is to embed the normed rows
  // themselves are the result.
  void logits(SlotId x, const LogitsOptions& options);
  // The rows, normed unless `norm` is "", are the result; then dense_2 and dense_3, and for ranking the
  // classifier: cls, with `classifier` after it, cls.norm and cls.output, each where the file has it.
  void hidden(SlotId x, std::string_view norm, Activation classifier = Activation::tanh);

  // A slot of its own kind: the same for the same kind and width.
  SlotId slot(const std::string& kind, std::int64_t width);
  std::int64_t width(SlotId slot) const { return program_.slots[static_cast<std::size_t>(slot)].width; }
  std::int64_t rows_of(const std::string& name) const { return tensor_of(name + ".weight").rows(); }
  Norm norm(const std::string& name, std::int64_t elements);
  void allow_plain_norms() { plain_norms_ = true; }  // a norm that the file lacks is one without weights
  // Of `name` where the file has it, else without weights if `always`, else none.
  Norm norm_if(const std::string& name, std::int64_t elements, bool always);
  // An F32 tensor of `elements` in all; row `row` of one that has several.
  WeightId numbers(const std::string& name, std::int64_t elements) { return vector(name, elements); }
  WeightId row_of(const std::string& name, std::int64_t elements, std::int64_t row);
  // Tensors of another order than the file's, made at load: they are found under `name` as if the file had
  // them. `view` is one of the stored numbers, or of `numbers` where there are any.
  void make(const std::string& name, Tensor view, std::vector<std::byte> numbers = {});
  void make_numbers(const std::string& name, std::span<const float> numbers,
                    std::array<std::int64_t, 4> shape);
  // The given rows of tensor `from`.
  void make_rows(const std::string& name, const std::string& from, std::span<const std::int64_t> rows);
  const Tensor* find(const std::string& name) const;          // nullptr where there is none
  const Tensor& tensor_of(const std::string& name) const;     // throws Error where there is none
  std::vector<float> decoded(const std::string& name) const;  // all of its rows

  // One F32 number: tensor `name`.
  float scalar(const std::string& name);

  // Hands over the checked program and logs the file's tensors that it does not use.
  Program finish();

 private:
  struct Rows {  // a part of a tensor; count 0: the whole
    std::int64_t first, count;
  };
  static constexpr Rows whole{0, 0};

  WeightId weight(const std::string& name, std::int64_t columns, std::int64_t rows, Rows part = whole);
  WeightId vector(const std::string& name, std::int64_t elements, Rows part = whole);  // F32
  WeightId factors(const std::string& name, std::int64_t count);
  Linear linear(const std::string& name, std::int64_t columns, std::int64_t rows, Rows part = whole);
  // `part`: rows of each matrix.
  Linear matrices(const std::string& name, std::int64_t columns, std::int64_t rows, std::int64_t count,
                  Rows part = whole);
  WeightId take(const std::string& name, Rows part, const Tensor& view);  // once for each part
  Norm head_norm(const std::string& name, std::int64_t dim, std::int64_t heads);
  CacheId new_cache(const Layer& layer, const Attention& attention);
  StateId new_state(const Layer& layer, std::int64_t elements);
  void refuse_factors(const std::string& name) const;
  HeadLayer head_layer(const std::string& name, std::int64_t& elements);
  void finish_sum(Step& step, const MatmulOptions& options, const Layer& layer);
  Step& record(Op op, const Layer* layer, SlotId x, SlotId out);
  std::string full(std::string_view key) const { return spec_.architecture + '.' + std::string(key); }

  const Gguf& file_;
  const Spec& spec_;
  int context_;
  bool embed_;
  bool plain_norms_ = false;
  Program program_;
  std::map<std::string, Tensor> made_;
  std::map<std::tuple<std::string, std::int64_t, std::int64_t>, WeightId> taken_;  // by name and rows
  std::map<std::pair<std::string, std::int64_t>, SlotId> slots_;
};

}  // namespace rf
