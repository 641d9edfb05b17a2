// The golden models of the supported families on the reference backend.
#include "factored_model.h"
#include "golden_arch.h"

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
