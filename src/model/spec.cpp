#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/archs.h"
#include "model/model.h"

namespace rf {
namespace {

// Bounds far above any model, so that products of sizes stay in range.
constexpr int max_layers = 4096, max_size = 1 << 20, max_heads = 1 << 14, max_head_dim = 1 << 13,
              max_context = 1 << 30;

// Reads the architecture's keys, each checked as it is read.
class Keys {
 public:
  explicit Keys(const Gguf& file)
      : file_(file), prefix_(file.get<std::string>("general.architecture") + '.') {}

  std::string full(std::string_view key) const { return prefix_ + std::string(key); }
  bool has(std::string_view key) const { return file_.has(full(key)); }

  bool is_list(std::string_view key) const {
    const auto found = file_.metadata().find(full(key));
    return found != file_.metadata().end() && found->second.type == ValueType::array;
  }

  // A size from 1 to `most`.
  int size(std::string_view key, int most) const {
    return in_range(full(key), file_.get<std::int64_t>(full(key)), 1, most);
  }
  int size(std::string_view key, int most, int fallback) const {
    return has(key) ? size(key, most) : fallback;
  }

  // A size from `least` to `most` for each layer: one for all, or a list of them.
  std::vector<int> sizes(std::string_view key, int least, int most, std::size_t layers) const {
    const std::string name = full(key);
    if (!is_list(key)) return std::vector(layers, in_range(name, file_.get<std::int64_t>(name), least, most));
    const auto values = file_.get<std::vector<std::int64_t>>(name);
    if (values.size() < layers)
      bad(name, fmt::format("a list of {}", values.size()),
          fmt::format("a value for each of {} layers", layers));
    std::vector<int> all;
    for (std::size_t i = 0; i < layers; ++i) all.push_back(in_range(name, values[i], least, most));
    return all;
  }

  // A finite number above `least`.
  float number(std::string_view key, float least) const {
    const auto value = file_.get<float>(full(key));
    if (!std::isfinite(value) || value <= least)
      bad(full(key), value, fmt::format("a finite number above {}", least));
    return value;
  }
  float number(std::string_view key, float least, float fallback) const {
    return has(key) ? number(key, least) : fallback;
  }

  template <class T>
  [[noreturn]] void bad(const std::string& name, const T& value, const std::string& expected) const {
    fail("{}: key '{}' is {}, expected {}", file_.path(), name, value, expected);
  }

 private:
  int in_range(const std::string& name, std::int64_t value, int least, int most) const {
    if (value < least || value > most) bad(name, value, fmt::format("{} to {}", least, most));
    return static_cast<int>(value);
  }

