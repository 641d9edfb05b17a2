#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/metadata.h"
#include "app/model_summary.h"
#include "app/self_test.h"
#include "base/memory.h"
#include "golden.h"

namespace rf {
namespace {

TEST(ModelSummary, OfAGoldenModel) {
  const std::string path = test::golden("arch/qwen2/model.gguf");
  const Gguf file = Gguf::open(path);
  const ModelSummary model = summarise(file);
  EXPECT_EQ(model.family, "qwen2");
  EXPECT_EQ(model.quant, "F32");
  EXPECT_EQ(model.bytes, std::filesystem::file_size(path));
  EXPECT_EQ(model.context, file.get<std::int64_t>("qwen2.context_length"));
  EXPECT_GT(model.parameters * 4, model.bytes / 2);
  EXPECT_LT(model.parameters * 4, model.bytes);
  const auto value = [&](const char* key) { return file.get<std::uint64_t>(std::string("qwen2.") + key); };
  const std::uint64_t head_dim = value("embedding_length") / value("attention.head_count");
  EXPECT_EQ(model.cache_bytes, value("block_count") * value("attention.head_count_kv") * head_dim * 2 *
                                   std::min<std::uint64_t>(value("context_length"), 8192) * 2);
}

TEST(ModelSummary, OfAVocabularyOnly) {
  const ModelSummary model = summarise(Gguf::open(test::golden("tokenizer/ggml-vocab-gpt-2.gguf")));
  EXPECT_EQ(model.family, "gpt2");
  EXPECT_EQ(model.quant, "-");
  EXPECT_EQ(model.parameters, 0u);
}

TEST(ModelSummary, MemoryOfThisMachine) {
  const Memory memory = machine_memory();
  EXPECT_GT(memory.total, memory.available);
  EXPECT_GT(memory.available, 0u);
  EXPECT_GT(peak_memory(), 1u << 20);
  EXPECT_LT(peak_memory(), memory.total);
}

TEST(Metadata, JsonAndLines) {
  const Gguf file = Gguf::open(test::golden("tokenizer/ggml-vocab-gpt-2.gguf"));
  EXPECT_EQ(metadata_json(file, "general.architecture"), "gpt2");
  EXPECT_TRUE(metadata_json(file, "gpt2.context_length").is_number_integer());
  EXPECT_TRUE(metadata_json(file, "gpt2.attention.layer_norm_epsilon").is_number_float());
  const nlohmann::ordered_json tokens = metadata_json(file, "tokenizer.ggml.tokens");
  EXPECT_EQ(tokens.size(), 50257u);
  const std::string line = metadata_line(file, "tokenizer.ggml.tokens");
  EXPECT_TRUE(line.ends_with(" ... 50257 elements")) << line;
  EXPECT_LT(line.size(), 200u);
}

TEST(SelfTest, TheReferenceAgreesWithItself) {
  EXPECT_EQ(self_test(make_reference()), 0);
}

// A backend with a fault: the reference whose results are off by a factor.
class Faulty : public Backend {
 public:
  std::string name() const override { return "faulty"; }
  bool can(const Program& p, const Step& s, std::string* why) const override { return real_->can(p, s, why); }
  MemoryNeed need(const Program& p, std::span<const int> steps, const RunLimits& limits) const override {
    return real_->need(p, steps, limits);
  }
  void load(const Program& p, std::span<const int> steps, const RunLimits& limits,
            void (*progress)(void*, std::size_t, std::size_t), void* context) override {
    logits_ = p.logits;
    real_->load(p, steps, limits, progress, context);
  }
  std::unique_ptr<Run> prepare(int first, int last) override { return real_->prepare(first, last); }
  void run(Run& run, const Batch& batch, std::span<Stat> stats) override {
    real_->run(run, batch, stats);
    values_.assign(real_->host(logits_), real_->host(logits_) + batch.wanted() * 80);
    values_[3] *= 1.5f;
  }
  void read(SlotId slot, int rows, float* out) override { real_->read(slot, rows, out); }
  void write(SlotId slot, int rows, const float* in) override { real_->write(slot, rows, in); }
  const float* host(SlotId slot) const override {
    return slot == logits_ ? values_.data() : real_->host(slot);
  }
  std::size_t page_bytes() const override { return real_->page_bytes(); }
  void read_page(int page, std::byte* out) override { real_->read_page(page, out); }
  void write_page(int page, const std::byte* in) override { real_->write_page(page, in); }

 private:
  std::unique_ptr<Backend> real_ = make_reference();
  std::vector<float> values_;
  SlotId logits_ = none;
};

TEST(SelfTest, FindsAFault) {
  EXPECT_GT(self_test(std::make_unique<Faulty>()), self_test_tolerance);
}

}  // namespace
}  // namespace rf
