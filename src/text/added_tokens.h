// AddedTokens: finds the tokens that a text holds literally, before any other work is done on it.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace rf {

struct Vocabulary;

class AddedTokens {
 public:
  AddedTokens() = default;
  explicit AddedTokens(const Vocabulary& vocabulary);

  struct Match {
    std::size_t begin, end;  // of the token's text
    std::int32_t token;      // -1: none was found, and begin and end are the end of the text
  };

  // The leftmost match at or after `from`, the longest of those that begin there. User-defined tokens are
  // always looked for, control and unknown tokens only with `special`.
  Match next(std::string_view text, std::size_t from, bool special) const;

 private:
  struct Entry {
    std::string_view text;
    std::int32_t token;
    bool special;
  };
  struct Range {
    std::uint32_t begin = 0, end = 0;
  };

  std::int32_t longest_at(std::string_view text, bool special) const;  // an index of entries_, or -1

  std::vector<Entry> entries_;         // by text, no text twice
  std::array<Range, 256> starting_{};  // entries_ by first byte
};

}  // namespace rf