  const Gguf& file_;
  std::string prefix_;
};

// Head sizes, of the windowed layers under keys of their own where the file has them.
void read_heads(const Keys& keys, const Spec& spec, bool windowed, LayerSpec& layer) {
  const auto key = [&](const char* name) {
    const std::string own = std::string(name) + "_swa";
    return windowed && keys.has(own) ? own : std::string(name);
  };
  // rope.dimension_count is the rotated part of a head, not its size.
  if (keys.has("attention.key_length")) {
    layer.key_dim = keys.size(key("attention.key_length"), max_head_dim);
  } else {
    layer.key_dim = spec.hidden / layer.heads;
    if (spec.hidden % layer.heads != 0 || layer.key_dim > max_head_dim)
      keys.bad(keys.full("attention.head_count"), layer.heads,
               fmt::format("a divisor of embedding_length, {}, where attention.key_length is absent",
                           spec.hidden));
  }
  layer.value_dim = keys.size(key("attention.value_length"), max_head_dim, layer.key_dim);
}

// YaRN, arXiv:2309.00071.
void read_yarn(const Keys& keys, Rope& rope) {
  rope.yarn_factor = keys.number("rope.scaling.factor", 0);
  if (rope.yarn_factor < 1)
    keys.bad(keys.full("rope.scaling.factor"), rope.yarn_factor, "at least 1 for yarn");
  const int original = keys.size("rope.scaling.original_context_length", max_context,
                                 keys.size("context_length", max_context));
  rope.yarn_original = static_cast<float>(original);
  rope.yarn_beta_fast = keys.number("rope.scaling.yarn_beta_fast", 0, rope.yarn_beta_fast);
  rope.yarn_beta_slow = keys.number("rope.scaling.yarn_beta_slow", 0, rope.yarn_beta_slow);
  // mscale over mscale_all_dim of the published configurations, the second being the multiplier.
  const double grow = 0.1 * std::log(static_cast<double>(rope.yarn_factor)),
               multiplier = static_cast<double>(keys.number("rope.scaling.yarn_log_multiplier", -1, 0));
  rope.magnitude = static_cast<float>((1 + grow) / (1 + multiplier * grow));
  // What the published configurations give in its place; writers put 1 where these give nothing.
  if (const float given = keys.number("rope.scaling.attn_factor", 0, 1); given != 1) rope.magnitude = given;
}

Rope read_rope(const Gguf& file, const Keys& keys, bool windowed, const LayerSpec& layer) {
  Rope rope;
  const bool own_dims = windowed && keys.has("rope.dimension_count_swa");
  const char* dims = own_dims ? "rope.dimension_count_swa" : "rope.dimension_count";
  rope.pairs = family_of(file).pairs;
  rope.dims = keys.size(dims, max_head_dim, layer.key_dim);
  if (rope.dims % 2 != 0 || rope.dims > layer.key_dim)
    keys.bad(keys.full(dims), rope.dims,
             fmt::format("an even number up to the head's size, {}", layer.key_dim));
  rope.base = keys.number("rope.freq_base", 1, rope.base);
  const float own = windowed ? keys.number("rope.freq_base_swa", 1, family_of(file).window_base) : 0;
  if (own > 0) {  // these layers are not stretched either
    rope.base = own;
    return rope;
  }
  const bool old = keys.has("rope.scale_linear") && !keys.has("rope.scaling.factor");
  const char* factor = old ? "rope.scale_linear" : "rope.scaling.factor";
  const bool plain = !keys.has(factor);
  const std::string name = keys.full("rope.scaling.type");
  const auto type = file.get<std::string>(name, plain ? "none" : "linear");
  if (type == "linear")
    rope.scale = 1 / keys.number(factor, 0);
  else if (type == "yarn")
    read_yarn(keys, rope);
  else if (type != "none" && type != "longrope")
    keys.bad(name, type, "none, linear, yarn or longrope");
  if (type != "yarn") rope.magnitude = keys.number("rope.scaling.attn_factor", 0, 1);
  return rope;
}

// Which layers have the window: a list in the file, a period in the file, or the family's.
std::vector<bool> windowed_layers(const Gguf& file, const Keys& keys, const Family& family,
                                  std::size_t layers) {
  const std::string_view key = "attention.sliding_window_pattern";
  if (keys.is_list(key)) {
    std::vector<bool> flags;
    if (file.metadata().find(keys.full(key))->second.element == ValueType::boolean)
      flags = file.get<std::vector<bool>>(keys.full(key));
    else
      for (const auto flag : file.get<std::vector<std::int64_t>>(keys.full(key))) flags.push_back(flag != 0);
    if (flags.size() < layers) keys.bad(keys.full(key), "a shorter list", "a flag for each layer");
    return {flags.begin(), flags.begin() + static_cast<std::ptrdiff_t>(layers)};
  }
  const auto period = static_cast<std::size_t>(keys.has(key) ? keys.size(key, max_layers) : family.every);
  std::vector<bool> windowed(layers);
  for (std::size_t i = 0; i < layers; ++i)
    windowed[i] = period == 1 || (period > 1 && i % period != (family.full_first ? 0 : period - 1));
  return windowed;
}

void read_layers(const Gguf& file, const Keys& keys, Spec& spec) {
  // Layers that predict further tokens come last and take no part in ordinary decoding.
  const int further =
      keys.has("nextn_predict_layers") ? keys.sizes("nextn_predict_layers", 0, max_layers, 1)[0] : 0;
  const int blocks = keys.size("block_count", max_layers);
  if (further >= blocks) keys.bad(keys.full("nextn_predict_layers"), further, "less than block_count");
  const auto count = static_cast<std::size_t>(blocks - further);
  // 0 means none too.
  const auto window = file.get<std::int64_t>(keys.full("attention.sliding_window"), family_of(file).window);
  std::vector<bool> windowed(count);
  if (window != 0) windowed = windowed_layers(file, keys, family_of(file), count);
  const bool partial = family_of(file).partial_layers;
  const int least = partial ? 0 : 1;
  const std::vector<int> heads = keys.sizes("attention.head_count", least, max_heads, count);
  std::vector<int> kv_heads = heads;
  if (keys.has("attention.head_count_kv"))
    kv_heads = keys.sizes("attention.head_count_kv", least, max_heads, count);
  std::vector<int> ffn(count);
  if (!partial || keys.has("feed_forward_length"))
    ffn = keys.sizes("feed_forward_length", least, max_size, count);
  for (std::size_t i = 0; i < count; ++i) {
    LayerSpec& layer = spec.layers.emplace_back();
    layer.heads = heads[i];
    layer.kv_heads = kv_heads[i];
    layer.ffn = ffn[i];
    if (layer.heads == 0 || layer.kv_heads == 0) continue;
    if (layer.heads % layer.kv_heads != 0)
      keys.bad(keys.full("attention.head_count_kv"), layer.kv_heads,
               fmt::format("a divisor of attention.head_count, {}", layer.heads));
    if (windowed[i])
      layer.window = keys.size("attention.sliding_window", max_context, static_cast<int>(window));
    read_heads(keys, spec, windowed[i], layer);
    layer.rope = read_rope(file, keys, windowed[i], layer);
  }
}

std::optional<Pooling> read_pooling(const Gguf& file, const Keys& keys) {
  if (!keys.has("pooling_type")) return {};
  const std::string name = keys.full("pooling_type");
  const auto type = file.get<std::int64_t>(name);
  if (type < 0 || type > 4) keys.bad(name, type, "0 (none), 1 (mean), 2 (cls), 3 (last) or 4 (rank)");
  return static_cast<Pooling>(type);
}

std::int64_t read_vocabulary(const Gguf& file) {
  const std::int64_t rows = file.tensor("token_embd.weight").rows();
  if (const auto tokens = file.metadata().find("tokenizer.ggml.tokens"); tokens != file.metadata().end())
    if (tokens->second.count != static_cast<std::uint64_t>(rows))
      fail("{}: key 'tokenizer.ggml.tokens' has {} tokens, but tensor 'token_embd.weight' has {} rows",
           file.path(), tokens->second.count, rows);
  return rows;
}

}  // namespace

Spec read_spec(const Gguf& file) {
  const Family& family = family_of(file);
  const Keys keys(file);
  Spec spec;
  spec.architecture = family.name;
  spec.name = file.get<std::string>("general.name", "");
  spec.hidden = keys.size("embedding_length", max_size);
  spec.context = keys.size("context_length", max_context);
  const bool layer_norm = keys.has("attention.layer_norm_epsilon") &&
                          (has_layer_norms(family) || !keys.has("attention.layer_norm_rms_epsilon"));
  spec.norm = layer_norm ? Norm::Kind::layer : Norm::Kind::rms;
  spec.norm_eps =
      keys.number(layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 0);
  spec.vocab = read_vocabulary(file);
  spec.causal = file.get<bool>(keys.full("attention.causal"), family.causal);
  spec.pooling = read_pooling(file, keys);
  read_layers(file, keys, spec);
  return spec;
}

}  // namespace rf
