#include "text/added_tokens.h"

#include "text/vocabulary.h"

namespace rf {
namespace {

std::vector<ByteTrie::Key> keys_of(const Vocabulary& vocabulary, bool special) {
  std::vector<ByteTrie::Key> keys;
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    const TokenType type = vocabulary.type(id);
    if (type == TokenType::user_defined ||
        (special && (type == TokenType::control || type == TokenType::unknown)))
      keys.push_back({vocabulary.text(id), id});
  }
  return keys;
}

}  // namespace

AddedTokens::Set::Set(std::vector<ByteTrie::Key> keys) {
  for (const ByteTrie::Key& key : keys)
    if (!key.text.empty()) starts[static_cast<std::uint8_t>(key.text.front())] = true;
  trie = ByteTrie(std::move(keys));
}

AddedTokens::AddedTokens(const Vocabulary& vocabulary)
    : user_defined_(keys_of(vocabulary, false)), all_(keys_of(vocabulary, true)) {}

AddedTokens::Match AddedTokens::next(std::string_view text, std::size_t from, bool special) const {
  const Set& set = special ? all_ : user_defined_;
  for (std::size_t at = from; at < text.size(); ++at) {
    if (!set.starts[static_cast<std::uint8_t>(text[at])]) continue;
    Match match{at, at, -1};
    set.trie.prefixes(text.substr(at), [&](std::size_t bytes, std::int32_t token) {
      match.end = at + bytes;
      match.token = token;
    });
    if (match.token >= 0) return match;
  }
  return {text.size(), text.size(), -1};
}

}  // namespace rf
