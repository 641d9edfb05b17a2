#include "text/bpe.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/byte_alphabet.h"
#include "text/merge_rules.h"
#include "text/pre_tokenizer.h"
#include "text/unicode.h"
#include "text/word_cache.h"

namespace rf {
namespace {

const PreTokenizerSpec& spec_of(const Gguf& file) {
  const auto name = file.get<std::string_view>("tokenizer.ggml.pre", "default");
  std::string known;
  for (const PreTokenizerSpec& spec : pre_tokenizer_specs()) {
    for (const std::string_view candidate : spec.names) {
      if (candidate == name) return spec;
      known += (known.empty() ? "" : ", ") + std::string(candidate);
    }
  }
  fail("{}: key tokenizer.ggml.pre: expected one of {}; found \"{}\"", file.path(), known, name);
}

class Bpe final : public Tokenizer {
 public:
  Bpe(Vocabulary vocabulary, std::int32_t after_bos, const PreTokenizerSpec& spec, const Gguf& file)
      : Tokenizer(std::move(vocabulary), after_bos),
        spec_(spec),
        splitter_(spec),
        rules_(file, this->vocabulary()) {
    for (std::size_t byte = 0; byte < 256; ++byte)
      byte_tokens_[byte] = find(alphabet_.character(static_cast<std::uint8_t>(byte)));
  }

 protected:
  void encode_plain(std::string_view text, WordCache& words, std::vector<std::int32_t>& ids) const override;
  std::string plain_piece(std::string_view stored) const override {
    return alphabet_.read(stored).value_or(std::string(stored));
  }

 private:
  void encode_word(std::string_view word, Merger& merger, std::vector<std::int32_t>& ids) const;

  const PreTokenizerSpec& spec_;
  PreTokenizer splitter_;
  ByteAlphabet alphabet_;
  std::array<std::int32_t, 256>
      byte_tokens_{};  // -1 where the vocabulary lacks a byte: such bytes are left out
  MergeRules rules_;
};

void Bpe::encode_plain(std::string_view text, WordCache& words, std::vector<std::int32_t>& ids) const {
  std::string normal;
  if (spec_.nfc) normal = nfc(text);
  if (!normal.empty()) text = normal;
  Merger merger;
  const auto encode = [&](std::string_view word, std::vector<std::int32_t>& out) {
    encode_word(word, merger, out);
  };
  for (const std::string_view word : splitter_.split(text)) words.append(word, ids, encode);
}

void Bpe::encode_word(std::string_view word, Merger& merger, std::vector<std::int32_t>& ids) const {
  if (spec_.whole_words) {
    if (const std::int32_t token = find(alphabet_.spell(word)); token >= 0) {
      ids.push_back(token);
      return;
    }
  }
  merger.start();
  for (std::uint32_t i = 0; i < word.size(); ++i)
    if (const std::int32_t token = byte_tokens_[static_cast<std::uint8_t>(word[i])]; token >= 0)
      merger.add(i, i + 1, token);
  merger.merge(rules_);
  merger.finish([&](const Symbol& symbol) { ids.push_back(symbol.token); });
}

}  // namespace

std::unique_ptr<Tokenizer> make_bpe(const Gguf& file) {
  const PreTokenizerSpec& spec = spec_of(file);
  const auto pre = file.get<std::string_view>("tokenizer.ggml.pre", "");
  const bool roberta = pre == "roberta-bpe" || pre == "jina-v1-en" || pre == "jina-v2-code";
  Vocabulary vocabulary = Vocabulary::from(file, {.add_bos = spec.add_bos, .add_sep = roberta});
  const std::int32_t after_bos = spec.after_bos ? vocabulary.ids.find(spec.after_bos) : StringTable::absent;
  return std::make_unique<Bpe>(std::move(vocabulary), after_bos, spec, file);
}

}  // namespace rf
