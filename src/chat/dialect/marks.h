// Finding marks in a text of which only the beginning is there yet.
#pragma once
#include <cstddef>
#include <span>
#include <string_view>

namespace rf::dialect {

inline constexpr std::string_view white = " \t\r\n";

struct MarkMatch {
  std::size_t begin;  // of the mark; where none was found, all before it is certainly not of a mark
  int mark = -1;      // an index, or -1
};

// The leftmost of `marks` in `text`, the longest of those that begin there; "" is none. Unless `last`, a mark
// that more text could make longer, and an end that may begin a mark, are left for later.
MarkMatch find_mark(std::string_view text, std::span<const std::string_view> marks, bool last);

enum class Begins { no, yes, unknown };  // unknown: `text` is only a beginning of `mark`
Begins begins_with(std::string_view text, std::string_view mark, bool last);

// Whether the text ends inside of what `mark` opens, white space at its end aside.
bool ends_with_mark(std::string_view text, std::string_view mark);

}  // namespace rf::dialect
