// AddedTokens: finds the tokens that a text holds literally, before any other work is done on it.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/byte_trie.h"

namespace rf {

struct Vocabulary;

class AddedTokens {
 public:
  explicit AddedTokens(const Vocabulary& vocabulary);

  struct Match {
    std::size_t begin, end;  // of the token's text
    std::int32_t token;      // -1: none was found, and begin and end are the end of the text
  };

  // The leftmost match at or after `from`, the longest of those that begin there. User-defined tokens are
  // always looked for, control and unknown tokens only with `special`.
  Match next(std::string_view text, std::size_t from, bool special) const;

 private:
  // The same tokens twice: those that count in any text, and all.
  struct Set {
    explicit Set(std::vector<ByteTrie::Key> keys);
    ByteTrie trie;
    std::array<bool, 256> starts{};  // by first byte
  };

  Set user_defined_, all_;
};

}  // namespace rf
