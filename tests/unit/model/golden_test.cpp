// The golden models of the supported families on the reference backend.
#include "factored_model.h"
#include "golden_arch.h"
#include "unit/model/variant.h"

namespace rf {
namespace {

test::Backends reference() {
  test::Backends backends;
  backends.push_back(make_reference());
  return backends;
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, Reference) {
  test::run_golden(test::GoldenModel(GetParam()), reference, {.exact = true});
}

INSTANTIATE_TEST_SUITE_P(Arch, Golden, testing::ValuesIn(test::golden_folders()), test::golden_test_name);

TEST(GoldenFactors, ProductsAreThoseOfTheWholeMatrices) {
  for (const char* folder : test::factored_models) {
    SCOPED_TRACE(folder);
    const test::FactoredModel file(folder);
    EXPECT_GT(file.matrices(), 5);
    test::run_golden(test::GoldenModel(folder, file.path()), reference, {.exact = true, .page_tokens = {16}});
  }
}

// Experts of a latent space that has the row's elements in another order and some more that count for
// nothing: what the model computes is the same.
TEST(GoldenLatent, ExpertsMayHaveASpaceOfTheirOwn) {
  constexpr std::int64_t hidden = 32, latent = 48;
  const std::string source = test::golden("arch/nemotron-h-moe/model.gguf");
  const Gguf file = Gguf::open(source);
  const auto place = [](std::int64_t j) { return (5 * j + 3) % hidden; };  // in the row, of latent element j
  test::Changes changes;
  std::vector<std::pair<std::string, Tensor>> ups, downs;
  for (const auto& [name, tensor] : file.tensors()) {
    if (name.ends_with("ffn_up_exps.weight")) ups.emplace_back(name, tensor);
    if (name.ends_with("ffn_down_exps.weight")) downs.emplace_back(name, tensor);
  }
  ASSERT_EQ(ups.size(), 2u);
  for (const auto& list : {ups, downs})
    for (const auto& each : list) changes.without.insert(each.first);
  const auto value = [](const Tensor& t, std::int64_t row, std::int64_t column) {
    return reinterpret_cast<const float*>(t.row(row))[column];
  };
  const auto add = [](GgufWriter& writer, const std::string& name, std::array<std::int64_t, 4> shape,
                      const std::function<float(std::int64_t, std::int64_t)>& at) {
    writer.add(name, Type::f32, shape, [=](std::span<std::byte> out) {
      auto* values = reinterpret_cast<float*>(out.data());
      for (std::int64_t row = 0; row < shape[1] * shape[2]; ++row)
        for (std::int64_t column = 0; column < shape[0]; ++column) *values++ = at(row, column);
    });
  };
  changes.add = [&](GgufWriter& writer) {
    for (const auto& [name, up] : ups) {
      const std::string block = name.substr(0, name.find("ffn_"));
      add(writer, name, {latent, up.shape[1], up.shape[2], 1},
          [&, up](std::int64_t row, std::int64_t j) { return j < hidden ? value(up, row, place(j)) : 1.0f; });
      add(writer, block + "ffn_latent_down.weight", {hidden, latent, 1, 1},
          [&](std::int64_t j, std::int64_t column) {
            return j < hidden && column == place(j) ? 1.0f : 0.0f;
          });
      add(writer, block + "ffn_latent_up.weight", {latent, hidden, 1, 1},
          [&](std::int64_t row, std::int64_t j) { return j < hidden && row == place(j) ? 1.0f : 0.0f; });
    }
    for (const auto& [name, down] : downs)
      add(writer, name, {down.shape[0], latent, down.shape[2], 1},
          [&, down](std::int64_t row, std::int64_t c) {
            const std::int64_t expert = row / latent, j = row % latent;
            return j < hidden ? value(down, expert * hidden + place(j), c) : 1.0f;
          });
  };
  const test::Variant variant(source, changes);
  test::run_golden(test::GoldenModel("nemotron-h-moe", variant.path()), reference,
                   {.exact = true, .page_tokens = {16}});
}

TEST(GoldenFolders, EveryFamilyIsThere) {
  const std::vector<std::string> folders = test::golden_folders();
  for (const char* folder : {"llama", "llama-bias", "llama-f16", "llama-spm", "llama-tied", "llama3-rope",
                             "mistral", "qwen2", "qwen3"})
    EXPECT_NE(std::ranges::find(folders, folder), folders.end()) << folder;
}

// A quantised cache stays near the exact logits, nearer with more bits.
TEST(GoldenCache, StoredTypes) {
  const test::GoldenModel model("qwen3");
  const std::vector<std::int32_t> ids = model.ids(0);
  float before = 0;
  for (const KvType kv : {KvType::f32, KvType::f16, KvType::q8_0, KvType::q4_0}) {
    test::Feeder feeder(model.program, reference, 16, kv);
    const float difference = test::max_difference(feeder.feed_in_pieces(ids, 7), model.expected(0));
    EXPECT_GT(difference, before) << kv_name(kv);
    EXPECT_LT(difference, model.facts["range"].get<float>() / 4) << kv_name(kv);
    before = difference;
  }
}

}  // namespace
}  // namespace rf
