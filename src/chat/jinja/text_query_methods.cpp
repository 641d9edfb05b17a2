// Methods of str that ask something about it.
#include <algorithm>

#include "base/error.h"
#include "chat/jinja/builtin.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/render.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

// The part of self from arg[first] to arg[first + 1], and the position where it starts; no text where it
// starts behind the end.
struct Range {
  std::string_view text;
  std::int64_t from;
  bool inside;
};
Range range_of(Render& r, const Bound& b, std::size_t first) {
  const std::int64_t size = b.self.text().chars;
  const SliceBounds s =
      slice_bounds(b.get(first, Value::none()), b.get(first + 1, Value::none()), Value::none(), size);
  const bool inside = !b.has(first) || b.arg[first].is_none() || b.integer(first, 0) <= size;
  const Value text = slice(r.heap(), b.self, Value(s.from), Value(s.to), Value::none());
  return {text.str(), s.from, inside && s.from <= s.to};
}

template <bool at_end>
Value m_startswith(Render& r, const Bound& b) {
  const Range range = range_of(r, b, 1);
  const auto matches = [&](const Value& v) {
    if (!v.is_text()) fail("startswith and endswith need a str or a tuple of str, not {}", v.type_name());
    return range.inside && (at_end ? range.text.ends_with(v.str()) : range.text.starts_with(v.str()));
  };
  if (b.arg[0].is_undefined()) fail("{}", b.arg[0].undefined_message());
  if (!b.arg[0].is(Kind::tuple)) return Value(matches(b.arg[0]));
  const std::vector<Value>& items = b.arg[0].list().items;
  return Value(std::any_of(items.begin(), items.end(), matches));
}

// Position of arg[0], -1 where it is not.
template <bool last>
std::int64_t position(Render& r, const Bound& b) {
  const Range range = range_of(r, b, 1);
  if (!range.inside) return -1;
  r.heap().work(range.text.size() / 64);
  const std::size_t at = last ? range.text.rfind(b.text(0)) : range.text.find(b.text(0));
  return at == std::string_view::npos ? -1 : range.from + count_chars(range.text.substr(0, at));
}
template <bool last>
Value m_find(Render& r, const Bound& b) {
  return Value(position<last>(r, b));
}
template <bool last>
Value m_index(Render& r, const Bound& b) {
  const std::int64_t at = position<last>(r, b);
  if (at < 0) fail("substring not found");
  return Value(at);
}

Value m_count(Render& r, const Bound& b) {
  const Range range = range_of(r, b, 1);
  r.heap().work(range.text.size() / 64);
  return Value(range.inside ? count(range.text, b.text(0)) : 0);
}

// Whether there are characters and all pass.
template <bool (*test)(char32_t)>
Value all(Render&, const Bound& b) {
  const std::string_view s = b.self.str();
  for (std::size_t at = 0; at < s.size();)
    if (!test(next_char(s, at))) return Value(false);
  return Value(!s.empty());
}
bool is_alnum(char32_t c) {
  return is_alpha(c) || is_numeric(c);
}

template <bool (*wanted)(char32_t), bool (*other)(char32_t)>
Value all_cased(Render&, const Bound& b) {
  const std::string_view s = b.self.str();
  bool any = false;
  for (std::size_t at = 0; at < s.size();) {
    const char32_t c = next_char(s, at);
    if (other(c)) return Value(false);
    any = any || wanted(c);
  }
  return Value(any);
}

Value m_istitle(Render&, const Bound& b) {
  const std::string_view s = b.self.str();
  bool any = false, in_word = false;
  for (std::size_t at = 0; at < s.size();) {
    const char32_t c = next_char(s, at);
    const bool upper = is_upper(c), lower = is_lower(c);
    if ((upper && in_word) || (lower && !in_word)) return Value(false);
    any = any || upper || lower;
    in_word = upper || lower;
  }
  return Value(any);
}

Value m_isascii(Render&, const Bound& b) {
  const std::string_view s = b.self.str();
  return Value(std::all_of(s.begin(), s.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
}
Value m_isprintable(Render& r, const Bound& b) {
  return b.self.str().empty() ? Value(true) : all<is_printable>(r, b);
}
Value m_isidentifier(Render&, const Bound& b) {
  const std::string_view s = b.self.str();
  if (s.empty()) return Value(false);
  for (std::size_t at = 0; at < s.size();) {
    const bool first = at == 0;
    const char32_t c = next_char(s, at);
    if (!is_word(c) || (first && is_numeric(c))) return Value(false);
  }
  return Value(true);
}

}  // namespace

std::span<const Builtin> text_query_methods() {
  static constexpr Builtin table[] = {
      {"count", m_count, "sub,start,end", 1},
      {"endswith", m_startswith<true>, "suffix,start,end", 1},
      {"find", m_find<false>, "sub,start,end", 1},
      {"index", m_index<false>, "sub,start,end", 1},
      {"isalnum", all<is_alnum>, ""},
      {"isalpha", all<is_alpha>, ""},
      {"isascii", m_isascii, ""},
      {"isdecimal", all<is_decimal>, ""},
      {"isdigit", all<is_digit>, ""},
      {"isidentifier", m_isidentifier, ""},
      {"islower", all_cased<is_lower, is_upper>, ""},
      {"isnumeric", all<is_numeric>, ""},
      {"isprintable", m_isprintable, ""},
      {"isspace", all<is_space>, ""},
      {"istitle", m_istitle, ""},
      {"isupper", all_cased<is_upper, is_lower>, ""},
      {"rfind", m_find<true>, "sub,start,end", 1},
      {"rindex", m_index<true>, "sub,start,end", 1},
      {"startswith", m_startswith<false>, "prefix,start,end", 1},
  };
  return table;
}

}  // namespace rf::jinja
