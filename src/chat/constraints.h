// Constraints: what a reply may be, made from a JSON schema, a grammar, a regular expression or a choice.
#pragma once
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "text/token_constraint.h"
#include "text/tokenizer.h"

namespace rf {

namespace grammar {
class TokenTrie;
}

struct ConstraintSource {
  enum class Kind : std::uint8_t { json_schema, gbnf, regex, choice };
  Kind kind;
  std::vector<std::string> texts;  // one; of a choice: what to choose from

  bool operator==(const ConstraintSource&) const = default;
};

// For any number of threads. Those used last are kept, so that asking for one again costs nothing.
class Constraints {
 public:
  explicit Constraints(const Tokenizer& tokenizer)
      : tokenizer_(tokenizer) {}  // which must outlive the first get()

  // Throws Error saying what is wrong with the source, or that the vocabulary cannot write it.
  std::shared_ptr<const TokenConstraint> get(const ConstraintSource& source);

 private:
  static constexpr std::size_t most_kept = 32;
  struct Kept {
    std::size_t hash;
    ConstraintSource source;
    std::shared_ptr<const TokenConstraint> constraint;
  };

  const Tokenizer& tokenizer_;
  std::mutex mutex_;
  std::shared_ptr<const grammar::TokenTrie> trie_;  // made when it is first needed
  std::list<Kept> kept_;                            // the last used first
};

}  // namespace rf
