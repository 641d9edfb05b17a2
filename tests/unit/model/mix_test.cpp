// Which tensor gets which type.
#include "model/mix.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "base/error.h"
#include "gguf/writer.h"

namespace rf {
namespace {

// A file with the tensors of a decoder of 16 layers, all zero, small, and as wide as asked.
struct Shape {
  std::int64_t columns = 256;
  std::uint32_t heads = 8, kv_heads = 4;
  std::uint32_t experts = 0;
  bool tied = false, fused = false;
};
class ModelFile {
 public:
  static constexpr int layers = 16;
  explicit ModelFile(const Shape& shape) : shape_(shape) {
    out_.set("general.architecture", "llama");
    out_.set("llama.attention.head_count", shape.heads);
    out_.set("llama.attention.head_count_kv", shape.kv_heads);
    if (shape.experts > 0) out_.set("llama.expert_count", shape.experts);
    matrix("token_embd.weight");
    vector("output_norm.weight");
    if (!shape.tied) matrix("output.weight");
    for (int i = 0; i < layers; ++i) {
      const std::string blk = fmt::format("blk.{}.", i);
      vector(blk + "attn_norm.weight");
      vector(blk + "attn_q.bias");
      for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"})
        if (!shape.fused || std::string_view(name) == "attn_output") matrix(blk + name + ".weight");
      if (shape.fused) matrix(blk + "attn_qkv.weight");
      const char* kind = shape.experts > 0 ? "_exps.weight" : ".weight";
      if (shape.experts > 0) matrix(blk + "ffn_gate_inp.weight");
      for (const char* name : {"ffn_gate", "ffn_up", "ffn_down"})
        matrix(blk + name + kind, std::max(1u, shape.experts));
    }
    out_.finish(path_);
    file_.emplace(Gguf::open(path_));
  }
  ~ModelFile() { std::filesystem::remove(path_); }
  const Gguf& file() const { return *file_; }

  std::map<std::string, Type> types(const std::string& mix, std::vector<TypeRule> rules = {},
                                    bool weighted = false) const {
    std::map<std::string, Type> found;
    for (const TypeChoice& choice : choose_types(*file_, mix_by_name(mix), rules, weighted))
      found.emplace(choice.name, choice.type);
    return found;
  }

 private:
  void matrix(const std::string& name, std::int64_t count = 1) { add(name, {shape_.columns, 2, count, 1}); }
  void vector(const std::string& name) { add(name, {shape_.columns, 1, 1, 1}); }
  void add(const std::string& name, std::array<std::int64_t, 4> shape) {
    out_.add(name, Type::f32, shape, [](std::span<std::byte>) {});
  }

