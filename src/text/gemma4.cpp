#include "text/gemma4.h"

#include "text/merge_rules.h"
#include "text/space_marks.h"

namespace rf {
namespace {

class Gemma4 final : public Tokenizer {
 public:
  Gemma4(Vocabulary vocabulary, const Gguf& file)
      : Tokenizer(std::move(vocabulary)), rules_(file, this->vocabulary()), bytes_(file, this->vocabulary()) {
    for (const std::int32_t token : rules_.results()) cutter_.learn(this->vocabulary().text(token));
  }

 protected:
  void encode_plain(std::string_view text, WordCache& words, std::vector<std::int32_t>& ids) const override;
  std::string plain_piece(std::string_view stored) const override { return without_marks(stored); }

 private:
  void encode_word(std::string_view word, Merger& merger, std::vector<std::int32_t>& ids) const;

  MergeRules rules_;
  WordCutter cutter_;
  ByteTokens bytes_;
};

void Gemma4::encode_plain(std::string_view text, WordCache& words, std::vector<std::int32_t>& ids) const {
  const std::string marked = with_marks(text);
  Merger merger;
  cutter_.encode_words(marked, words, ids, [&](std::string_view word, std::vector<std::int32_t>& out) {
    encode_word(word, merger, out);
  });
}

void Gemma4::encode_word(std::string_view word, Merger& merger, std::vector<std::int32_t>& ids) const {
  merger.start_characters(word, [&](std::string_view character) { return find(character); });
  merger.merge(rules_);
  merger.finish([&](const Symbol& symbol) {
    if (symbol.token >= 0)
      ids.push_back(symbol.token);
    else
      bytes_.append(word.substr(symbol.begin, symbol.end - symbol.begin), ids);
  });
}

}  // namespace

std::unique_ptr<Tokenizer> make_gemma4(const Gguf& file) {
  Vocabulary vocabulary = Vocabulary::from(file, {});
  // Gemma 4 and its embedding models cannot do without BOS, and first files of them say that there is none.
  if (file.get<std::string_view>("tokenizer.ggml.pre", "") != "sarvam-moe") vocabulary.add_bos = true;
  return std::make_unique<Gemma4>(std::move(vocabulary), file);
}

}  // namespace rf
