#include "model/mix.h"

#include <fnmatch.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

#include "base/error.h"
#include "tensor/decode.h"
#include "tensor/encode.h"

namespace rf {
namespace {

constexpr Mix mixes[] = {
    {0, "F32", Type::f32},        {1, "F16", Type::f16},          {2, "Q4_0", Type::q4_0},
    {3, "Q4_1", Type::q4_1},      {7, "Q8_0", Type::q8_0},        {8, "Q5_0", Type::q5_0},
    {9, "Q5_1", Type::q5_1},      {10, "Q2_K", Type::q2_k},       {11, "Q3_K_S", Type::q3_k},
    {12, "Q3_K_M", Type::q3_k},   {13, "Q3_K_L", Type::q3_k},     {14, "Q4_K_S", Type::q4_k},
    {15, "Q4_K_M", Type::q4_k},   {16, "Q5_K_S", Type::q5_k},     {17, "Q5_K_M", Type::q5_k},
    {18, "Q6_K", Type::q6_k},     {19, "IQ2_XXS", Type::iq2_xxs}, {20, "IQ2_XS", Type::iq2_xs},
    {21, "Q2_K_S", Type::q2_k},   {22, "IQ3_XS", Type::iq3_s},    {23, "IQ3_XXS", Type::iq3_xxs},
    {24, "IQ1_S", Type::iq1_s},   {25, "IQ4_NL", Type::iq4_nl},   {26, "IQ3_S", Type::iq3_s},
    {27, "IQ3_M", Type::iq3_s},   {28, "IQ2_S", Type::iq2_xs},    {29, "IQ2_M", Type::iq2_s},
    {30, "IQ4_XS", Type::iq4_xs}, {31, "IQ1_M", Type::iq1_m},     {32, "BF16", Type::bf16},
    {36, "TQ1_0", Type::tq1_0},   {37, "TQ2_0", Type::tq2_0},     {38, "MXFP4", Type::mxfp4},
};

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool is_float(Type type) {
  return type == Type::f32 || type == Type::f16 || type == Type::bf16;
}

// Matrices that multiply activations, or tables of embeddings; the rest is left as it is.
bool may_change(std::string_view name, const Tensor& tensor) {
  if (tensor.rows() < 2 || !holds_weights(tensor.type) || !name.ends_with("weight")) return false;
  constexpr std::string_view kept[] = {"_norm.weight",
                                       "ffn_gate_inp.weight",
                                       "position_embd",
                                       "token_types",
                                       "altup",
                                       "laurel",
                                       "per_layer_model_proj",
                                       "ssm_conv1d",
                                       "shortconv.conv",
                                       "attn_rel_b",
                                       "time_mix_first",
                                       "time_mix_w0",
                                       "time_mix_w1",
                                       "time_mix_w2",
                                       "time_mix_v0",
                                       "time_mix_v1",
                                       "time_mix_v2",
                                       "time_mix_a0",
                                       "time_mix_a1",
                                       "time_mix_a2",
                                       "time_mix_g1",
                                       "time_mix_g2",
                                       "time_mix_decay_w1",
                                       "time_mix_decay_w2",
                                       "time_mix_lerp_fused",
                                       "indexer.k_proj",
                                       "indexer.q_proj",
                                       "patch_embd",
                                       "patch_merger",
                                       "rel_pos",
                                       "sam.",
                                       "codebook",
                                       "code_embd"};
  return std::none_of(std::begin(kept), std::end(kept), [&](auto part) { return contains(name, part); });
}

// The number N of "blk.N.", or -1.
int layer_of(std::string_view name) {
  int layer = -1;
  if (name.starts_with("blk.")) std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  return layer;
}

// Values, which also hold the gates and keys that are stored with them: errors there reach every output.
bool is_value(std::string_view name) {
  return contains(name, "attn_v.weight") || contains(name, "attn_qkv.weight") ||
         contains(name, "attn_kv_b.weight");
}

// The largest of a key that holds one number or one for each layer.
std::int64_t largest(const Gguf& file, const std::string& key, std::int64_t fallback) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) return fallback;
  if (found->second.type != ValueType::array) return file.get<std::int64_t>(key);
  const auto values = file.get<std::vector<std::int64_t>>(key);
  return values.empty() ? fallback : *std::max_element(values.begin(), values.end());
}