  Shape shape_;
  const std::string path_ = testing::TempDir() + fmt::format("rf_mix_{}.gguf", ::getpid());
  GgufWriter out_;
  std::optional<Gguf> file_;
};

// The layers whose tensor `name` has `type`.
std::vector<int> layers_with(const std::map<std::string, Type>& types, const std::string& name, Type type) {
  std::vector<int> layers;
  for (int i = 0; i < ModelFile::layers; ++i)
    if (types.at(fmt::format("blk.{}.{}.weight", i, name)) == type) layers.push_back(i);
  return layers;
}

TEST(Mix, VectorsAndRoutersStay) {
  const ModelFile model({.experts = 4});
  for (const char* mix : {"F16", "Q8_0", "Q4_K_M", "Q2_K", "MXFP4"})
    for (const auto& [name, type] : model.types(mix)) {
      const bool kept = name.find("norm") != name.npos || name.find("bias") != name.npos ||
                        name.find("gate_inp") != name.npos;
      EXPECT_EQ(type == Type::f32, kept) << mix << " " << name;
    }
}

TEST(Mix, MoreBitsWhereTheyMatter) {
  const ModelFile model({});
  const std::vector<int> important{0, 1, 4, 7, 10, 13, 14, 15};
  auto types = model.types("q4_k_m");
  EXPECT_EQ(types.at("output.weight"), Type::q6_k);
  EXPECT_EQ(types.at("token_embd.weight"), Type::q4_k);
  EXPECT_EQ(types.at("blk.0.attn_q.weight"), Type::q4_k);
  EXPECT_EQ(layers_with(types, "attn_v", Type::q6_k), important);
  EXPECT_EQ(layers_with(types, "ffn_down", Type::q6_k), important);
  EXPECT_EQ(types, model.types("Q4_K"));
  types = model.types("Q5_K_M");
  EXPECT_EQ(layers_with(types, "ffn_down", Type::q6_k), important);
  EXPECT_EQ(types.at("blk.3.ffn_up.weight"), Type::q5_k);
  types = model.types("Q4_K_S");
  EXPECT_EQ(layers_with(types, "attn_v", Type::q5_k), (std::vector{0, 1, 2, 3}));
  EXPECT_EQ(layers_with(types, "ffn_down", Type::q5_k), (std::vector{0, 1}));
  types = model.types("Q3_K_M");
  EXPECT_EQ(layers_with(types, "attn_v", Type::q5_k), (std::vector{0, 1}));
  EXPECT_EQ(layers_with(types, "attn_v", Type::q4_k).size(), 14u);
  EXPECT_EQ(layers_with(types, "ffn_down", Type::q5_k), (std::vector{0}));
  EXPECT_EQ(layers_with(types, "attn_output", Type::q4_k).size(), 16u);
  EXPECT_EQ(layers_with(types, "attn_q", Type::q3_k).size(), 16u);
  types = model.types("Q2_K");
  EXPECT_EQ(layers_with(types, "ffn_down", Type::q3_k).size(), 16u);
  EXPECT_EQ(layers_with(types, "attn_v", Type::q3_k).size(), 16u);
  EXPECT_EQ(model.types("Q8_0").at("output.weight"), Type::q8_0);
  EXPECT_EQ(model.types("IQ4_XS").at("blk.1.ffn_down.weight"), Type::q5_k);
  EXPECT_EQ(model.types("IQ4_XS", {}, true).at("blk.1.ffn_down.weight"), Type::iq4_xs);
  EXPECT_EQ(model.types("Q4_0", {}, true).at("blk.1.ffn_down.weight"), Type::q4_1);
  EXPECT_EQ(model.types("Q4_0").at("blk.1.ffn_down.weight"), Type::q4_0);
}

TEST(Mix, SharedHeadsTiedTablesAndExperts) {
  EXPECT_EQ(ModelFile({.tied = true}).types("Q4_K_M").at("token_embd.weight"), Type::q6_k);
  EXPECT_EQ(ModelFile({.heads = 8, .kv_heads = 2}).types("Q2_K").at("blk.5.attn_v.weight"), Type::q4_k);
  EXPECT_EQ(ModelFile({.heads = 8, .kv_heads = 1}).types("Q4_K_S").at("blk.9.attn_v.weight"), Type::q5_k);
  EXPECT_EQ(ModelFile({.fused = true}).types("Q4_K_M").at("blk.0.attn_qkv.weight"), Type::q6_k);
  const ModelFile eight({.experts = 8});
  EXPECT_EQ(eight.types("Q4_K_M").at("blk.3.attn_k.weight"), Type::q8_0);
  EXPECT_EQ(eight.types("Q4_K_M").at("blk.3.attn_v.weight"), Type::q8_0);
  EXPECT_EQ(eight.types("Q4_K_M").at("blk.3.attn_output.weight"), Type::q5_k);
  const auto mxfp4 = ModelFile({.experts = 4}).types("MXFP4_MOE");
  EXPECT_EQ(mxfp4.at("blk.3.ffn_up_exps.weight"), Type::mxfp4);
  EXPECT_EQ(mxfp4.at("blk.3.attn_q.weight"), Type::q8_0);
  EXPECT_EQ(ModelFile({}).types("MXFP4").at("blk.3.attn_q.weight"), Type::mxfp4);
}

TEST(Mix, RowsThatAreNotWholeBlocks) {
  const ModelFile by_32({.columns = 96}), by_8({.columns = 72});
  const auto type = [](const ModelFile& model, const char* mix) {
    return model.types(mix).at("blk.3.attn_q.weight");
  };
  for (const auto& [mix, expected] : {std::pair{"Q2_K", Type::q4_0},
                                      {"Q3_K_S", Type::q4_0},
                                      {"Q4_K_S", Type::q5_0},
                                      {"Q5_K_S", Type::q5_1},
                                      {"Q6_K", Type::q8_0},
                                      {"IQ4_XS", Type::iq4_nl},
                                      {"TQ2_0", Type::q4_0},
                                      {"Q4_0", Type::q4_0},
                                      {"F16", Type::f16}}) {
    EXPECT_EQ(type(by_32, mix), expected) << mix;
    EXPECT_EQ(type(by_8, mix), Type::f16) << mix;
  }
  EXPECT_EQ(by_32.types("Q4_K_M").at("output.weight"), Type::q8_0);
  for (const TypeChoice& choice : choose_types(by_32.file(), mix_by_name("Q4_K_M"), {}, false))
    EXPECT_EQ(choice.note.find("Q5_0 instead of Q4_K") != std::string::npos, choice.type == Type::q5_0);
}

TEST(Mix, RulesWinAndTheLastOneCounts) {
  const ModelFile model({});
  const auto types =
      model.types("Q4_K_M", {parse_type_rule("*=q8_0"), parse_type_rule("blk.?.attn_q.weight=Q5_K"),
                             parse_type_rule("blk.[3-5].attn_q.weight=F16")});
  EXPECT_EQ(types.at("output.weight"), Type::q8_0);
  EXPECT_EQ(types.at("output_norm.weight"), Type::f32);
  EXPECT_EQ(types.at("blk.2.attn_q.weight"), Type::q5_k);
  EXPECT_EQ(types.at("blk.4.attn_q.weight"), Type::f16);
  EXPECT_EQ(types.at("blk.12.attn_q.weight"), Type::q8_0);
}

TEST(Mix, WhatCannotBeDoneIsSaid) {
  const auto message = [](auto work) -> std::string {
    try {
      work();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message([] { mix_by_name("Q9"); }).find("Q4_K_M"), std::string::npos);
  EXPECT_NE(message([] { mix_by_name("IQ2_XXS"); }).find("not written"), std::string::npos);
  for (const char* rule : {"", "=Q8_0", "attn", "attn=", "attn=Q9", "attn=IQ1_S", "attn=I32"})
    EXPECT_NE(message([&] { parse_type_rule(rule); }), "") << rule;
  const ModelFile model({});
  for (const char* glob : {"attn_v", "*norm*", "blk.99.*"})
    EXPECT_NE(message([&] { model.types("Q8_0", {{glob, Type::q8_0}}); }).find(glob), std::string::npos);
}

}  // namespace
}  // namespace rf
