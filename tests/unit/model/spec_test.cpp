// What a model is comes from its keys and tensors; anything else than expected is an error that names it.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "golden_arch.h"
#include "unit/model/variant.h"

namespace rf {
namespace {

using test::Changes;
using test::Variant;

std::string source(const std::string& folder) {
  return test::golden("arch/" + folder + "/model.gguf");
}

bool are_here(std::initializer_list<const char*> folders) {
  return std::ranges::none_of(folders, [](const char* folder) { return source(folder).empty(); });
}

// "" when the file's program could be recorded.
std::string record_error(const std::string& path) {
  try {
    const Gguf file = Gguf::open(path);
    record(file, read_spec(file));
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

Changes set(const std::string& key, auto value) {
  return {.without = {}, .add = [=](GgufWriter& writer) { writer.set(key, value); }};
}
Changes set_list(const std::string& key, std::vector<std::int32_t> values) {
  return {.without = {},
          .add = [=](GgufWriter& writer) { writer.set(key, std::span<const std::int32_t>(values)); }};
}
Changes without(const std::string& name) {
  return {.without = {name}};
}

Spec spec_of(const std::string& folder, const Changes& changes = {}) {
  const Variant variant(source(folder), changes);
  const Gguf file = Gguf::open(variant.path());
  return read_spec(file);
}

TEST(Spec, OfGoldenFiles) {
  const Spec llama = spec_of("llama");
  EXPECT_EQ(llama.architecture, "llama");
  EXPECT_EQ(llama.name, "golden-llama");
  EXPECT_EQ(llama.layers.size(), 3u);
  EXPECT_EQ(llama.hidden, 64);
  EXPECT_EQ(llama.layers[0].ffn, 96);
  EXPECT_EQ(llama.layers[0].heads, 4);
  EXPECT_EQ(llama.layers[0].kv_heads, 2);
  EXPECT_EQ(llama.layers[0].key_dim, 16);
  EXPECT_EQ(llama.context, 512);
  EXPECT_EQ(llama.layers[0].window, 0);
  EXPECT_EQ(llama.vocab, 384);
  EXPECT_EQ(llama.layers[0].rope.pairs, Rope::Pairs::adjacent);
  EXPECT_EQ(llama.layers[0].rope.base, 500000);
  const Spec qwen3 = spec_of("qwen3");
  EXPECT_EQ(qwen3.layers[0].key_dim, 32);  // hidden / heads is 16
  EXPECT_EQ(qwen3.layers[0].rope.pairs, Rope::Pairs::halves);
  EXPECT_EQ(qwen3.layers[0].rope.dims, 32);
}

// A head's size needs neither key_length nor rope.dimension_count; where they are there, they change nothing.
TEST(Spec, HeadSizeIsOptional) {
  const auto size = [](const char* key) {
    return std::function([=](GgufWriter& writer) { writer.set(key, std::uint32_t{16}); });
  };
  const Variant variants[] = {
      {source("qwen2"), {}},
      {source("qwen2"), {.without = {}, .add = size("qwen2.rope.dimension_count")}},
      {source("qwen2"), {.without = {}, .add = size("qwen2.attention.key_length")}},
      {source("qwen2"), {.without = {}, .add = size("qwen2.attention.value_length")}},
  };
  for (const Variant& variant : variants) {
    const test::GoldenModel model("qwen2", variant.path());
    EXPECT_EQ(model.spec.layers[0].key_dim, 16);
    EXPECT_EQ(model.spec.layers[0].value_dim, 16);
    EXPECT_EQ(model.spec.layers[0].rope.dims, 16);
    const auto reference = [] {
      test::Backends backends;
      backends.push_back(make_reference());
      return backends;
    };
    test::run_golden(model, reference, {.exact = true, .page_tokens = {16}});
  }
}

TEST(Spec, RotatedPartOfAHead) {
  const Spec spec = spec_of("llama", set("llama.rope.dimension_count", std::uint32_t{8}));
  EXPECT_EQ(spec.layers[0].key_dim, 16);
  EXPECT_EQ(spec.layers[0].rope.dims, 8);
}

TEST(Spec, ListsOfOneValue) {
  EXPECT_EQ(spec_of("llama", set_list("llama.attention.head_count_kv", {2, 2, 2})).layers[0].kv_heads, 2);
  EXPECT_EQ(spec_of("llama", set_list("llama.feed_forward_length", {96, 96, 96})).layers[0].ffn, 96);
}

TEST(Spec, WindowOfTheFamiliesThatHaveOne) {
  EXPECT_EQ(spec_of("mistral", set("llama.attention.sliding_window", std::uint32_t{16})).layers[0].window,
            16);
  EXPECT_EQ(spec_of("mistral", set("llama.attention.sliding_window", std::uint32_t{0})).layers[0].window, 0);
  EXPECT_EQ(spec_of("qwen2", set("qwen2.attention.sliding_window", std::uint32_t{16})).layers[0].window, 0);
}

TEST(Spec, RopeScaling) {
  const auto scaling = [](std::string_view type, float attention_factor) {
    return Changes{.without = {}, .add = [=](GgufWriter& writer) {
                     writer.set("llama.rope.scaling.type", type);
                     writer.set("llama.rope.scaling.factor", 4.f);
                     writer.set("llama.rope.scaling.original_context_length", std::uint32_t{128});
                     if (attention_factor > 0) writer.set("llama.rope.scaling.attn_factor", attention_factor);
                   }};
  };
  EXPECT_EQ(spec_of("llama", scaling("none", 0)).layers[0].rope.scale, 1);
  const Rope linear = spec_of("llama", scaling("linear", 0)).layers[0].rope;
  EXPECT_EQ(linear.scale, 0.25f);
  EXPECT_EQ(linear.magnitude, 1);
  EXPECT_EQ(linear.yarn_factor, 0);
  EXPECT_EQ(spec_of("llama", set("llama.rope.scale_linear", 4.f)).layers[0].rope.scale, 0.25f);  // of old
  const Rope yarn = spec_of("llama", scaling("yarn", 0)).layers[0].rope;
  EXPECT_EQ(yarn.scale, 1);
  EXPECT_EQ(yarn.yarn_factor, 4);
  EXPECT_EQ(yarn.yarn_original, 128);
  EXPECT_FLOAT_EQ(yarn.magnitude, 1.1386294f);  // 0.1 ln 4 + 1
  EXPECT_EQ(spec_of("llama", scaling("yarn", 1)).layers[0].rope.magnitude, yarn.magnitude);
  EXPECT_EQ(spec_of("llama", scaling("yarn", 1.25f)).layers[0].rope.magnitude, 1.25f);
}

TEST(Spec, KindOfNormsWhereTheFileHasBothEpsilons) {
  const auto both = [](const char* architecture) {
    return Changes{.without = {}, .add = [=](GgufWriter& writer) {
                     writer.set(std::string(architecture) + ".attention.layer_norm_epsilon", 1e-4f);
                     writer.set(std::string(architecture) + ".attention.layer_norm_rms_epsilon", 1e-3f);
                   }};
  };
  for (const char* name : {"modern-bert", "mpt", "olmo"}) {
    const Spec spec = spec_of(name, both(name));
    EXPECT_EQ(spec.norm, Norm::Kind::layer) << name;
    EXPECT_EQ(spec.norm_eps, 1e-4f) << name;
  }
  const Spec llama = spec_of("llama", both("llama"));
  EXPECT_EQ(llama.norm, Norm::Kind::rms);
  EXPECT_EQ(llama.norm_eps, 1e-3f);
}

// What a file leaves out is what its family's published models have.
TEST(Spec, WindowsThatFilesLeaveOut) {
  if (!are_here({"gemma2", "lfm2"})) GTEST_SKIP() << "no golden data";
  const Spec gemma2 = spec_of("gemma2", without("gemma2.attention.sliding_window"));
  EXPECT_EQ(gemma2.layers[0].window, 4096);
  EXPECT_EQ(gemma2.layers[1].window, 0);
  EXPECT_EQ(spec_of("gemma2", set("gemma2.attention.sliding_window", std::uint32_t{0})).layers[0].window, 0);
  for (const LayerSpec& layer :
       spec_of("lfm2", set("lfm2.attention.sliding_window", std::uint32_t{8})).layers)
    EXPECT_EQ(layer.window, layer.kv_heads > 0 ? 8 : 0);
}

Program program_of(const std::string& folder, const Changes& changes) {
  const Variant variant(source(folder), changes);
  const Gguf file = Gguf::open(variant.path());
  return record(file, read_spec(file));
}

// Of `op`, in order.
std::vector<Step> steps_of(const Program& program, Op op) {
  std::vector<Step> steps;
  for (const Step& step : program.steps)
    if (step.op == op) steps.push_back(step);
  return steps;
}

TEST(Record, SoftcapsThatFilesLeaveOut) {
  if (!are_here({"gemma2", "gemma4", "gemma3n", "gemma3"})) GTEST_SKIP() << "no golden data";
  for (const char* folder : {"gemma2", "gemma4", "gemma3n"}) {
    const Program program =
        program_of(folder, without(spec_of(folder).architecture + ".final_logit_softcapping"));
    EXPECT_EQ(steps_of(program, Op::logits).at(0).softcap, 30) << folder;
  }
  EXPECT_EQ(steps_of(program_of("gemma3", {}), Op::logits).at(0).softcap, 0);
}

TEST(Record, ScoresOfExpertsWhereTheFileDoesNotSay) {
  if (!are_here({"glm4-moe", "deepseek-v3", "deepseek-v2-lite"})) GTEST_SKIP() << "no golden data";
  using Gating = Routing::Gating;
  const auto gating = [](const std::string& folder, Changes changes) {
    changes.without.insert(spec_of(folder).architecture + ".expert_gating_func");
    return steps_of(program_of(folder, changes), Op::route).at(0).routing.gating;
  };
  EXPECT_EQ(gating("glm4-moe", {}), Gating::sigmoid);
  EXPECT_EQ(gating("deepseek-v3", {}), Gating::sigmoid) << "a bias in the choice is of those that score so";
  EXPECT_EQ(gating("deepseek-v2-lite", {}), Gating::softmax);
}

TEST(Record, NoExpertsAndNoFactors) {
  if (!are_here({"granite"})) GTEST_SKIP() << "no golden data";
  EXPECT_NO_THROW(program_of("llama", set("llama.expert_count", std::uint32_t{0})));
  const Program program =
      program_of("granite", {.without = {}, .add = [](GgufWriter& writer) {
                               for (const char* key :
                                    {"logit_scale", "residual_scale", "embedding_scale", "attention.scale"})
                                 writer.set(std::string("granite.") + key, 0.0f);
                               writer.set("granite.rope.scaling.finetuned", false);
                             }});
  for (const Step& step : program.steps) EXPECT_EQ(step.scale, 1);
  for (const Step& step : steps_of(program, Op::attend)) {
    EXPECT_FLOAT_EQ(step.attention.scale, 1 / std::sqrt(static_cast<float>(step.attention.key_dim)));
    EXPECT_EQ(step.attention.rope.dims, 0);
  }
}

TEST(Record, Llama4WithoutChunks) {
  if (!are_here({"llama4"})) GTEST_SKIP() << "no golden data";
  for (const Step& step :
       steps_of(program_of("llama4", set("llama4.attention.sliding_window", std::uint32_t{0})), Op::attend)) {
    EXPECT_EQ(step.attention.sees, Attention::Sees::past);
    EXPECT_GT(step.attention.rope.dims, 0);
  }
}

// Nothing is chosen where sequences have no more positions than an indexer would choose.
TEST(Spec, IndexersChooseInLongContextsAlone) {
  const auto choosing = [](const char* folder, int context, const Changes& changes = {}) {
    const Variant variant(source(folder), changes);
    const Gguf file = Gguf::open(variant.path());
    std::vector<int> layers;
    for (const Step& step : record(file, read_spec(file), context).steps)
      if (step.op == Op::index) layers.push_back(step.layer);
    return layers;
  };
  using Layers = std::vector<int>;
  EXPECT_EQ(choosing("deepseek32", 8), Layers());
  EXPECT_EQ(choosing("deepseek32", 9), (Layers{0, 1}));
  EXPECT_EQ(choosing("glm-dsa", 0), (Layers{0, 1}));  // the third shares
  EXPECT_EQ(choosing("glm-dsa", 0, without("glm-dsa.attention.indexer.types")), (Layers{0, 1}));
  EXPECT_EQ(choosing("glm-dsa", 0, set_list("glm-dsa.attention.indexer.types", {1, 0, 0})), (Layers{0}));
  EXPECT_EQ(choosing("minimax-m3", 12), Layers());
  EXPECT_EQ(choosing("minimax-m3", 13), (Layers{1}));  // the first sees all
}

struct Fault {
  std::string name, folder;
  Changes changes;
  std::vector<std::string> said;
};

class Faults : public testing::TestWithParam<Fault> {};

TEST_P(Faults, AreNamed) {
  const Variant variant(source(GetParam().folder), GetParam().changes);
  const std::string error = record_error(variant.path());
  EXPECT_NE(error.find(variant.path()), std::string::npos) << error;
  for (const std::string& part : GetParam().said) EXPECT_NE(error.find(part), std::string::npos) << error;
}

constexpr float nan = std::numeric_limits<float>::quiet_NaN(),
                infinite = std::numeric_limits<float>::infinity();
constexpr std::uint32_t zero = 0, three = 3, huge = 0xffffffffu;

std::vector<Fault> metadata_faults() {
  return {
      {"UnknownFamily", "llama", set("general.architecture", "unheard-of"), {"unheard-of", "llama, llama4"}},
      {"Diffusion", "llama", set("general.architecture", "dream"), {"dream", "diffusion"}},
      {"NoFamily", "llama", without("general.architecture"), {"general.architecture"}},
      {"Experts", "llama", set("llama.expert_count", std::uint32_t{8}), {"expert_used_count"}},
      {"NoLayers", "llama", set("llama.block_count", zero), {"llama.block_count", "is 0"}},
      {"ManyLayers", "llama", set("llama.block_count", huge), {"llama.block_count", "4294967295"}},
      {"LayersOverTensors", "llama", set("llama.block_count", std::uint32_t{4}), {"blk.3.attn_norm.weight"}},
      {"NoHidden", "llama", without("llama.embedding_length"), {"llama.embedding_length"}},
      {"NoHeads", "llama", set("llama.attention.head_count", zero), {"llama.attention.head_count", "is 0"}},
      {"HeadsAsText", "llama", set("llama.attention.head_count", "4"), {"llama.attention.head_count"}},
      {"NoKvHeads", "llama", set("llama.attention.head_count_kv", zero), {"head_count_kv", "is 0"}},
      {"KvHeads", "llama", set("llama.attention.head_count_kv", three), {"head_count_kv", "is 3", "divisor"}},
      {"HeadsOfHidden",
       "qwen2",
       set("qwen2.attention.head_count", std::uint32_t{6}),
       {"head_count", "is 6", "64"}},
      {"NoHeadSize", "llama", set("llama.attention.key_length", zero), {"key_length", "is 0"}},
      {"HeadSize",
       "llama",
       set("llama.attention.key_length", std::uint32_t{32}),
       {"blk.0.attn_q.weight", "[64, 64]", "[64, 128]"}},
      {"ValueSize",
       "llama",
       set("llama.attention.value_length", std::uint32_t{8}),
       {"blk.0.attn_v.weight", "[64, 16]"}},
      {"NoRotation", "llama", set("llama.rope.dimension_count", zero), {"dimension_count", "is 0"}},
      {"OddRotation", "llama", set("llama.rope.dimension_count", three), {"dimension_count", "is 3"}},
      {"WideRotation",
       "llama",
       set("llama.rope.dimension_count", std::uint32_t{18}),
       {"dimension_count", "is 18", "16"}},
      {"RotationBase", "llama", set("llama.rope.freq_base", 0.f), {"freq_base", "is 0"}},
      {"InfiniteBase", "llama", set("llama.rope.freq_base", infinite), {"freq_base", "inf"}},
      {"Epsilon",
       "llama",
       set("llama.attention.layer_norm_rms_epsilon", nan),
       {"layer_norm_rms_epsilon", "nan"}},
      {"NegativeEpsilon",
       "llama",
       set("llama.attention.layer_norm_rms_epsilon", -1.f),
       {"layer_norm_rms_epsilon", "-1"}},
      {"NoContext", "llama", set("llama.context_length", zero), {"context_length", "is 0"}},
      {"Scaling",
       "llama",
       set("llama.rope.scaling.type", "stretched"),
       {"rope.scaling.type", "stretched", "yarn"}},
      {"LinearWithoutFactor", "llama", set("llama.rope.scaling.type", "linear"), {"rope.scaling.factor"}},
      {"ZeroFactor", "llama", set("llama.rope.scaling.factor", 0.f), {"rope.scaling.factor", "is 0"}},
      {"DifferentWidths",
       "llama",
       set_list("llama.feed_forward_length", {96, 64}),
       {"feed_forward_length", "3 layers"}},
      {"EmptyList", "llama", set_list("llama.attention.head_count_kv", {}), {"head_count_kv", "list of 0"}},
      {"Groups", "falcon-h1", set("falcon-h1.ssm.group_count", std::uint32_t{4}), {"group_count", "found 4"}},
      {"ScanHeads",
       "nemotron-h",
       set("nemotron_h.ssm.time_step_rank", std::uint32_t{5}),
       {"time_step_rank", "found 5"}},
      {"NoInner", "jamba", without("jamba.ssm.inner_size"), {"jamba.ssm.inner_size"}},
      {"StateSize",
       "jamba",
       set("jamba.ssm.state_size", std::uint32_t{16}),
       {"blk.0.ssm_x.weight", "[64, 20]", "[64, 36]"}},
      {"SmallState",
       "jamba",
       set("jamba.ssm.state_size", std::uint32_t{4}),
       {"blk.0.ssm_x.weight", "[64, 20]", "[64, 12]"}},
      {"WkvHead", "rwkv6", set("rwkv6.wkv.head_size", std::uint32_t{5}), {"wkv.head_size", "32"}},
      {"NoIndexer", "deepseek32", without("deepseek32.attention.indexer.top_k"), {"indexer.top_k"}},
      {"NothingChosen",
       "deepseek32",
       set("deepseek32.attention.indexer.top_k", zero),
       {"indexer.top_k", "found 0"}},
      {"NoBlock",
       "minimax-m3",
       set("minimax-m3.attention.indexer.block_size", zero),
       {"block_size", "found 0"}},
      {"LocalBlocks",
       "minimax-m3",
       set("minimax-m3.attention.indexer.local_blocks", std::uint32_t{4}),
       {"local_blocks", "at most top_k, 3", "found 4"}},
      {"IndexerHeads",
       "minimax-m3",
       set("minimax-m3.attention.indexer.head_count", three),
       {"indexer.head_count", "found 3"}},
      {"IndexerQueries",
       "glm-dsa",
       set("glm-dsa.attention.indexer.head_count", three),
       {"blk.0.indexer.attn_q_b.weight", "[12, 64]", "[12, 24]"}},
      {"IndexerKeys",
       "glm-dsa",
       set("glm-dsa.attention.indexer.key_length", std::uint32_t{2}),
       {"indexer.key_length", "at least 4", "found 2"}},
      {"SharedFirst",
       "glm-dsa",
       set_list("glm-dsa.attention.indexer.types", {0, 1, 1}),
       {"indexer.types", "first layer"}},
      {"FewTypes",
       "glm-dsa",
       set_list("glm-dsa.attention.indexer.types", {1, 1}),
       {"indexer.types", "3 layers"}},
      {"NoIndexerKey", "deepseek32", without("blk.1.indexer.attn_k.weight"), {"blk.1.indexer.attn_k.weight"}},
      {"TokenCount",
       "llama",
       set_list("tokenizer.ggml.tokens", {1, 2, 3}),
       {"tokenizer.ggml.tokens", "3", "384"}},
  };
}

std::vector<Fault> tensor_faults() {
  const auto factor_of = [](const char* name) {
    return Changes{.without = {}, .add = [name](GgufWriter& writer) {
                     writer.add(name, Type::f32, {1, 1, 1, 1},
                                [](std::span<std::byte> out) { std::memset(out.data(), 0xff, out.size()); });
                   }};
  };
  const auto retyped = [](const char* name, Type type) {
    return Changes{.without = {}, .add = {}, .retyped = {{name, type}}};
  };
  const auto reshaped = [](const char* name, std::int64_t columns, std::int64_t rows) {
    return Changes{.without = {}, .add = {}, .retyped = {}, .reshaped = {{name, {columns, rows, 1, 1}}}};
  };
  const Changes bad_factor{.without = {"rope_freqs.weight"}, .add = [](GgufWriter& writer) {
                             writer.add(
                                 "rope_freqs.weight", Type::f32, {16, 1, 1, 1},
                                 [](std::span<std::byte> out) { std::memset(out.data(), 0, out.size()); });
                           }};
  return {
      {"NoEmbedding", "llama", without("token_embd.weight"), {"token_embd.weight"}},
      {"NoOutputNorm", "llama", without("output_norm.weight"), {"output_norm.weight"}},
      {"NoQuery", "llama", without("blk.1.attn_q.weight"), {"blk.1.attn_q.weight"}},
      {"MatrixType", "llama", retyped("blk.0.ffn_up.weight", Type::i32), {"blk.0.ffn_up.weight", "I32"}},
      {"NormType",
       "llama",
       retyped("blk.0.ffn_norm.weight", Type::f16),
       {"blk.0.ffn_norm.weight", "F16", "F32"}},
      {"BiasType", "qwen2", retyped("blk.0.attn_k.bias", Type::f16), {"blk.0.attn_k.bias", "F16", "F32"}},
      {"BiasShape",
       "qwen2",
       reshaped("blk.0.attn_k.bias", 16, 1),
       {"blk.0.attn_k.bias", "16 elements", "32"}},
      {"MatrixShape",
       "llama",
       reshaped("blk.2.ffn_down.weight", 64, 64),
       {"blk.2.ffn_down.weight", "[64, 64]", "[96, 64]"}},
      {"NoConvolution", "falcon-h1", without("blk.0.ssm_conv1d.weight"), {"blk.0.ssm_conv1d.weight"}},
      {"ConvolutionType",
       "falcon-h1",
       retyped("blk.1.ssm_conv1d.weight", Type::f16),
       {"blk.1.ssm_conv1d.weight", "F16", "F32"}},
      {"Mixtures",
       "rwkv7",
       reshaped("blk.0.time_mix_lerp_fused.weight", 32, 5),
       {"blk.0.time_mix_lerp_fused.weight", "5 rows"}},
      {"Factors",
       "llama3-rope",
       reshaped("rope_freqs.weight", 8, 1),
       {"rope_freqs.weight", "8 elements", "16"}},
      {"ZeroFactor", "llama3-rope", bad_factor, {"rope_freqs.weight", "element 0"}},
      {"FactorOfAMatrix", "llama", factor_of("blk.1.ffn_up.scale"), {"blk.1.ffn_up.scale", "finite"}},
      {"FactorOfATable", "llama", factor_of("token_embd.scale"), {"token_embd.scale", "finite"}},
  };
}

const auto fault_name = [](const auto& fault) { return fault.param.name; };
INSTANTIATE_TEST_SUITE_P(Metadata, Faults, testing::ValuesIn(metadata_faults()), fault_name);
INSTANTIATE_TEST_SUITE_P(Tensors, Faults, testing::ValuesIn(tensor_faults()), fault_name);

// The malformed files whose fault is the model's, not the container's.
TEST(Malformed, IsNamed) {
  const std::pair<const char*, const char*> files[] = {
      {"head-count-zero", "attention.head_count"},
      {"missing-tensor", "tensor '"},
      {"tokens-fewer-than-embedding-rows", "tokenizer.ggml.tokens"},
      {"nan-rms-epsilon", "layer_norm_rms_epsilon"},
  };
  for (const auto& [name, said] : files) {
    const std::string path = test::golden(std::string("malformed/") + name + ".gguf");
    ASSERT_NE(path, "") << name;
    EXPECT_NE(record_error(path).find(said), std::string::npos) << name << ": " << record_error(path);
  }
}

TEST(Malformed, ValidFilesAreRecorded) {
  for (const char* name :
       {"valid-small", "valid-bad-chat-template", "valid-alignment-64", "valid-no-alignment-key"})
    EXPECT_EQ(record_error(test::golden(std::string("malformed/") + name + ".gguf")), "") << name;
}

}  // namespace
}  // namespace rf
