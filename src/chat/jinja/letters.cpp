#include "chat/jinja/letters.h"

#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

constexpr char32_t capital_sigma = 0x3A3, final_sigma = 0x3C2;

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool is_cased(char32_t c) {
  const auto k = category(c);
  return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}

// Full case folding, which makes several letters of some: "ss" of "ß".
std::u32string folding(char32_t c) {
  utf8proc_int32_t out[4];
  int last = 0;
  const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), out, 4, UTF8PROC_CASEFOLD, &last);
  return n >= 1 && n <= 4 ? std::u32string(out, out + n) : std::u32string(1, c);
}

char32_t simple_upper(char32_t c) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}

// Letters whose upper case is several ones are those of their folding, in upper case.
void append_upper(std::string& out, char32_t c) {
  std::u32string letters = c < 0x80 || is_upper(c) ? std::u32string() : folding(c);
  if (letters.size() < 2) letters = c;
  for (const char32_t letter : letters) append_utf8(out, simple_upper(letter));
}
void append_lower(std::string& out, char32_t c) {
  append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  if (c == 0x130) append_utf8(out, 0x307);  // the dot of the capital I with one
}
void append_title(std::string& out, char32_t c) {
  const auto title = static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c)));
  const bool simple = c < 0x80 || is_upper(c) || category(title) == UTF8PROC_CATEGORY_LT;
  const std::u32string letters = simple ? std::u32string() : folding(c);
  if (letters.size() < 2) return append_utf8(out, title);
  bool raised = false;  // the first letter that has an upper case
  for (const char32_t letter : letters) {
    append_utf8(out, raised ? letter : simple_upper(letter));
    raised = raised || simple_upper(letter) != letter;
  }
}

// Whether the letter from `begin` to `end` is the last of a word of several: the condition of final sigma.
bool ends_word(std::string_view s, std::size_t begin, std::size_t end) {
  const auto ignored = [](char32_t c) {
    const auto k = category(c);
    return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_ME || k == UTF8PROC_CATEGORY_CF ||
           k == UTF8PROC_CATEGORY_LM || k == UTF8PROC_CATEGORY_SK || c == '\'' || c == '.' || c == ':' ||
           c == 0xB7 || c == 0x2019;
  };
  bool before = false;
  for (std::size_t at = begin; at > 0;) {
    at = char_before(s, at);
    std::size_t next = at;
    const char32_t c = next_char(s, next);
    if (ignored(c)) continue;
    before = is_cased(c);
    break;
  }
  while (before && end < s.size()) {
    const char32_t c = next_char(s, end);
    if (!ignored(c)) return !is_cased(c);
  }
  return before;
}

}  // namespace

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_line_break(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool is_alpha(char32_t c) {
  const auto k = category(c);
  return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}
bool is_numeric(char32_t c) {
  const auto k = category(c);
  return k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
}
bool is_decimal(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_ND;
}
bool is_digit(char32_t c) {
  // Digits that count no places: superscripts, subscripts, circled and the like (Numeric_Type=Digit).
  static constexpr std::pair<char32_t, char32_t> others[] = {
      {0xB2, 0xB3},     {0xB9, 0xB9},       {0x1369, 0x1371}, {0x19DA, 0x19DA}, {0x2070, 0x2070},
      {0x2074, 0x2079}, {0x2080, 0x2089},   {0x2460, 0x2468}, {0x2474, 0x247C}, {0x2488, 0x2490},
      {0x24EA, 0x24EA}, {0x24F5, 0x24FD},   {0x24FF, 0x24FF}, {0x2776, 0x277E}, {0x2780, 0x2788},
      {0x278A, 0x2792}, {0x1F100, 0x1F10A},
  };
  return is_decimal(c) ||
         std::ranges::any_of(others, [&](const auto& r) { return c >= r.first && c <= r.second; });
}
bool is_word(char32_t c) {
  return c == '_' || is_alpha(c) || is_numeric(c);
}
bool is_upper(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LU;
}
bool is_lower(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LL;
}
bool is_printable(char32_t c) {
  if (c < 0x80) return c >= 0x20 && c < 0x7F;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

std::string to_upper(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (std::size_t at = 0; at < s.size();) append_upper(out, next_char(s, at));
  return out;
}

std::string to_lower(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (std::size_t at = 0; at < s.size();) {
    const std::size_t begin = at;
    const char32_t c = next_char(s, at);
    append_lower(out, c == capital_sigma && ends_word(s, begin, at) ? final_sigma : c);
  }
  return out;
}

std::string case_folded(std::string_view s) {
  std::string out;
  for (std::size_t at = 0; at < s.size();)
    for (const char32_t letter : folding(next_char(s, at))) append_utf8(out, letter);
  return out;
}

std::string capitalize(std::string_view s) {
  if (s.empty()) return "";
  std::size_t at = 0;
  std::string out;
  append_title(out, next_char(s, at));
  return out + to_lower(s.substr(at));
}

std::string title_case(std::string_view s) {
  std::string out;
  bool in_word = false;
  for (std::size_t at = 0; at < s.size();) {
    const char32_t c = next_char(s, at);
    in_word ? append_lower(out, c) : append_title(out, c);
    in_word = is_cased(c);
  }
  return out;
}

std::string swap_case(std::string_view s) {
  std::string out;
  for (std::size_t at = 0; at < s.size();) {
    const char32_t c = next_char(s, at);
    is_upper(c) ? append_lower(out, c) : append_upper(out, c);
  }
  return out;
}

}  // namespace rf::jinja
