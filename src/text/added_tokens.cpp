#include "text/added_tokens.h"

#include <algorithm>

#include "text/vocabulary.h"

namespace rf {
namespace {

std::uint8_t byte_of(char c) {
  return static_cast<std::uint8_t>(c);
}

}  // namespace

AddedTokens::AddedTokens(const Vocabulary& vocabulary) {
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    const TokenType type = vocabulary.type(id);
    const bool special = type == TokenType::control || type == TokenType::unknown;
    if ((special || type == TokenType::user_defined) && !vocabulary.text(id).empty())
      entries_.push_back({vocabulary.text(id), id, special});
  }
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return a.text != b.text ? a.text < b.text : a.token < b.token;
  });
  entries_.erase(std::unique(entries_.begin(), entries_.end(),
                             [](const Entry& a, const Entry& b) { return a.text == b.text; }),
                 entries_.end());
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    Range& range = starting_[byte_of(entries_[i].text.front())];
    if (range.end == 0) range.begin = i;
    range.end = i + 1;
  }
}

// Narrows the sorted entries by one byte of the text at a time; an entry that ends here comes first in its
// range.
std::int32_t AddedTokens::longest_at(std::string_view text, bool special) const {
  Range range = starting_[byte_of(text.front())];
  std::int32_t longest = -1;
  for (std::size_t depth = 1; range.begin != range.end; ++depth) {
    if (entries_[range.begin].text.size() == depth) {
      if (special || !entries_[range.begin].special) longest = static_cast<std::int32_t>(range.begin);
      ++range.begin;
    }
    if (depth == text.size()) break;
    const std::uint8_t wanted = byte_of(text[depth]);
    const auto first = entries_.begin() + range.begin, last = entries_.begin() + range.end;
    const auto low = std::partition_point(
        first, last, [&](const Entry& entry) { return byte_of(entry.text[depth]) < wanted; });
    const auto high = std::partition_point(
        low, last, [&](const Entry& entry) { return byte_of(entry.text[depth]) == wanted; });
    range = {static_cast<std::uint32_t>(low - entries_.begin()),
             static_cast<std::uint32_t>(high - entries_.begin())};
  }
  return longest;
}

AddedTokens::Match AddedTokens::next(std::string_view text, std::size_t from, bool special) const {
  for (std::size_t at = from; at < text.size(); ++at) {
    if (starting_[byte_of(text[at])].end == 0) continue;
    const std::int32_t found = longest_at(text.substr(at), special);
    if (found < 0) continue;
    const Entry& entry = entries_[static_cast<std::size_t>(found)];
    return {at, at + entry.text.size(), entry.token};
  }
  return {text.size(), text.size(), -1};
}

}  // namespace rf
