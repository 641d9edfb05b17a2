// Constraints: what a reply may be, made from a JSON schema, a grammar, a regular expression, a choice, or
// tools of which one must be called.
#pragma once
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "chat/dialect.h"
#include "text/token_constraint.h"
#include "text/tokenizer.h"

namespace rf {

namespace grammar {
class TokenTrie;
}

struct ConstraintSource {
  enum class Kind : std::uint8_t { json_schema, gbnf, regex, choice, tool_calls };
  Kind kind;
  std::vector<std::string> texts;  // one; of a choice: what to choose from; of calls: as tool_choice() says

  bool operator==(const ConstraintSource&) const = default;
};

// For any number of threads. Those used last are kept, so that asking for one again costs nothing.
class Constraints {
 public:
  // `tokenizer` must outlive the last get(); `dialect` is what calls of tools are written in.
  explicit Constraints(const Tokenizer& tokenizer, std::optional<Dialect> dialect = {})
      : tokenizer_(tokenizer), dialect_(dialect) {}

  // Throws Error saying what is wrong with the source, or that the vocabulary cannot write it.
  std::shared_ptr<const TokenConstraint> get(const ConstraintSource& source);

 private:
  static constexpr std::size_t most_kept = 32;
  struct Kept {
    std::size_t hash;
    ConstraintSource source;
    std::shared_ptr<const TokenConstraint> constraint;
  };

  std::shared_ptr<const grammar::TokenTrie> trie_of(const ConstraintSource& source);

  const Tokenizer& tokenizer_;
  const std::optional<Dialect> dialect_;
  std::mutex mutex_;
  std::shared_ptr<const grammar::TokenTrie> trie_;        // made when it is first needed
  std::shared_ptr<const grammar::TokenTrie> calls_trie_;  // with the special tokens of calls' marks
  std::list<Kept> kept_;                                  // the last used first
};

}  // namespace rf