// The recipes of the mixes, as llama.cpp's users know them.
class Recipe {
 public:
  Recipe(const Gguf& file, const Mix& mix, bool weighted) : mix_(mix), weighted_(weighted) {
    const auto arch = file.get<std::string>("general.architecture", "");
    falcon_ = arch == "falcon";
    experts_ = largest(file, arch + ".expert_count", 0);
    const std::int64_t kv_heads = largest(file, arch + ".attention.head_count_kv", 0);
    const std::int64_t heads = largest(file, arch + ".attention.head_count", 0);
    shared_ = kv_heads > 0 ? heads / kv_heads : 1;
    tied_ = file.find("output.weight") == nullptr;
    for (const std::string_view name : file.tensor_names()) {
      layers_ = std::max(layers_, layer_of(name) + 1);
      if (is_value(name)) values_.push_back(name);
      has_expert_matrices_ = has_expert_matrices_ || contains(name, "_exps.");
    }
    std::sort(values_.begin(), values_.end(),
              [](auto a, auto b) { return std::pair(layer_of(a), a) < std::pair(layer_of(b), b); });
  }

  Type type(std::string_view name, const Tensor& tensor) const {
    if (is_float(mix_.body)) return mix_.body;
    if (name == "output.weight" || (tied_ && name == "token_embd.weight")) return output(tensor);
    if (is("MXFP4")) return has_expert_matrices_ && !contains(name, "_exps.") ? Type::q8_0 : Type::mxfp4;
    if (name == "token_embd.weight" || name == "per_layer_token_embd.weight")
      return is("TQ1_0") || is("TQ2_0") ? Type::q4_k : mix_.body;
    if (is_value(name)) return value(name);
    if (contains(name, "attn_k.weight")) return experts_ == 8 ? Type::q8_0 : mix_.body;
    if (contains(name, "ffn_down")) return down(layer_of(name));
    if (contains(name, "attn_output.weight")) return attention_output();
    return mix_.body;
  }

 private:
  bool is(std::string_view name) const { return mix_.name == name; }
  // The first and last eighth of the layers, and every third between.
  static bool important(int i, int count) {
    return i < count / 8 || i >= 7 * count / 8 || (i - count / 8) % 3 == 2;
  }

  Type output(const Tensor& tensor) const {
    const bool whole = tensor.columns() % type_info(mix_.body).block_elements == 0;
    return is("MXFP4") || is("Q8_0") || falcon_ || !whole ? Type::q8_0 : Type::q6_k;
  }

  Type value(std::string_view name) const {
    if (experts_ == 8) return Type::q8_0;
    const int i = static_cast<int>(std::find(values_.begin(), values_.end(), name) - values_.begin());
    const int count = static_cast<int>(values_.size());
    Type type = mix_.body;
    if (is("Q2_K")) type = shared_ >= 4 ? Type::q4_k : Type::q3_k;
    if (is("Q2_K_S") && shared_ >= 4) type = Type::q4_k;
    if (is("Q3_K_M")) type = i < 2 ? Type::q5_k : Type::q4_k;
    if (is("Q3_K_L")) type = Type::q5_k;
    if ((is("IQ4_NL") || is("IQ4_XS")) && shared_ >= 4) type = Type::q5_k;
    if ((is("Q4_K_M") || is("Q5_K_M")) && important(i, count)) type = Type::q6_k;
    if (is("Q4_K_S") && i < 4) type = Type::q5_k;
    // Where eight heads share these weights, they are few and used often.
    if (shared_ >= 8 && (type == Type::q3_k || type == Type::q4_k)) type = Type::q5_k;
    return type;
  }

  Type down(int i) const {
    const int eighth = layers_ / 8;
    if (is("Q2_K")) return Type::q3_k;
    if (is("Q2_K_S") && i < eighth) return Type::q4_k;
    if (is("Q3_K_M"))
      return i < layers_ / 16 ? Type::q5_k : !falcon_ || important(i, layers_) ? Type::q4_k : Type::q3_k;
    if (is("Q3_K_L")) return falcon_ ? Type::q4_k : Type::q5_k;
    if (is("Q4_K_M") && falcon_)
      return i < layers_ / 16 ? Type::q6_k : important(i, layers_) ? Type::q5_k : Type::q4_k;
    if ((is("Q4_K_M") || is("Q5_K_M")) && important(i, layers_)) return Type::q6_k;
    if ((is("IQ4_NL") || is("IQ4_XS")) && i < eighth && !weighted_) return Type::q5_k;
    if (is("Q4_K_S") && !falcon_ && i < eighth) return Type::q5_k;
    if (is("Q4_0") && i < eighth && weighted_) return Type::q4_1;
    if (is("Q5_0") && i < eighth && weighted_) return Type::q5_1;
    return mix_.body;
  }

