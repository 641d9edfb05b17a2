// CodePoints: sets of Unicode characters, and how a grammar over bytes writes them.
#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/grammar/rules.h"

namespace rf::grammar {

inline constexpr char32_t last_code_point = 0x10FFFF;

class CodePoints {
 public:
  using Range = std::pair<char32_t, char32_t>;  // both ends included

  CodePoints() = default;
  CodePoints(std::initializer_list<Range> ranges) {
    for (const Range& range : ranges) add(range.first, range.second);
  }
  static CodePoints all() { return {{0, last_code_point}}; }

  void add(char32_t low, char32_t high);
  void add(const CodePoints& other) {
    for (const Range& range : other.ranges_) add(range.first, range.second);
  }
  CodePoints complement() const;
  CodePoints without(const CodePoints& other) const;
  bool contains(char32_t point) const;
  const std::vector<Range>& ranges() const { return ranges_; }  // sorted, apart from each other

 private:
  std::vector<Range> ranges_;
};

// One character of the set; nothing at all where it is empty.
using CharacterWriter = std::function<PartId(Rules&, const CodePoints&)>;

// As UTF-8. Surrogates (U+D800 to U+DFFF), which are no characters, are left out.
PartId utf8_character(Rules& rules, const CodePoints& points);
// As inside a JSON string: what must be escaped is (RFC 8259), the rest is UTF-8.
PartId json_character(Rules& rules, const CodePoints& points);
// Any text up to the first `mark`, and the mark: two characters or more, the first of them once. A search of
// Knuth, Morris and Pratt as a regular expression.
PartId text_until(Rules& rules, std::string_view mark);
// The same in every spelling that JSON has, less halves of surrogate pairs: any character at all.
PartId any_json_character(Rules& rules);

}  // namespace rf::grammar
