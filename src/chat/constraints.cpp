#include "chat/constraints.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/error.h"
#include "chat/grammar/gbnf.h"
#include "chat/grammar/json_schema.h"
#include "chat/grammar/regex.h"
#include "chat/grammar/token_grammar.h"
#include "chat/tool_choice.h"

namespace rf {
namespace {

using grammar::Rules;

Rules one_rule(const std::function<grammar::PartId(Rules&)>& part) {
  Rules rules;
  rules.root = rules.add_rule("root", true);
  rules.define(rules.root, part(rules));
  return rules;
}

Rules rules_of(const ConstraintSource& source, const std::optional<Dialect>& dialect) {
  switch (source.kind) {
    case ConstraintSource::Kind::json_schema:
      return grammar::parse_json_schema(source.texts.at(0));
    case ConstraintSource::Kind::gbnf:
      return grammar::parse_gbnf(source.texts.at(0));
    case ConstraintSource::Kind::regex:
      return one_rule([&](Rules& rules) {
        return grammar::parse_regex(rules, source.texts.at(0), grammar::utf8_character, false);
      });
    case ConstraintSource::Kind::tool_calls:
      if (!dialect) fail("tool choice: calls of tools are not known here");
      return tool_call_rules(*dialect, source);
    case ConstraintSource::Kind::choice:
      break;
  }
  if (source.texts.empty()) fail("choice: expected at least one text, found none");
  return one_rule([&](Rules& rules) {
    std::vector<grammar::PartId> parts;
    for (const std::string& text : source.texts) parts.push_back(rules.literal(text));
    return rules.choice(std::move(parts));
  });
}

std::size_t hash_of(const ConstraintSource& source) {
  auto hash = static_cast<std::size_t>(source.kind);
  for (const std::string& text : source.texts)
    hash = hash * 0x9e3779b97f4a7c15u + std::hash<std::string>()(text);
  return hash;
}

}  // namespace

std::shared_ptr<const TokenConstraint> Constraints::get(const ConstraintSource& source) {
  const std::size_t hash = hash_of(source);
  const std::lock_guard lock(mutex_);
  const auto at =
      std::ranges::find_if(kept_, [&](const Kept& k) { return k.hash == hash && k.source == source; });
  if (at != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, at);
    return kept_.front().constraint;
  }
  Rules rules = rules_of(source, dialect_);  // throws where the trie cannot be made
  auto constraint = grammar::TokenGrammar::make(std::move(rules), trie_of(source));
  kept_.push_front({hash, source, constraint});
  if (kept_.size() > most_kept) kept_.pop_back();
  return constraint;
}

std::shared_ptr<const grammar::TokenTrie> Constraints::trie_of(const ConstraintSource& source) {
  const bool calls = source.kind == ConstraintSource::Kind::tool_calls;
  std::shared_ptr<const grammar::TokenTrie>& trie = calls ? calls_trie_ : trie_;
  if (trie == nullptr)
    trie = std::make_shared<const grammar::TokenTrie>(
        tokenizer_, calls ? shown_tokens(*dialect_, tokenizer_) : std::vector<std::int32_t>{});
  return trie;
}

}  // namespace rf
