#include "model/archs.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "model/model.h"

namespace rf {
namespace {

// They write all of an answer at once, again and again: there is no next token.
constexpr std::array<std::string_view, 4> diffusion{"dream", "llada", "llada-moe", "rnd1"};

constexpr std::array<std::string_view, 24> layer_normed{
    "bert",         "bloom",       "codeshell", "cohere2",  "command-r",  "dbrx",
    "falcon",       "gpt2",        "gptneox",   "jais",     "jais2",      "jina-bert-v2",
    "jina-bert-v3", "modern-bert", "mpt",       "nemotron", "nomic-bert", "nomic-bert-moe",
    "olmo",         "orion",       "phi2",      "stablelm", "starcoder",  "starcoder2"};

constexpr std::array families{
    Family{"llama", Rope::Pairs::adjacent, 1, record_llama},
    Family{"llama4", Rope::Pairs::adjacent, 0, record_llama4},
    Family{"mistral3", Rope::Pairs::adjacent, 0, record_mistral3},
    Family{"qwen2", Rope::Pairs::halves, 0, record_llama},
    Family{"qwen2moe", Rope::Pairs::halves, 0, record_routed},
    Family{"qwen3", Rope::Pairs::halves, 0, record_llama},
    Family{"qwen3moe", Rope::Pairs::halves, 0, record_llama},
    Family{"gemma", Rope::Pairs::halves, 0, record_gemma},
    Family{
        .name = "gemma2", .pairs = Rope::Pairs::halves, .every = 2, .record = record_gemma2, .window = 4096},
    Family{"gemma3", Rope::Pairs::halves, 6, record_gemma3, true, false, 10000},
    Family{"gemma3n", Rope::Pairs::halves, 5, record_gemma3n, true, false, 10000},
    Family{"gemma4", Rope::Pairs::halves, 0, record_gemma4, true, false, 10000},
    Family{"phi2", Rope::Pairs::halves, 0, record_phi2},
    Family{"phi3", Rope::Pairs::halves, 1, record_llama},
    Family{"glm4", Rope::Pairs::adjacent, 0, record_glm4},
    Family{"glm4moe", Rope::Pairs::halves, 0, record_glm4moe},
    Family{"chatglm", Rope::Pairs::adjacent, 0, record_llama},
    Family{"deepseek2", Rope::Pairs::adjacent, 0, record_deepseek2},
    Family{"deepseek32", Rope::Pairs::adjacent, 0, record_deepseek32},
    Family{"glm-dsa", Rope::Pairs::adjacent, 0, record_glm_dsa},
    Family{"mistral4", Rope::Pairs::adjacent, 0, record_deepseek2},
    Family{"minicpm3", Rope::Pairs::halves, 0, record_minicpm3},
    Family{"plm", Rope::Pairs::adjacent, 0, record_plm},
    Family{"gpt-oss", Rope::Pairs::halves, 2, record_gpt_oss},
    Family{"gpt2", Rope::Pairs::halves, 0, record_gpt2},
    Family{"gptneox", Rope::Pairs::halves, 0, record_gptneox},
    Family{"falcon", Rope::Pairs::halves, 0, record_falcon},
    Family{"starcoder2", Rope::Pairs::halves, 1, record_starcoder2},
    Family{"stablelm", Rope::Pairs::halves, 0, record_stablelm},
    Family{"bloom", Rope::Pairs::halves, 0, record_bloom},
    Family{"mpt", Rope::Pairs::halves, 0, record_mpt},
    Family{"nemotron", Rope::Pairs::halves, 0, record_nemotron},
    Family{"olmo2", Rope::Pairs::halves, 4, record_olmo2},
    Family{"olmoe", Rope::Pairs::halves, 0, record_olmoe},
    Family{"granite", Rope::Pairs::adjacent, 0, record_granite},
    Family{"granitemoe", Rope::Pairs::adjacent, 0, record_granite},
    Family{"minicpm", Rope::Pairs::adjacent, 0, record_minicpm},
    Family{"command-r", Rope::Pairs::adjacent, 0, record_command_r},
    Family{"cohere2", Rope::Pairs::adjacent, 4, record_cohere2},
    Family{"internlm2", Rope::Pairs::adjacent, 0, record_llama},
    Family{"exaone", Rope::Pairs::halves, 0, record_llama},
    Family{"exaone4", Rope::Pairs::halves, 4, record_exaone4},
    Family{"smollm3", Rope::Pairs::adjacent, 0, record_smollm3},
    Family{"ernie4_5", Rope::Pairs::adjacent, 0, record_ernie},
    Family{"ernie4_5-moe", Rope::Pairs::adjacent, 0, record_ernie},
    Family{"hunyuan-dense", Rope::Pairs::halves, 0, record_hunyuan},
    Family{"hunyuan-moe", Rope::Pairs::halves, 0, record_hunyuan},
    Family{"hunyuan_vl", Rope::Pairs::halves, 0, record_hunyuan},
    Family{"baichuan", Rope::Pairs::adjacent, 0, record_baichuan},
    Family{"orion", Rope::Pairs::halves, 0, record_llama},
    Family{"xverse", Rope::Pairs::adjacent, 0, record_llama},
    Family{"nanbeige", Rope::Pairs::adjacent, 0, record_nanbeige},
    Family{"chameleon", Rope::Pairs::adjacent, 0, record_chameleon},
    Family{"cogvlm", Rope::Pairs::halves, 0, record_llama},
    Family{"openelm", Rope::Pairs::halves, 0, record_llama},
    Family{"paddleocr", Rope::Pairs::halves, 0, record_llama},
    Family{"plamo", Rope::Pairs::halves, 0, record_plamo},
    Family{"plamo3", Rope::Pairs::halves, 8, record_plamo3},
    Family{"refact", Rope::Pairs::halves, 0, record_refact},
    Family{.name = "deci", .record = record_deci, .partial_layers = true},
    Family{"arcee", Rope::Pairs::adjacent, 0, record_arcee},
    Family{"seed_oss", Rope::Pairs::halves, 0, record_seed_oss},
    Family{"apertus", Rope::Pairs::halves, 0, record_apertus},
    Family{"bitnet", Rope::Pairs::halves, 0, record_bitnet},
    Family{"jais", Rope::Pairs::halves, 0, record_jais},
    Family{"jais2", Rope::Pairs::halves, 0, record_nemotron},
    Family{"maincoder", Rope::Pairs::adjacent, 0, record_hunyuan},
    Family{"pangu-embedded", Rope::Pairs::halves, 0, record_llama},
    Family{"afmoe", Rope::Pairs::halves, 4, record_afmoe},
    Family{"exaone-moe", Rope::Pairs::halves, 4, record_exaone_moe},
    Family{"grok", Rope::Pairs::halves, 0, record_grok},
    Family{"grovemoe", Rope::Pairs::halves, 0, record_grovemoe},
    Family{"hy_v3", Rope::Pairs::halves, 0, record_hy3},
    Family{"mellum", Rope::Pairs::halves, 4, record_mellum},
    Family{"smallthinker", Rope::Pairs::halves, 4, record_smallthinker, true, true},
    Family{"qwen", Rope::Pairs::halves, 0, record_llama},
    Family{"qwen2vl", Rope::Pairs::halves, 0, record_llama},
    Family{"qwen3vl", Rope::Pairs::halves, 0, record_llama},
    Family{"qwen3vlmoe", Rope::Pairs::halves, 0, record_llama},
    Family{"deepseek", Rope::Pairs::adjacent, 0, record_routed},
    Family{"deepseek2-ocr", Rope::Pairs::halves, 0, record_routed},
    Family{"dots1", Rope::Pairs::halves, 0, record_routed},
    Family{"bailingmoe", Rope::Pairs::adjacent, 0, record_routed},
    Family{"bailingmoe2", Rope::Pairs::halves, 0, record_routed},
    Family{"minimax-m2", Rope::Pairs::halves, 0, record_minimax},
    Family{"minimax-m3", Rope::Pairs::halves, 0, record_minimax3},
    Family{"arctic", Rope::Pairs::adjacent, 0, record_arctic},
    Family{"mimo2", Rope::Pairs::halves, 0, record_mimo2},
    Family{"step35", Rope::Pairs::halves, 0, record_step35},
    Family{"laguna", Rope::Pairs::halves, 4, record_laguna, true, true},
    Family{"cohere2moe", Rope::Pairs::adjacent, 4, record_cohere2moe, true, true},
    Family{"dbrx", Rope::Pairs::halves, 0, record_dbrx},
    Family{"phimoe", Rope::Pairs::halves, 1, record_phimoe},
    Family{"talkie", Rope::Pairs::halves, 0, record_talkie},
    Family{"starcoder", Rope::Pairs::halves, 0, record_gpt2},
    Family{"codeshell", Rope::Pairs::halves, 0, record_starcoder2},
    Family{"olmo", Rope::Pairs::adjacent, 0, record_olmo},
    Family{.name = "mamba", .record = record_mamba, .partial_layers = true},
    Family{.name = "mamba2", .record = record_mamba2, .partial_layers = true},
    Family{.name = "jamba", .record = record_jamba, .partial_layers = true},
    Family{.name = "falcon-h1", .pairs = Rope::Pairs::halves, .record = record_falcon_h1},
    Family{.name = "granitehybrid", .record = record_granite_hybrid, .partial_layers = true},
    Family{.name = "nemotron_h", .record = record_nemotron_h, .partial_layers = true},
    Family{.name = "nemotron_h_moe", .record = record_nemotron_h, .partial_layers = true},
    Family{.name = "lfm2",
           .pairs = Rope::Pairs::halves,
           .every = 1,
           .record = record_lfm2,
           .partial_layers = true},
    Family{.name = "lfm2moe", .pairs = Rope::Pairs::halves, .record = record_lfm2, .partial_layers = true},
    Family{.name = "qwen3next",
           .pairs = Rope::Pairs::halves,
           .record = record_qwen3next,
           .partial_layers = true},
    Family{.name = "qwen35", .pairs = Rope::Pairs::halves, .record = record_qwen35, .partial_layers = true},
    Family{
        .name = "qwen35moe", .pairs = Rope::Pairs::halves, .record = record_qwen35, .partial_layers = true},
    Family{.name = "kimi-linear", .record = record_kimi_linear, .partial_layers = true},
    Family{.name = "plamo2", .pairs = Rope::Pairs::halves, .record = record_plamo2, .partial_layers = true},
    Family{.name = "rwkv6", .record = record_rwkv6, .partial_layers = true},
    Family{.name = "rwkv7", .record = record_rwkv7, .partial_layers = true},
    Family{.name = "rwkv6qwen2", .record = record_rwkv6_qwen2, .partial_layers = true},
    Family{.name = "arwkv7", .record = record_arwkv7, .partial_layers = true},
    // encoders
    Family{"bert", Rope::Pairs::halves, 0, record_bert, false},
    Family{"nomic-bert", Rope::Pairs::halves, 0, record_nomic_bert, false},
    Family{"nomic-bert-moe", Rope::Pairs::halves, 0, record_nomic_bert_moe, false},
    Family{"jina-bert-v2", Rope::Pairs::halves, 0, record_jina_bert, false},
    Family{"jina-bert-v3", Rope::Pairs::halves, 0, record_bert, false},
    Family{"modern-bert", Rope::Pairs::halves, 3, record_modern_bert, false, true, 10000},
    Family{"gemma-embedding", Rope::Pairs::halves, 6, record_gemma3, false, false, 10000},
    Family{"eurobert", Rope::Pairs::halves, 0, record_llama, false},
    Family{"neo-bert", Rope::Pairs::adjacent, 0, record_neo_bert, false},
    Family{"llama-embed", Rope::Pairs::adjacent, 0, record_llama, false},
};

}  // namespace

bool has_layer_norms(const Family& family) {
  return std::ranges::find(layer_normed, family.name) != layer_normed.end();
}

const Family& family_of(const Gguf& file) {
  const auto architecture = file.get<std::string>("general.architecture");
  if (std::ranges::find(diffusion, architecture) != diffusion.end())
    fail("{}: key 'general.architecture' is '{}', which generates by diffusion; that is not supported",
         file.path(), architecture);
  for (const Family& family : families)
    if (family.name == architecture) return family;
  fail("{}: key 'general.architecture' is '{}', which is not supported; supported are {}", file.path(),
       architecture, fmt::join(supported_architectures(), ", "));
}

Program record(const Gguf& file, const Spec& spec, int context, bool embed) {
  if (context <= 0) context = spec.context;
  Builder builder(file, spec, context, embed);
  family_of(file).record(builder);
  return builder.finish();
}

std::vector<std::string> supported_architectures() {
  std::vector<std::string> names;
  for (const Family& family : families) names.emplace_back(family.name);
  return names;
}

}  // namespace rf
