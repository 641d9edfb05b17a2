// Encodings and decodings against those of the reference implementations.
#include "golden.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "text/tokenizer.h"

namespace rf {
namespace {

using Ids = std::vector<std::int32_t>;

nlohmann::json json_of(const std::string& path) {
  std::ifstream in(path);
  return nlohmann::json::parse(in);
}

std::string shown(const Tokenizer& tokenizer, const Ids& ids) {
  std::string out;
  for (const std::int32_t id : ids)
    out += std::to_string(id) + "=" + std::string(tokenizer.token_text(id)) + " ";
  return out.substr(0, 600);
}

void expect_ids(const Tokenizer& tokenizer, const Ids& got, const Ids& wanted, const std::string& what) {
  EXPECT_TRUE(got == wanted) << what << "\n  wanted " << shown(tokenizer, wanted) << "\n  got    "
                             << shown(tokenizer, got);
}

class Corpus : public testing::TestWithParam<const char*> {};

TEST_P(Corpus, EncodesAndDecodesAsTheReference) {
  const std::string name = GetParam();
  const std::string path = test::golden("tokenizer/" + name + ".corpus.json");
  if (path.empty()) GTEST_SKIP() << "no golden corpus " << name << " in this checkout";
  const auto cases = json_of(path);
  const Gguf file = Gguf::open(test::golden("tokenizer/" + cases["gguf"].get<std::string>()));
  const auto tokenizer = Tokenizer::from(file);
  std::map<std::string, std::string> texts;
  for (const auto& entry : json_of(test::golden("tokenizer/" + cases["corpus"].get<std::string>())))
    texts[entry["id"]] = entry["text"];

  ASSERT_GT(cases["cases"].size(), 100u);
  for (const auto& entry : cases["cases"]) {
    const std::string id = entry["id"], &text = texts.at(id);
    const Ids wanted = entry["ids"];
    const Ids got = tokenizer->encode(text, {.add_special = false});
    expect_ids(*tokenizer, got, wanted, id + " " + text.substr(0, 200));
    expect_ids(*tokenizer, tokenizer->encode(text, {.add_special = false, .parse_special = false}),
               entry.contains("no_special") ? entry["no_special"].get<Ids>() : wanted, id + " as plain text");
    const std::string decoded = entry.contains("decoded") ? entry["decoded"].get<std::string>() : text;
    EXPECT_EQ(tokenizer->decode(wanted), decoded) << id;

    Ids with_special = cases["add_special_prefix"].get<Ids>();
    with_special.insert(with_special.end(), wanted.begin(), wanted.end());
    for (const std::int32_t suffix : cases["add_special_suffix"].get<Ids>()) with_special.push_back(suffix);
    expect_ids(*tokenizer, tokenizer->encode(text), with_special, id + " with special tokens");
  }
}

TEST_P(Corpus, KnowsTheVocabulary) {
  const std::string name = GetParam();
  const std::string path = test::golden("tokenizer/" + name + ".corpus.json");
  if (path.empty()) GTEST_SKIP() << "no golden corpus " << name << " in this checkout";
  const auto cases = json_of(path);
  const auto info = cases["vocab_info"];
  const Gguf file = Gguf::open(test::golden("tokenizer/" + cases["gguf"].get<std::string>()));
  const auto tokenizer = Tokenizer::from(file);
  EXPECT_EQ(tokenizer->vocab_size(), info["n_tokens"]);
  EXPECT_EQ(tokenizer->bos(), info["bos"]);
  EXPECT_EQ(tokenizer->eos(), info["eos"]);
  EXPECT_EQ(tokenizer->add_bos(), info["add_bos"]);
  std::set<std::int32_t> ends;
  for (std::int32_t id = 0; id < tokenizer->vocab_size(); ++id)
    if (tokenizer->is_end_of_generation(id)) ends.insert(id);
  auto wanted = info["eog"].get<std::set<std::int32_t>>();
  if (name == "qwen3") wanted.erase(128247);  // an ordinary "</s>", which only llama.cpp takes for an end
  EXPECT_EQ(ends, wanted);
}

TEST_P(Corpus, DetokenizerGivesWholeCharactersThatAddUp) {
  const std::string name = GetParam();
  const std::string path = test::golden("tokenizer/" + name + ".corpus.json");
  if (path.empty()) GTEST_SKIP() << "no golden corpus " << name << " in this checkout";
  const auto cases = json_of(path);
  const Gguf file = Gguf::open(test::golden("tokenizer/" + cases["gguf"].get<std::string>()));
  const auto tokenizer = Tokenizer::from(file);
  for (const auto& entry : cases["cases"]) {
    const Ids ids = entry["ids"];
    for (const bool show_special : {false, true}) {
      Detokenizer detokenizer(*tokenizer, show_special);
      std::string text;
      for (const std::int32_t id : ids) {
        const std::string part = detokenizer.push(id);
        EXPECT_NO_THROW(nlohmann::json(part).dump()) << "not whole characters: " << entry["id"];
        text += part;
      }
      text += detokenizer.finish();
      EXPECT_EQ(text, tokenizer->decode(ids, show_special)) << entry["id"];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Corpus,
                         testing::Values("llama-spm", "gpt-2", "phi-3", "deepseek-coder", "falcon",
                                         "starcoder", "qwen3", "llama3"),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           std::erase(name, '-');
                           return name;
                         });

struct Upstream {
  const char* vectors;
  const char* vocabulary;
};

class UpstreamVectors : public testing::TestWithParam<Upstream> {};

TEST_P(UpstreamVectors, AreReproduced) {
  const std::string base = std::string("tokenizer/upstream/ggml-vocab-") + GetParam().vectors + ".gguf";
  const std::string texts = test::golden(base + ".inp"), ids = test::golden(base + ".out");
  const std::string vocabulary = test::golden(std::string("tokenizer/") + GetParam().vocabulary + ".gguf");
  if (texts.empty() || vocabulary.empty()) GTEST_SKIP() << "no " << base << " in this checkout";
  const Gguf file = Gguf::open(vocabulary);
  const auto tokenizer = Tokenizer::from(file);

  std::stringstream all;
  all << std::ifstream(texts).rdbuf();
  std::string rest = all.str();
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::ifstream out(ids);
  int count = 0;
  for (std::string line; std::getline(out, line); ++count) {
    const std::size_t end = std::min(rest.find(separator), rest.size());
    const std::string text = rest.substr(0, end);
    rest.erase(0, std::min(end + separator.size(), rest.size()));
    std::istringstream numbers(line);
    Ids wanted;
    for (std::int32_t id; numbers >> id;) wanted.push_back(id);
    expect_ids(*tokenizer, tokenizer->encode(text, {.add_special = false}), wanted, text);
  }
  EXPECT_GT(count, 40);
}

INSTANTIATE_TEST_SUITE_P(
    Golden, UpstreamVectors,
    testing::Values(Upstream{"deepseek-coder", "ggml-vocab-deepseek-coder"},
                    Upstream{"falcon", "ggml-vocab-falcon"}, Upstream{"gpt-2", "ggml-vocab-gpt-2"},
                    Upstream{"llama-bpe", "llama3-vocab"}, Upstream{"llama-spm", "ggml-vocab-llama-spm"},
                    Upstream{"phi-3", "ggml-vocab-phi-3"}, Upstream{"qwen2", "qwen3-vocab"},
                    Upstream{"starcoder", "ggml-vocab-starcoder"}),
    [](const auto& tested) {
      std::string name = tested.param.vectors;
      std::erase(name, '-');
      return name;
    });

TEST(TinyModels, TokenizerCasesAreReproduced) {
  const std::string folder = test::golden("arch");
  if (folder.empty()) GTEST_SKIP() << "no golden models in this checkout";
  int models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string path = entry.path().string();
    if (!std::filesystem::exists(path + "/tokens.json")) continue;
    const auto recorded = json_of(path + "/tokens.json");
    if (!recorded.contains("tokenizer")) continue;  // its tokens are just numbers
    const Gguf file = Gguf::open(path + "/model.gguf");
    const auto tokenizer = Tokenizer::from(file);
    const auto& cases = recorded["tokenizer"]["cases"];
    EXPECT_FALSE(cases.empty()) << path;
    for (const auto& one : cases) {
      const std::string text = one["text"];
      expect_ids(*tokenizer, tokenizer->encode(text, {.add_special = one["add_special"].get<bool>()}),
                 one["ids"], path + ": " + text);
    }
    ++models;
  }
  EXPECT_GT(models, 0);
}

}  // namespace
}  // namespace rf
