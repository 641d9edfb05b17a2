#include "text/spm.h"

#include <bit>
#include <cmath>

#include "base/error.h"
#include "text/merge.h"
#include "text/space_marks.h"

namespace rf {
namespace {

// Ascending where scores descend; NaN comes last.
std::uint32_t priority_of(float score) {
  if (std::isnan(score)) return ~std::uint32_t{0};
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0f);  // -0 becomes 0
  return bits >> 31 ? bits : ~(bits | 0x80000000u);
}

class Spm final : public Tokenizer {
 public:
  Spm(Vocabulary vocabulary, const Gguf& file)
      : Tokenizer(std::move(vocabulary)),
        adds_space_(file.get<bool>("tokenizer.ggml.add_space_prefix", true)),
        bytes_(file, this->vocabulary()) {
    if (this->vocabulary().scores.empty()) fail("{}: key tokenizer.ggml.scores is missing", file.path());
    index_pieces();
  }

  bool strips_first_space() const override { return adds_space_; }

 protected:
  void encode_plain(std::string_view text, WordCache& words, std::vector<std::int32_t>& ids) const override;
  std::string plain_piece(std::string_view stored) const override { return without_marks(stored); }

 private:
  void index_pieces();
  void encode_word(std::string_view word, Merger& merger, std::vector<std::int32_t>& ids) const;

  bool adds_space_;
  std::size_t longest_ = 0;  // bytes of the longest piece
  StringTable pieces_;       // texts that merging may give
  WordCutter cutter_;
  ByteTokens bytes_;
};

void Spm::index_pieces() {
  pieces_ = StringTable(vocabulary().texts.size());
  for (std::int32_t id = 0; id < vocabulary().size(); ++id) {
    const std::string_view text = vocabulary().text(id);
    const TokenType type = vocabulary().type(id);
    // User-defined texts of spaces are often stored with marks, hence not found before the spaces are marked.
    if ((type != TokenType::normal && type != TokenType::user_defined) || text.empty()) continue;
    pieces_.insert(text, id);
    longest_ = std::max(longest_, text.size());
    cutter_.learn(text);
  }
}

void Spm::encode_plain(std::string_view text, WordCache& words, std::vector<std::int32_t>& ids) const {
  const std::string marked = (adds_space_ ? std::string(space_mark) : std::string()) + with_marks(text);
  Merger merger;
  cutter_.encode_words(marked, words, ids, [&](std::string_view word, std::vector<std::int32_t>& out) {
    encode_word(word, merger, out);
  });
}

void Spm::encode_word(std::string_view word, Merger& merger, std::vector<std::int32_t>& ids) const {
  merger.start_characters(word, [&](std::string_view character) { return pieces_.find(character); });
  merger.merge([&](const Symbol& left, const Symbol& right) -> std::optional<Joined> {
    if (right.end - left.begin > longest_) return std::nullopt;
    const std::int32_t token = pieces_.find(word.substr(left.begin, right.end - left.begin));
    if (token < 0) return std::nullopt;
    return Joined{priority_of(vocabulary().score(token)), token};
  });
  merger.finish([&](const Symbol& symbol) {
    if (symbol.token >= 0)
      ids.push_back(symbol.token);
    else
      bytes_.append(word.substr(symbol.begin, symbol.end - symbol.begin), ids);
  });
}

}  // namespace

std::unique_ptr<Tokenizer> make_spm(const Gguf& file) {
  return std::make_unique<Spm>(Vocabulary::from(file, {.bos = 1, .eos = 2, .add_bos = true}), file);
}

}  // namespace rf
