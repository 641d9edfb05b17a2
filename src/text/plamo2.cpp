#include "text/plamo2.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "text/space_marks.h"
#include "text/unicode.h"

namespace rf {
namespace {

// As published, scores are counted in ten-thousandths, so that sums are exact.
constexpr double score_units = 1e4;
constexpr std::int64_t unknown_cost = 10000000, unusable_cost = 20000000;

class Plamo2 final : public Tokenizer {
 public:
  Plamo2(Vocabulary vocabulary, const Gguf& file);

 protected:
  void encode_plain(std::string_view text, WordCache&, std::vector<std::int32_t>& ids) const override;
  std::string plain_piece(std::string_view stored) const override { return std::string(stored); }

 private:
  // The cheapest way from a place to the end of the text.
  struct Step {
    std::int64_t cost = std::numeric_limits<std::int64_t>::max();
    std::uint32_t bytes = 0;  // of its first piece
    std::int32_t token = -1;  // -1: the bytes of a character
  };

  ByteTrie pieces_;
  std::vector<std::int64_t> costs_;  // by token
  ByteTokens bytes_;
};

Plamo2::Plamo2(Vocabulary all, const Gguf& file) : Tokenizer(std::move(all)), bytes_(file, vocabulary()) {
  if (vocabulary().scores.empty()) fail("{}: key tokenizer.ggml.scores is missing", file.path());
  std::vector<ByteTrie::Key> keys;
  costs_.assign(vocabulary().texts.size(), unusable_cost);
  for (std::int32_t id = 0; id < vocabulary().size(); ++id) {
    const double score = std::round(vocabulary().score(id) * score_units);
    if (vocabulary().type(id) != TokenType::normal || !(std::abs(score) < unusable_cost)) continue;
    costs_[static_cast<std::size_t>(id)] = -static_cast<std::int64_t>(score);
    keys.push_back({vocabulary().text(id), id});
  }
  pieces_ = ByteTrie(std::move(keys));
}

// From the end back: of equally cheap ways that whose first piece is the longest, an unknown character last.
void Plamo2::encode_plain(std::string_view text, WordCache&, std::vector<std::int32_t>& ids) const {
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  std::vector<Step> best(text.size() + 1);
  best.back().cost = 0;
  for (std::size_t at = text.size(); at-- > 0;) {
    if ((static_cast<std::uint8_t>(text[at]) & 0xC0) == 0x80) continue;  // inside a character
    Step& here = best[at];
    pieces_.prefixes(text.substr(at), [&](std::size_t bytes, std::int32_t token) {
      const Step& after = best[at + bytes];
      if (after.cost == Step{}.cost) return;  // a place inside a character
      const std::int64_t cost = after.cost + costs_[static_cast<std::size_t>(token)];
      if (cost <= here.cost) here = {cost, static_cast<std::uint32_t>(bytes), token};
    });
    const std::size_t character = first_utf8(text.substr(at)).bytes;
    const std::int64_t cost = best[at + character].cost + unknown_cost;
    if (cost < here.cost) here = {cost, static_cast<std::uint32_t>(character), -1};
  }
  for (std::size_t at = 0; at < text.size(); at += best[at].bytes) {
    if (best[at].token >= 0)
      ids.push_back(best[at].token);
    else
      bytes_.append(text.substr(at, best[at].bytes), ids);
  }
}

}  // namespace

std::unique_ptr<Tokenizer> make_plamo2(const Gguf& file) {
  return std::make_unique<Plamo2>(Vocabulary::from(file, {.bos = 1, .eos = 2, .unknown = 0}), file);
}

}  // namespace rf
