#include "text/ugm.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "text/charsmap.h"
#include "text/space_marks.h"
#include "text/unicode.h"

namespace rf {
namespace {

constexpr double unknown_penalty = 10;  // below the lowest score of a piece

class Ugm final : public Tokenizer {
 public:
  Ugm(Vocabulary vocabulary, const Gguf& file);

  bool strips_first_space() const override { return adds_space_; }

 protected:
  void encode_plain(std::string_view text, WordCache& words, std::vector<std::int32_t>& ids) const override;
  std::string plain_piece(std::string_view stored) const override { return without_marks(stored); }

 private:
  // The best way to a place in a word: its last piece, -1 for an unknown character.
  struct Step {
    double score = -std::numeric_limits<double>::infinity();
    std::uint32_t begin = 0;
    std::int32_t token = -1;
  };

  std::string normalised(std::string_view text) const;
  void encode_word(std::string_view word, std::vector<Step>& best, std::vector<std::int32_t>& ids) const;
  void append_path(std::string_view word, const std::vector<Step>& best,
                   std::vector<std::int32_t>& ids) const;

  Charsmap charsmap_;
  bool adds_space_, merges_spaces_;
  ByteTrie pieces_;
  // Of equally good ways the rounding of sums decides, which begin with each word, as in published
  // tokenizers.
  WordCutter cutter_{WordCutter::At::marks};
  ByteTokens bytes_;
  double unknown_score_ = 0;
};

Ugm::Ugm(Vocabulary all, const Gguf& file)
    : Tokenizer(std::move(all)),
      charsmap_(file),
      adds_space_(file.get<bool>("tokenizer.ggml.add_space_prefix", true)),
      merges_spaces_(file.get<bool>("tokenizer.ggml.remove_extra_whitespaces", true)),
      bytes_(file, vocabulary()) {
  const Vocabulary& known = vocabulary();
  if (known.scores.empty()) fail("{}: key tokenizer.ggml.scores is missing", file.path());
  std::vector<ByteTrie::Key> keys;
  double lowest = 0;
  for (std::int32_t id = 0; id < known.size(); ++id) {
    if (known.type(id) != TokenType::normal) continue;
    keys.push_back({known.text(id), id});
    cutter_.learn(known.text(id));
    lowest = std::min<double>(lowest, known.score(id));
  }
  pieces_ = ByteTrie(std::move(keys));
  unknown_score_ = lowest - unknown_penalty;
}

// SentencePiece's normaliser (normalizer.cc): runs of spaces become one and those at the ends go where the
// file says so, then the text begins with a space.
std::string Ugm::normalised(std::string_view text) const {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  if (adds_space_) out = space_mark;
  const std::size_t start = out.size();
  bool after_space = merges_spaces_;
  while (!text.empty()) {
    const std::size_t whole = first_utf8(text).bytes;
    const Charsmap::Replacement part =
        charsmap_.first(text).value_or(Charsmap::Replacement{text.substr(0, whole), whole});
    text.remove_prefix(part.taken);
    for (const char c : part.text) {
      if (c != ' ')
        out += c;
      else if (!after_space)
        out += space_mark;
      after_space = merges_spaces_ && c == ' ';
    }
  }
  while (merges_spaces_ && out.size() > start && out.ends_with(space_mark))
    out.resize(out.size() - space_mark.size());
  return out.size() == start ? std::string() : out;
}

void Ugm::encode_plain(std::string_view text, WordCache& words, std::vector<std::int32_t>& ids) const {
  std::vector<Step> best;
  const auto start = static_cast<std::ptrdiff_t>(ids.size());
  cutter_.encode_words(
      normalised(text), words, ids,
      [&](std::string_view word, std::vector<std::int32_t>& out) { encode_word(word, best, out); });
  // Neighbouring unknown characters are one unknown piece.
  const auto both_unknown = [&](std::int32_t a, std::int32_t b) {
    return a == b && a == vocabulary().unknown;
  };
  ids.erase(std::unique(ids.begin() + start, ids.end(), both_unknown), ids.end());
}

// Viterbi: of all ways to cut the word into pieces, that with the highest sum of scores (Kudo 2018).
void Ugm::encode_word(std::string_view word, std::vector<Step>& best, std::vector<std::int32_t>& ids) const {
  best.assign(word.size() + 1, {});
  best[0].score = 0;
  for (std::size_t at = 0, character; at < word.size(); at += character) {
    character = first_utf8(word.substr(at)).bytes;
    const auto offer = [&](std::size_t bytes, std::int32_t token, double score) {
      Step& there = best[at + bytes];
      if (best[at].score + score > there.score)
        there = {best[at].score + score, static_cast<std::uint32_t>(at), token};
    };
    bool known = false;
    pieces_.prefixes(word.substr(at), [&](std::size_t bytes, std::int32_t token) {
      known = known || bytes == character;
      offer(bytes, token, vocabulary().score(token));
    });
    if (!known) offer(character, -1, unknown_score_);
  }
  append_path(word, best, ids);
}

void Ugm::append_path(std::string_view word, const std::vector<Step>& best,
                      std::vector<std::int32_t>& ids) const {
  std::vector<std::uint32_t> ends;  // of the pieces, the last first
  for (auto end = static_cast<std::uint32_t>(word.size()); end > 0; end = best[end].begin)
    ends.push_back(end);
  for (std::size_t i = ends.size(); i-- > 0;) {
    const Step& step = best[ends[i]];
    if (step.token >= 0)
      ids.push_back(step.token);
    else
      bytes_.append(word.substr(step.begin, ends[i] - step.begin), ids);
  }
}

}  // namespace

std::unique_ptr<Tokenizer> make_ugm(const Gguf& file) {
  // Of this family XLM-R begins with a token, and doubles what ends the first text of a pair.
  const bool pairs = file.get<bool>("tokenizer.ggml.add_bos_token", false);
  return std::make_unique<Ugm>(
      Vocabulary::from(file, {.eos = 1, .unknown = 2, .add_eos = true, .add_sep = pairs}), file);
}

}  // namespace rf
