#include "text/wpm.h"

#include <algorithm>

#include "text/bert_words.h"
#include "text/space_marks.h"
#include "text/unicode.h"

namespace rf {
namespace {

constexpr std::size_t longest_word =
    100;  // characters; a longer one is unknown, as in the published tokenizer
constexpr std::string_view continuation_mark = "##";

// Files mark the beginning of a word (U+2581) or, as the models' own vocabularies, its continuation (##).
class Wpm final : public Tokenizer {
 public:
  Wpm(Vocabulary vocabulary, BertWords words);

  bool strips_first_space() const override { return true; }

 protected:
  void encode_plain(std::string_view text, WordCache& words, std::vector<std::int32_t>& ids) const override;
  std::string plain_piece(std::string_view stored) const override;
  std::string added_piece(std::string_view stored) const override { return " " + std::string(stored); }

 private:
  // The text of a piece without its mark.
  struct Unmarked {
    std::string_view text;
    bool starts_word;
  };
  Unmarked unmarked(std::string_view stored) const;
  void encode_word(std::string_view word, std::vector<std::int32_t>& ids) const;

  BertWords words_;
  bool marks_starts_;
  StringTable starts_, continuations_;
  std::size_t longest_ = 0;  // bytes of the longest piece
};

Wpm::Wpm(Vocabulary all, BertWords words) : Tokenizer(std::move(all)), words_(words) {
  const auto& texts = vocabulary().texts;
  marks_starts_ = std::any_of(texts.begin(), texts.end(),
                              [](std::string_view text) { return text.starts_with(space_mark); });
  for (std::int32_t id = 0; id < vocabulary().size(); ++id) {
    const Unmarked piece = unmarked(vocabulary().text(id));
    if (piece.text.empty()) continue;
    (piece.starts_word ? starts_ : continuations_).insert(piece.text, id);
    longest_ = std::max(longest_, piece.text.size());
  }
}

Wpm::Unmarked Wpm::unmarked(std::string_view stored) const {
  const std::string_view mark = marks_starts_ ? space_mark : continuation_mark;
  const bool marked = stored.starts_with(mark);
  return {marked ? stored.substr(mark.size()) : stored, marked == marks_starts_};
}

void Wpm::encode_plain(std::string_view text, WordCache& words, std::vector<std::int32_t>& ids) const {
  const std::string normal = words_.normalised(text);
  const auto encode = [&](std::string_view word, std::vector<std::int32_t>& out) { encode_word(word, out); };
  for (const std::string_view word : bert_words(normal)) words.append(word, ids, encode);
}

// The longest piece that begins the rest of the word, again and again; a rest that no piece begins makes the
// whole word unknown.
void Wpm::encode_word(std::string_view word, std::vector<std::int32_t>& ids) const {
  const std::size_t before = ids.size();
  std::string_view rest = word;
  if (count_characters(word) > longest_word) rest = {};
  while (!rest.empty()) {
    const StringTable& pieces = rest.size() == word.size() ? starts_ : continuations_;
    std::size_t size = std::min(rest.size(), longest_);
    std::int32_t found = -1;
    for (; size > 0 && found < 0; --size) found = pieces.find(rest.substr(0, size));
    if (found < 0) break;
    ids.push_back(found);
    rest.remove_prefix(size + 1);
  }
  if (ids.size() > before && rest.empty()) return;
  ids.resize(before);
  if (vocabulary().unknown >= 0) ids.push_back(vocabulary().unknown);
}

std::string Wpm::plain_piece(std::string_view stored) const {
  const Unmarked piece = unmarked(stored);
  const bool closes = piece.text == "." || piece.text == "," || piece.text == "?" || piece.text == "!";
  return piece.starts_word && !closes ? " " + std::string(piece.text) : std::string(piece.text);
}

}  // namespace

std::unique_ptr<Tokenizer> make_wpm(const Gguf& file) {
  // The published layout, whatever flags a file has: every text begins with one token and ends with its
  // separator, which is the only end of a sequence.
  Vocabulary vocabulary = Vocabulary::from(file, {.bos = 101, .unknown = 100, .separator = 102});
  if (vocabulary.separator >= 0) vocabulary.eos = vocabulary.separator;
  vocabulary.add_bos = vocabulary.add_eos = true;
  vocabulary.add_sep = false;
  const bool lower = file.get<bool>("tokenizer.ggml.normalizer.lowercase", true);
  const bool strip = file.get<bool>("tokenizer.ggml.normalizer.strip_accents", lower);
  return std::make_unique<Wpm>(std::move(vocabulary), BertWords{lower, strip});
}

}  // namespace rf