  Type attention_output() const {
    if (falcon_) return is("Q3_K_L") ? Type::q4_k : mix_.body;
    if (experts_ == 8) {
      constexpr std::string_view raised[] = {"Q2_K",   "Q3_K_S", "Q3_K_M", "Q4_K_S",
                                             "Q4_K_M", "IQ4_NL", "IQ4_XS"};
      return std::any_of(std::begin(raised), std::end(raised), [&](auto name) { return is(name); })
                 ? Type::q5_k
                 : mix_.body;
    }
    if (is("Q2_K")) return Type::q3_k;
    if (is("Q3_K_M")) return Type::q4_k;
    if (is("Q3_K_L")) return Type::q5_k;
    return mix_.body;
  }

  const Mix& mix_;
  const bool weighted_;
  bool falcon_ = false, tied_ = false, has_expert_matrices_ = false;
  std::int64_t experts_ = 0;
  std::int64_t shared_ = 1;  // query heads for each key/value head
  int layers_ = 0;
  std::vector<std::string_view> values_;  // in the order of layers
};

// A format of smaller blocks for rows that are not whole blocks of `type`.
Type fitting(Type type, std::int64_t columns) {
  const auto whole = [&](Type t) { return columns % type_info(t).block_elements == 0; };
  if (whole(type)) return type;
  Type smaller = Type::f16;
  if (type == Type::q2_k || type == Type::q3_k || type == Type::tq1_0 || type == Type::tq2_0)
    smaller = Type::q4_0;
  if (type == Type::iq4_xs) smaller = Type::iq4_nl;
  if (type == Type::q4_k) smaller = Type::q5_0;
  if (type == Type::q5_k) smaller = Type::q5_1;
  if (type == Type::q6_k) smaller = Type::q8_0;
  return whole(smaller) ? smaller : Type::f16;
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

}  // namespace

const Mix* find_mix(std::uint32_t file_type) {
  const auto found = std::find_if(std::begin(mixes), std::end(mixes),
                                  [&](const Mix& mix) { return mix.file_type == file_type; });
  return found == std::end(mixes) ? nullptr : found;
}

std::string writable_mixes() {
  std::string names;
  for (const Mix& mix : mixes)
    if (can_encode(mix.body)) names += (names.empty() ? "" : ", ") + std::string(mix.name);
  return names;
}

const Mix& mix_by_name(std::string_view name) {
  std::string wanted = upper(name);
  if (wanted == "Q3_K" || wanted == "Q4_K" || wanted == "Q5_K") wanted += "_M";
  if (wanted == "MXFP4_MOE") wanted = "MXFP4";
  for (const Mix& mix : mixes)
    if (mix.name == wanted) {
      if (!can_encode(mix.body))
        fail("type {} can be read, but not written; expected one of {}", name, writable_mixes());
      return mix;
    }
  fail("type '{}' is unknown; expected one of {}", name, writable_mixes());
}

TypeRule parse_type_rule(const std::string& text) {
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) fail("expected GLOB=TYPE, found '{}'", text);
  const std::optional<Type> type = type_by_name(std::string_view(text).substr(equals + 1));
  if (!type || !can_encode(*type))
    fail("'{}': type '{}' {}; expected one of {}", text, text.substr(equals + 1),
         type ? "cannot be written" : "is unknown", encodable_types());
  return {text.substr(0, equals), *type};
}

std::vector<TypeChoice> choose_types(const Gguf& file, const Mix& mix, std::span<const TypeRule> rules,
                                     bool weighted) {
  const Recipe recipe(file, mix, weighted);
  std::vector<bool> used(rules.size());
  std::vector<TypeChoice> choices;
  for (const std::string_view name : file.tensor_names()) {
    const Tensor& tensor = file.tensor(name);
    TypeChoice choice{name, tensor.type, ""};
    if (may_change(name, tensor)) {
      Type wanted = recipe.type(name, tensor);
      for (std::size_t i = 0; i < rules.size(); ++i)
        if (::fnmatch(rules[i].glob.c_str(), std::string(name).c_str(), 0) == 0) {
          used[i] = true;
          wanted = rules[i].type;
        }
      choice.type = fitting(wanted, tensor.columns());
      if (choice.type != wanted)
        choice.note = fmt::format("rows of {} are not whole blocks of {}: {} instead of {}", tensor.columns(),
                                  type_info(wanted).block_elements, type_info(choice.type).name,
                                  type_info(wanted).name);
    }
    choices.push_back(std::move(choice));
  }
  if (const auto unused = std::find(used.begin(), used.end(), false); unused != used.end())
    fail("{}: '{}' matches no matrix that can be quantised: whole names are compared, as in '*attn_v*'",
         file.path(), rules[static_cast<std::size_t>(unused - used.begin())].glob);
  return choices;
}

}  // namespace rf
