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

  // A size from 1 to `most`; a list with an entry for each layer is taken if all its entries are equal.
  int size(std::string_view key, int most) const {
    const std::string name = full(key);
    const auto found = file_.metadata().find(name);
    const bool list = found != file_.metadata().end() && found->second.type == ValueType::array;
    const std::int64_t value = list ? common_value(name) : file_.get<std::int64_t>(name);
    if (value < 1 || value > most) bad(name, value, fmt::format("1 to {}", most));
    return static_cast<int>(value);
  }
  int size(std::string_view key, int most, int fallback) const {
    return has(key) ? size(key, most) : fallback;
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
  std::int64_t common_value(const std::string& name) const {
    const auto values = file_.get<std::vector<std::int64_t>>(name);
    if (values.empty()) bad(name, "an empty list", "a number");
    if (std::ranges::adjacent_find(values, std::not_equal_to{}) != values.end())
      bad(name, "a list of different values", "one value for all layers (others are not supported yet)");
    return values.front();
  }

  const Gguf& file_;
  std::string prefix_;
};

void read_attention(const Keys& keys, Spec& spec) {
  spec.heads = keys.size("attention.head_count", max_heads);
  spec.kv_heads = keys.size("attention.head_count_kv", max_heads, spec.heads);
  if (spec.heads % spec.kv_heads != 0)
    keys.bad(keys.full("attention.head_count_kv"), spec.kv_heads,
             fmt::format("a divisor of attention.head_count, {}", spec.heads));
  // rope.dimension_count is the rotated part of a head, not its size.
  if (keys.has("attention.key_length")) {
    spec.key_dim = keys.size("attention.key_length", max_head_dim);
  } else {
    spec.key_dim = spec.hidden / spec.heads;
    if (spec.hidden % spec.heads != 0 || spec.key_dim > max_head_dim)
      keys.bad(keys.full("attention.head_count"), spec.heads,
               fmt::format("a divisor of embedding_length, {}, where attention.key_length is absent",
                           spec.hidden));
  }
  spec.value_dim = keys.size("attention.value_length", max_head_dim, spec.key_dim);
}

// YaRN, arXiv:2309.00071.
void read_yarn(const Keys& keys, Rope& rope) {
  rope.yarn_factor = keys.number("rope.scaling.factor", 0);
  if (rope.yarn_factor < 1)
    keys.bad(keys.full("rope.scaling.factor"), rope.yarn_factor, "at least 1 for yarn");
  const int original = keys.size("rope.scaling.original_context_length", max_context);
  rope.yarn_original = static_cast<float>(original);
  rope.yarn_beta_fast = keys.number("rope.scaling.yarn_beta_fast", 0, rope.yarn_beta_fast);
  rope.yarn_beta_slow = keys.number("rope.scaling.yarn_beta_slow", 0, rope.yarn_beta_slow);
  const float usual = static_cast<float>(0.1 * std::log(static_cast<double>(rope.yarn_factor)) + 1);
  rope.magnitude = keys.number("rope.scaling.attn_factor", 0, usual);
}

void read_rope(const Gguf& file, const Keys& keys, Spec& spec) {
  Rope& rope = spec.rope;
  rope.pairs = family_of(file).pairs;
  rope.dims = keys.size("rope.dimension_count", max_head_dim, spec.key_dim);
  if (rope.dims % 2 != 0 || rope.dims > spec.key_dim)
    keys.bad(keys.full("rope.dimension_count"), rope.dims,
             fmt::format("an even number up to the head's size, {}", spec.key_dim));
  rope.base = keys.number("rope.freq_base", 1, rope.base);
  const bool plain = !keys.has("rope.scaling.factor");
  const std::string name = keys.full("rope.scaling.type");
  const auto type = file.get<std::string>(name, plain ? "none" : "linear");
  if (type == "linear")
    rope.scale = 1 / keys.number("rope.scaling.factor", 0);
  else if (type == "yarn")
    read_yarn(keys, rope);
  else if (type != "none")
    keys.bad(name, type, "none, linear or yarn");
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
  spec.layers = keys.size("block_count", max_layers);
  spec.hidden = keys.size("embedding_length", max_size);
  spec.ffn = keys.size("feed_forward_length", max_size);
  spec.context = keys.size("context_length", max_context);
  spec.norm_eps = keys.number("attention.layer_norm_rms_epsilon", 0);
  read_attention(keys, spec);
  read_rope(file, keys, spec);
  const std::string window = "attention.sliding_window";
  if (family.window && file.get<std::uint64_t>(keys.full(window), 0) != 0)  // some files write 0 for none
    spec.window = keys.size(window, max_context);
  spec.vocab = read_vocabulary(file);
  return spec;
}

}  // namespace rf
