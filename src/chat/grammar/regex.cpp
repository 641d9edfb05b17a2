#include "chat/grammar/regex.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/unicode.h"

namespace rf::grammar {
namespace {

constexpr std::size_t longest_pattern = 1u << 20;  // bytes
constexpr int deepest_pattern = 200;               // groups in each other
constexpr std::int32_t most_rounds = 1'000'000;

const CodePoints& digits() {
  static const CodePoints set{{'0', '9'}};
  return set;
}
const CodePoints& word() {
  static const CodePoints set{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  return set;
}
const CodePoints& space() {
  static const CodePoints set{{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
                              {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                              {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
  return set;
}
const CodePoints& line_ends() {
  static const CodePoints set{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
  return set;
}

class RegexParser {
 public:
  RegexParser(Rules& rules, std::string_view pattern, const CharacterWriter& write, bool anywhere)
      : rules_(rules), text_(pattern), write_(write), anywhere_(anywhere) {}
  PartId parse();

 private:
  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(std::string_view token) {
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  [[noreturn]] void refuse(std::string_view what) const {
    fail("regular expression, character {}: {}", at_ + 1, what);
  }

  PartId alternatives(int depth);
  PartId branch(int depth);
  PartId item(int depth);
  PartId repeated(PartId part);
  bool take_bounds(std::int32_t& min, std::int32_t& max);
  std::int32_t number();
  PartId group(int depth);
  CodePoints char_class();
  std::optional<CodePoints> class_escape();
  char32_t character(bool in_class);
  char32_t escape(bool in_class);
  char32_t hex(int least, int most);

  Rules& rules_;
  std::string_view text_;
  const CharacterWriter& write_;
  bool anywhere_;
  std::size_t at_ = 0;
};

PartId RegexParser::parse() {
  if (text_.size() > longest_pattern)
    fail("regular expression: expected at most {} bytes, found {}", longest_pattern, text_.size());
  const PartId part = alternatives(0);
  if (!at_end()) refuse("expected the end, found a ) without its (");
  return part;
}

PartId RegexParser::alternatives(int depth) {
  if (depth > deepest_pattern)
    refuse(fmt::format("expected at most {} groups in each other", deepest_pattern));
  std::vector<PartId> parts{branch(depth)};
  while (take("|")) parts.push_back(branch(depth));
  return rules_.choice(std::move(parts));
}

// ^ and $ are known at the ends of an alternative of the whole expression, where they mean the text's ends.
PartId RegexParser::branch(int depth) {
  std::vector<PartId> parts;
  bool from_start = false, to_end = false;
  while (depth == 0 && take("^")) from_start = true;
  while (!at_end() && peek() != '|' && peek() != ')') {
    if (depth == 0 && peek() == '$') {
      while (take("$")) to_end = true;
      if (!at_end() && peek() != '|') refuse("expected $ only at the end");
      break;
    }
    parts.push_back(repeated(item(depth)));
  }
  if (depth == 0 && anywhere_) {
    const PartId rest = rules_.repeat(write_(rules_, CodePoints::all()), 0, unbounded);
    if (!from_start) parts.insert(parts.begin(), rest);
    if (!to_end) parts.push_back(rest);
  }
  return rules_.sequence(std::move(parts));
}

PartId RegexParser::item(int depth) {
  switch (peek()) {
    case '(':
      return group(depth);
    case '[':
      return write_(rules_, char_class());
    case '.':
      ++at_;
      return write_(rules_, line_ends().complement());
    case '*':
    case '+':
    case '?':
    case '{':
      refuse(fmt::format("expected something to repeat before {}", peek()));
    case '^':
    case '$':
      refuse(fmt::format("{} is understood only at the ends of the whole expression", peek()));
    default:
      break;
  }
  if (const auto set = class_escape()) return write_(rules_, *set);
  const char32_t c = character(false);
  return write_(rules_, CodePoints{{c, c}});
}

PartId RegexParser::group(int depth) {
  ++at_;
  if (take("?")) {
    if (take("<") && peek() != '=' && peek() != '!') {
      at_ = std::min(text_.find('>', at_), text_.size());
      if (!take(">")) refuse("expected the > after the name of a group");
    } else if (!take(":")) {
      refuse("lookahead, lookbehind and flags are not supported");
    }
  }
  const PartId part = alternatives(depth + 1);
  if (!take(")")) refuse("expected a )");
  return part;
}

PartId RegexParser::repeated(PartId part) {
  std::int32_t min = 0, max = unbounded;
  if (take("*")) {
  } else if (take("+")) {
    min = 1;
  } else if (take("?")) {
    max = 1;
  } else if (!take_bounds(min, max)) {
    return part;
  }
  take("?");  // a lazy repetition matches the same texts
  if (peek() == '*' || peek() == '+' || peek() == '?' || peek() == '{')
    refuse(fmt::format("expected something to repeat before {}", peek()));
  return rules_.repeat(part, min, max);
}

bool RegexParser::take_bounds(std::int32_t& min, std::int32_t& max) {
  if (!take("{")) return false;
  min = max = number();
  if (take(",")) max = peek() == '}' ? unbounded : number();
  if (!take("}")) refuse("expected a }");
  if (max != unbounded && max < min) refuse("a repetition's most is under its least");
  return true;
}

std::int32_t RegexParser::number() {
  std::int32_t value = 0;
  const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
  if (error != std::errc() || value < 0 || value > most_rounds)
    refuse(fmt::format("expected a number up to {}", most_rounds));
  at_ = static_cast<std::size_t>(end - text_.data());
  return value;
}

CodePoints RegexParser::char_class() {
  ++at_;
  const bool others = take("^");
  CodePoints set;
  while (!take("]")) {
    if (at_end()) refuse("expected a ]");
    if (const auto named = class_escape()) {
      set.add(*named);
      continue;
    }
    const char32_t low = character(true);
    char32_t high = low;
    if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
      ++at_;
      if (class_escape()) refuse("a range of characters ends in a class");
      high = character(true);
    }
    if (high < low) refuse("a range of characters ends before it begins");
    set.add(low, high);
  }
  return others ? set.complement() : set;
}

std::optional<CodePoints> RegexParser::class_escape() {
  if (take("\\d")) return digits();
  if (take("\\D")) return digits().complement();
  if (take("\\w")) return word();
  if (take("\\W")) return word().complement();
  if (take("\\s")) return space();
  if (take("\\S")) return space().complement();
  return std::nullopt;
}

char32_t RegexParser::character(bool in_class) {
  if (at_end()) refuse("expected a character, found the end");
  if (take("\\")) return escape(in_class);
  const Utf8Part part = first_utf8(text_.substr(at_));
  if (part.kind != Utf8::valid) refuse("expected UTF-8");
  at_ += part.bytes;
  return code_point(text_.substr(at_ - part.bytes, part.bytes));
}

char32_t RegexParser::escape(bool in_class) {
  constexpr std::string_view names = "nrtfv0", values("\n\r\t\f\v\0", 6);
  if (at_end()) refuse("expected a character after \\");
  const char c = peek();
  const std::size_t named = names.find(c);
  if (in_class && c == 'b') return ++at_, '\b';
  if (named != names.npos) return ++at_, static_cast<char32_t>(values[named]);
  if (take("x")) return hex(2, 2);
  if (take("u{")) {
    const char32_t point = hex(1, 6);
    if (!take("}")) refuse("expected a }");
    return point;
  }
  if (take("u")) return hex(4, 4);
  const auto byte = static_cast<unsigned char>(c);
  const bool letter = (byte | 32) >= 'a' && (byte | 32) <= 'z';
  if (letter || (c >= '1' && c <= '9') || byte >= 0x80)
    refuse(fmt::format("\\{} is not supported", byte >= 0x80 ? '?' : c));
  ++at_;
  return byte;
}

char32_t RegexParser::hex(int least, int most) {
  std::uint32_t value = 0;
  const char* begin = text_.data() + at_;
  const char* last = begin + std::min<std::size_t>(static_cast<std::size_t>(most), text_.size() - at_);
  const auto [end, error] = std::from_chars(begin, last, value, 16);
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (error != std::errc() || end - begin < least || value > last_code_point || surrogate)
    refuse("expected the hexadecimal digits of a character");
  at_ += static_cast<std::size_t>(end - begin);
  return value;
}

}  // namespace

PartId parse_regex(Rules& rules, std::string_view pattern, const CharacterWriter& write, bool anywhere) {
  return RegexParser(rules, pattern, write, anywhere).parse();
}

}  // namespace rf::grammar
