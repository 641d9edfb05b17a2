// A grammar, a regular expression or a schema, by the first byte: an Error, or masks that lead somewhere and
// agree with what feeding tokens' bytes says.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "chat/grammar/gbnf.h"
#include "chat/grammar/json_schema.h"
#include "chat/grammar/regex.h"
#include "chat/grammar/token_grammar.h"

namespace {

using namespace rf::grammar;

std::shared_ptr<const TokenTrie> trie() {
  std::vector<std::string> pieces{"\": \"", "{\"", "\"}",      "true",     "12", "\n  ",
                                  "ab",     "abc", "\xC3\xA9", "\xE2\x82", ")("};
  for (int b = 0; b < 256; ++b) pieces.emplace_back(1, static_cast<char>(b));
  pieces.emplace_back();
  const auto end = static_cast<std::int32_t>(pieces.size()) - 1;
  return std::make_shared<const TokenTrie>(std::move(pieces), std::vector<std::int32_t>{end});
}

Rules rules_of(std::uint8_t kind, std::string_view text) {
  if (kind % 3 == 0) return parse_gbnf(text);
  if (kind % 3 == 1) return parse_json_schema(text);
  Rules rules;
  rules.root = rules.add_rule("root", true);
  rules.define(rules.root,
               parse_regex(rules, text, kind % 2 == 0 ? utf8_character : json_character, kind % 5 == 0));
  return rules;
}

void require(bool holds) {
  if (!holds) std::abort();
}

// Some tokens by a plain generator seeded with the text.
void follow(const TokenGrammar& grammar, std::uint32_t random) {
  const auto matcher = grammar.start();
  std::vector<std::uint64_t> mask(8);
  for (int i = 0; i < 12 && !matcher->ended(); ++i) {
    matcher->mask(mask);
    std::vector<std::int32_t> allowed;
    for (std::int32_t token = 0; token < grammar.trie().vocab_size(); ++token)
      if ((mask[static_cast<std::size_t>(token) / 64] >> (token % 64) & 1) != 0) allowed.push_back(token);
    require(!allowed.empty());
    random = random * 1664525u + 1013904223u;
    require(matcher->accept(allowed[(random >> 8) % allowed.size()]));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto tokens = trie();
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    const auto grammar = TokenGrammar::make(rules_of(data[0], text), tokens);
    for (std::uint32_t seed = 0; seed < 3; ++seed) follow(*grammar, seed + static_cast<std::uint32_t>(size));
  } catch (const rf::Error&) {
  }
  return 0;
}
