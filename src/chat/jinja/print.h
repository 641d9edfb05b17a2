// Values as text: Python's str() and repr(), and json.dumps.
#pragma once
#include <string>

#include "chat/jinja/heap.h"

namespace rf::jinja {

// Each charges its work to `heap` and throws Error on values nested too deeply.
std::string to_str(Heap& heap, const Value& v);
std::string to_repr(Heap& heap, const Value& v);
Value soft_str(Heap& heap, const Value& v);  // as text that stays markup where it is
Value escaped(Heap& heap, const Value& v);   // as markup

struct JsonStyle {
  bool ascii = false;  // non-ASCII characters as \uXXXX
  bool sort_keys = false;
  std::optional<std::string> indent;  // of one level; none: all on one line
  std::string item_separator = ", ", key_separator = ": ";
};
// Throws Error on what JSON cannot hold. Generators are written as lists.
std::string to_json(Heap& heap, const Value& v, const JsonStyle& style);

}  // namespace rf::jinja
