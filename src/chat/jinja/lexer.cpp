#include "chat/jinja/lexer.h"

#include <algorithm>

#include "base/error.h"
#include "chat/jinja/number.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

bool is_digit_char(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_char(char c) {
  return is_digit_char(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) data();
    push(Token::Type::end, source_.substr(source_.size()));
    return std::move(tokens_);
  }

 private:
  using Type = Token::Type;

  bool looking_at(std::string_view s) const { return source_.substr(at_).starts_with(s); }

  void push(Type type, std::string_view source, std::string text = {}) {
    tokens_.push_back({type, line_, source, std::move(text)});
  }

  void advance(std::size_t bytes) {
    const std::string_view passed = source_.substr(at_, bytes);
    line_ += static_cast<int>(std::count(passed.begin(), passed.end(), '\n'));
    at_ += bytes;
  }

  void skip_space() { advance(source_.size() - at_ - strip(source_.substr(at_), Side::left).size()); }

  // Plain text up to the next tag, and that tag.
  void data() {
    std::size_t tag = at_;
    do {
      tag = source_.find('{', tag);
    } while (tag != std::string_view::npos && !is_tag(tag) && ++tag != 0);
    if (tag == std::string_view::npos) {
      push(Type::data, source_.substr(at_));
      advance(source_.size() - at_);
      return;
    }
    std::string_view text = source_.substr(at_, tag - at_);
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    text = trimmed(text, sign, kind != '{');
    if (!text.empty()) push(Type::data, text);
    advance(tag + 2 - at_);
    if (sign == '-' || sign == '+') advance(1);
    if (kind == '#')
      comment();
    else if (kind == '{')
      tag_tokens(Type::variable_begin);
    else if (!raw())
      tag_tokens(Type::block_begin);
  }

  bool is_tag(std::size_t at) const {
    return at + 1 < source_.size() &&
           (source_[at + 1] == '{' || source_[at + 1] == '%' || source_[at + 1] == '#');
  }

  // The text before a tag: a `-` strips it; else, before a block or comment, the blanks of the tag's own line
  // go.
  std::string_view trimmed(std::string_view text, char sign, bool block) const {
    if (sign == '-') return strip(text, Side::right);
    if (sign == '+' || !block) return text;
    const std::size_t newline = text.rfind('\n');
    if (newline == std::string_view::npos && !line_starting_) return text;
    const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    return strip(text.substr(line)).empty() ? text.substr(0, line) : text;
  }

  // What follows the end of a tag of `close` at the current place; false if it is not there.
  bool close(std::string_view end, bool trim, bool plus) {
    const std::size_t start = at_;
    if (looking_at(end)) {
      advance(end.size());
      if (trim && looking_at("\n")) advance(1);
    } else if (looking_at("-") && source_.substr(at_ + 1).starts_with(end)) {
      advance(end.size() + 1);
      skip_space();
    } else if (plus && looking_at("+") && source_.substr(at_ + 1).starts_with(end)) {
      advance(end.size() + 1);
    } else {
      return false;
    }
    line_starting_ = at_ > start && source_[at_ - 1] == '\n';
    return true;
  }

  void comment() {
    const int line = line_;
    const std::size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) fail("line {}: a comment has no end: expected '#}}'", line);
    const bool sign = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+');
    advance(end - static_cast<std::size_t>(sign) - at_);
    close("#}", true, true);
  }

  // {% raw %}...{% endraw %}, if that is what the tag is.
  bool raw() {
    std::string_view rest = strip(source_.substr(at_), Side::left);
    if (!rest.starts_with("raw")) return false;
    rest = strip(rest.substr(3), Side::left);
    if (!rest.starts_with("%}") && !rest.starts_with("-%}")) return false;
    const int line = line_;
    advance(source_.size() - at_ - rest.size());
    close("%}", false, false);
    for (std::size_t open = source_.find("{%", at_); open != std::string_view::npos;
         open = source_.find("{%", open + 1)) {
      std::string_view tag = source_.substr(open + 2);
      const char sign = tag.empty() ? '\0' : tag[0];
      if (sign == '-' || sign == '+') tag.remove_prefix(1);
      tag = strip(tag, Side::left);
      if (!tag.starts_with("endraw")) continue;
      tag = strip(tag.substr(6), Side::left);
      if (!tag.starts_with("%}") && !tag.starts_with("-%}") && !tag.starts_with("+%}")) continue;
      const std::string_view text = trimmed(source_.substr(at_, open - at_), sign, true);
      if (!text.empty()) push(Type::data, text);
      advance(source_.size() - tag.size() - at_);
      close("%}", true, true);
      return true;
    }
    fail("line {}: a raw block has no end: expected '{{% endraw %}}'", line);
  }

  void tag_tokens(Type begin) {
    const bool block = begin == Type::block_begin;
    const int line = line_;
    push(begin, source_.substr(at_, 0));
    std::string open;  // brackets not yet closed
    for (;;) {
      skip_space();
      const int end_line = line_;
      const std::size_t start = at_;
      if (open.empty() && close(block ? "%}" : "}}", block, block)) {
        push(block ? Type::block_end : Type::variable_end, source_.substr(start, 2));
        tokens_.back().line = end_line;
        return;
      }
      if (at_ >= source_.size()) fail("line {}: a tag has no end: expected '{}'", line, block ? "%}" : "}}");
      token(open);
    }
  }

  void token(std::string& open) {
    const char c = source_[at_];
    if (is_digit_char(c))
      number();
    else if (is_name_char(c))
      name();
    else if (c == '"' || c == '\'')
      string(c);
    else
      op(open);
  }

  void name() {
    std::size_t end = at_;
    while (end < source_.size() && is_name_char(source_[end])) ++end;
    push(Type::name, source_.substr(at_, end - at_));
    at_ = end;
  }

  // Length of a run of digits with single underscores between them, from `at`.
  template <class Digit>
  std::size_t digits(std::size_t at, Digit&& digit) const {
    std::size_t end = at;
    while (end < source_.size() &&
           (digit(source_[end]) ||
            (source_[end] == '_' && end > at && end + 1 < source_.size() && digit(source_[end + 1]))))
      ++end;
    return end - at;
  }

  void number() {
    const auto is_hex = [](char c) { return is_digit_char(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); };
    std::size_t end = at_ + digits(at_, is_digit_char);
    Type type = Type::integer;
    if (source_[at_] == '0' && end == at_ + 1 && end < source_.size() &&
        std::string_view("xXoObB").find(source_[end]) != std::string_view::npos &&
        digits(end + 1, is_hex) > 0) {
      end += 1 + digits(end + 1, is_hex);
    } else if (at_ == 0 || source_[at_ - 1] != '.') {  // after a dot a number is an index: x.0.1
      if (end + 1 < source_.size() && source_[end] == '.' && is_digit_char(source_[end + 1])) {
        end += 1 + digits(end + 1, is_digit_char);
        type = Type::real;
      }
      if (end < source_.size() && (source_[end] | 0x20) == 'e') {
        std::size_t exponent = end + 1;
        if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) ++exponent;
        if (const std::size_t n = digits(exponent, is_digit_char); n > 0) {
          end = exponent + n;
          type = Type::real;
        }
      }
    }
    std::string text(source_.substr(at_, end - at_));
    std::erase(text, '_');
    push(type, source_.substr(at_, end - at_), std::move(text));
    at_ = end;
  }

  void string(char quote) {
    std::size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail("line {}: a string has no end: expected {}", line_, quote);
    const std::string_view body = source_.substr(at_ + 1, end - at_ - 1);
    push(Type::string, source_.substr(at_, end + 1 - at_), unescaped(body));
    advance(end + 1 - at_);
  }

  // Python's escapes, all but \N{name}.
  std::string unescaped(std::string_view s) const {
    static constexpr std::string_view letters = "abfnrtv\\'\"", values = "\a\b\f\n\r\t\v\\'\"";
    std::string out;
    for (std::size_t i = 0; i < s.size();) {
      const char c = s[i++];
      if (c != '\\' || i == s.size()) {
        out += c;
        continue;
      }
      const char e = s[i++];
      if (const std::size_t known = letters.find(e); known != std::string_view::npos)
        out += values[known];
      else if (e == 'x' || e == 'u' || e == 'U')
        i += code_point(s.substr(i), e == 'x' ? 2 : e == 'u' ? 4 : 8, 16, out);
      else if (e >= '0' && e <= '7')
        i += code_point(s.substr(i - 1),
                        std::min<std::size_t>(3, s.substr(i - 1).find_first_not_of("01234567")), 8, out) -
             1;
      else if (e != '\n')
        out.append(1, '\\').append(1, e);
    }
    return out;
  }

  // Reads `size` digits; a pair of \u surrogates is not joined, as in Python, and cannot be written as UTF-8.
  std::size_t code_point(std::string_view s, std::size_t size, int base, std::string& out) const {
    size = std::min(size, s.size());
    const auto c = size == 0 ? std::nullopt : parse_int(s.substr(0, size), base);
    const bool short_hex = base == 16 && size != 2 && size != 4 && size != 8;
    if (!c || short_hex || *c < 0 || *c > 0x10FFFF || (*c >= 0xD800 && *c < 0xE000))
      fail("line {}: a string holds a wrong escape \\{:.10}", line_, s);
    append_utf8(out, static_cast<char32_t>(*c));
    return size;
  }

  void op(std::string& open) {
    static constexpr std::string_view operators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                     "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                     ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    const auto* found = std::find_if(std::begin(operators), std::end(operators),
                                     [&](std::string_view o) { return looking_at(o); });
    if (found == std::end(operators))
      fail("line {}: unexpected character {}", line_, quoted(source_.substr(at_, char_size(source_, at_))));
    const char c = (*found)[0];
    if (c == '(' || c == '[' || c == '{') {
      open += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (open.empty()) fail("line {}: unexpected '{}'", line_, c);
      if (open.back() != c) fail("line {}: unexpected '{}', expected '{}'", line_, c, open.back());
      open.pop_back();
    }
    push(Type::op, *found);
    at_ += found->size();
  }

  std::string_view source_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // the last tag ended a line, or there was none
  std::vector<Token> tokens_;
};

}  // namespace

std::string normal_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    const bool carriage = source[i] == '\r';
    if (carriage && i + 1 < source.size() && source[i + 1] == '\n') ++i;
    out += carriage ? '\n' : source[i];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace rf::jinja
