#include "chat/grammar/token_trie.h"

#include <algorithm>
#include <utility>

namespace rf::grammar {
namespace {

constexpr std::size_t longest_piece = 1024;  // longer tokens are not offered: no text needs them

std::vector<std::string> pieces_of(const Tokenizer& tokenizer, std::span<const std::int32_t> shown) {
  std::vector<std::string> pieces(static_cast<std::size_t>(tokenizer.vocab_size()));
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id)
    if (!tokenizer.is_special(id) && !tokenizer.is_end_of_generation(id))
      pieces[static_cast<std::size_t>(id)] = tokenizer.piece(id);
  for (const std::int32_t id : shown) pieces[static_cast<std::size_t>(id)] = tokenizer.piece(id);
  return pieces;
}

std::vector<std::int32_t> ends_of(const Tokenizer& tokenizer) {
  std::vector<std::int32_t> ends;
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id)
    if (tokenizer.is_end_of_generation(id)) ends.push_back(id);
  return ends;
}

}  // namespace

TokenTrie::TokenTrie(const Tokenizer& tokenizer, std::span<const std::int32_t> shown)
    : TokenTrie(pieces_of(tokenizer, shown), ends_of(tokenizer)) {}

TokenTrie::TokenTrie(std::vector<std::string> pieces, std::vector<std::int32_t> ends)
    : pieces_(std::move(pieces)), ends_(std::move(ends)) {
  for (std::int32_t id = 0; id < vocab_size(); ++id) {
    std::string& text = pieces_[static_cast<std::size_t>(id)];
    if (text.size() > longest_piece) text.clear();
    if (text.empty()) continue;
    tokens_.push_back(id);
    if (text.size() == 1) alphabet_.set(static_cast<std::uint8_t>(text[0]));
  }
  std::ranges::sort(tokens_, [&](std::int32_t a, std::int32_t b) {
    const int order = piece(a).compare(piece(b));
    return order != 0 ? order < 0 : a < b;
  });
  build();
}

void TokenTrie::build() {
  std::vector<std::uint32_t> path{0};  // nodes from the root to the last token's
  nodes_.push_back({0, 0, 0, 0});
  const auto leave = [&](std::size_t depth) {
    for (; path.size() > depth + 1; path.pop_back())
      nodes_[path.back()].end = static_cast<std::uint32_t>(nodes_.size());
  };
  std::string_view last;
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const std::string_view text = piece(tokens_[i]);
    const auto common = static_cast<std::size_t>(std::ranges::mismatch(last, text).in2 - text.begin());
    leave(common);
    for (std::size_t d = common; d < text.size(); ++d) {
      path.push_back(static_cast<std::uint32_t>(nodes_.size()));
      nodes_.push_back({0, static_cast<std::uint32_t>(i), static_cast<std::uint16_t>(d + 1),
                        static_cast<std::uint8_t>(text[d])});
    }
    last = text;
  }
  leave(0);
  nodes_[0].end = static_cast<std::uint32_t>(nodes_.size());
  nodes_.push_back({0, static_cast<std::uint32_t>(tokens_.size()), 0, 0});
}

bool TokenTrie::has_child(std::uint32_t i, const ByteSet& bytes) const {
  for (std::uint32_t child = i + 1; child < nodes_[i].end; child = nodes_[child].end)
    if (bytes[nodes_[child].byte]) return true;
  return false;
}

}  // namespace rf::grammar
