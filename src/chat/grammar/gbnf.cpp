#include "chat/grammar/gbnf.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <string>

#include "base/error.h"
#include "chat/grammar/code_points.h"
#include "text/unicode.h"

namespace rf::grammar {
namespace {

constexpr std::size_t longest_grammar = 4u << 20;  // bytes
constexpr int deepest_grammar = 200;               // groups in each other
constexpr std::int32_t most_rounds = 1'000'000;

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

class GbnfParser {
 public:
  explicit GbnfParser(std::string_view text) : text_(text) {}
  Rules parse();

 private:
  struct Named {
    RuleId rule;
    bool defined = false;
    int line;  // of the first use
  };

  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(std::string_view token) {
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  int line() const {
    return static_cast<int>(
        1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at_), '\n'));
  }
  [[noreturn]] void expected(std::string_view what) const {
    const std::string_view rest = text_.substr(at_, std::min<std::size_t>(text_.find('\n', at_) - at_, 24));
    fail("grammar, line {}: expected {}, found {}", line(), what,
         at_end()       ? "the end"
         : rest.empty() ? "the end of the line"
                        : fmt::format("'{}'", repaired_utf8(rest)));
  }

  void skip_space(bool lines);
  bool rule_goes_on();
  std::string_view name();
  Named& named(std::string_view name);
  void rule();
  PartId alternatives(int depth);
  PartId sequence(int depth);
  PartId item(int depth);
  PartId repeated(PartId part);
  std::int32_t number();
  PartId literal();
  PartId char_class();
  char32_t character();
  char32_t hex(int digits);

  std::string_view text_;
  std::size_t at_ = 0;
  Rules rules_;
  std::map<std::string, Named, std::less<>> names_;
};

Rules GbnfParser::parse() {
  if (text_.size() > longest_grammar)
    fail("grammar: expected at most {} bytes, found {}", longest_grammar, text_.size());
  for (skip_space(true); !at_end(); skip_space(true)) rule();
  for (const auto& [name, named] : names_)
    if (!named.defined) fail("grammar, line {}: the rule \"{}\" is not defined", named.line, name);
  const auto root = names_.find("root");
  if (root == names_.end()) fail("grammar: expected a rule \"root\", found none");
  rules_.root = root->second.rule;
  return std::move(rules_);
}

void GbnfParser::skip_space(bool lines) {
  while (!at_end()) {
    if (peek() == '#')
      at_ = std::min(text_.find('\n', at_), text_.size());
    else if (peek() == ' ' || peek() == '\t' || peek() == '\r' || (lines && peek() == '\n'))
      ++at_;
    else
      return;
  }
}

// After a line's end a rule goes on where an alternative follows.
bool GbnfParser::rule_goes_on() {
  const std::size_t here = at_;
  skip_space(true);
  if (peek() == '|') return true;
  at_ = here;
  return false;
}

std::string_view GbnfParser::name() {
  const std::size_t begin = at_;
  while (is_name_char(peek())) ++at_;
  if (at_ == begin) expected("the name of a rule");
  return text_.substr(begin, at_ - begin);
}

GbnfParser::Named& GbnfParser::named(std::string_view name) {
  const auto at = names_.find(name);
  if (at != names_.end()) return at->second;
  const RuleId rule = rules_.add_rule(std::string(name), false);
  return names_.emplace(name, Named{.rule = rule, .line = line()}).first->second;
}

void GbnfParser::rule() {
  const int begin = line();
  const std::string_view its_name = name();
  skip_space(false);
  if (!take("::=")) expected("::=");
  skip_space(true);
  const PartId body = alternatives(0);
  if (!at_end() && peek() != '\n') expected("the end of the line");
  Named& rule = named(its_name);
  if (rule.defined) fail("grammar, line {}: the rule \"{}\" is defined twice", begin, its_name);
  rule.defined = true;
  rules_.define(rule.rule, body);
}

PartId GbnfParser::alternatives(int depth) {
  if (depth > deepest_grammar)
    fail("grammar, line {}: expected at most {} groups in each other", line(), deepest_grammar);
  std::vector<PartId> parts{sequence(depth)};
  while (peek() == '|' || (depth == 0 && peek() == '\n' && rule_goes_on())) {
    ++at_;
    skip_space(true);
    parts.push_back(sequence(depth));
  }
  return rules_.choice(std::move(parts));
}

PartId GbnfParser::sequence(int depth) {
  std::vector<PartId> parts;
  while (!at_end() && peek() != '|' && peek() != ')' && peek() != '\n') {
    parts.push_back(repeated(item(depth)));
    skip_space(depth > 0);
  }
  return rules_.sequence(std::move(parts));
}

PartId GbnfParser::item(int depth) {
  if (peek() == '"') return literal();
  if (peek() == '[') return char_class();
  if (take(".")) return utf8_character(rules_, CodePoints::all());
  if (take("(")) {
    skip_space(true);
    const PartId part = alternatives(depth + 1);
    if (!take(")")) expected("a )");
    return part;
  }
  if (!is_name_char(peek())) expected("a \"literal\", a [class], a (group), a . or the name of a rule");
  return rules_.call(named(name()).rule);
}

PartId GbnfParser::repeated(PartId part) {
  while (true) {
    skip_space(false);
    if (take("?")) {
      part = rules_.repeat(part, 0, 1);
    } else if (take("*")) {
      part = rules_.repeat(part, 0, unbounded);
    } else if (take("+")) {
      part = rules_.repeat(part, 1, unbounded);
    } else if (take("{")) {
      skip_space(false);
      const std::int32_t min = peek() == ',' ? 0 : number();
      std::int32_t max = min;
      skip_space(false);
      if (take(",")) {
        skip_space(false);
        max = peek() == '}' ? unbounded : number();
        skip_space(false);
      }
      if (!take("}")) expected("a }");
      if (max != unbounded && max < min)
        fail("grammar, line {}: expected a most of at least {}, found {}", line(), min, max);
      part = rules_.repeat(part, min, max);
    } else {
      return part;
    }
  }
}

std::int32_t GbnfParser::number() {
  std::int32_t value = 0;
  const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
  if (error != std::errc() || value < 0 || value > most_rounds)
    expected(fmt::format("a number up to {}", most_rounds));
  at_ = static_cast<std::size_t>(end - text_.data());
  return value;
}

PartId GbnfParser::literal() {
  ++at_;
  std::string bytes;
  while (!take("\"")) append_utf8(bytes, character());
  return rules_.literal(bytes);
}

PartId GbnfParser::char_class() {
  ++at_;
  const bool others = take("^");
  CodePoints points;
  while (!take("]")) {
    const char32_t low = character();
    char32_t high = low;
    if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
      ++at_;
      high = character();
    }
    if (high < low) fail("grammar, line {}: a range of characters ends before it begins", line());
    points.add(low, high);
  }
  return utf8_character(rules_, others ? points.complement() : points);
}

char32_t GbnfParser::character() {
  if (at_end() || peek() == '\n') expected("the end of a literal or class");
  if (take("\\")) {
    if (take("x")) return hex(2);
    if (take("u")) return hex(4);
    if (take("U")) return hex(8);
    if (take("n")) return '\n';
    if (take("r")) return '\r';
    if (take("t")) return '\t';
    if (std::string_view("\\\"[]-^").find(peek()) != std::string_view::npos && !at_end())
      return static_cast<char32_t>(text_[at_++]);
    expected("an escape such as \\n, \\x41, \\u00e9 or \\\"");
  }
  const Utf8Part part = first_utf8(text_.substr(at_));
  if (part.kind != Utf8::valid) expected("UTF-8");
  at_ += part.bytes;
  return code_point(text_.substr(at_ - part.bytes, part.bytes));
}

char32_t GbnfParser::hex(int digits) {
  std::uint32_t value = 0;
  const char* begin = text_.data() + at_;
  const char* last = begin + std::min<std::size_t>(static_cast<std::size_t>(digits), text_.size() - at_);
  const auto [end, error] = std::from_chars(begin, last, value, 16);
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (error != std::errc() || end - begin != digits || value > last_code_point || surrogate)
    expected(fmt::format("{} hexadecimal digits of a character", digits));
  at_ += static_cast<std::size_t>(digits);
  return value;
}

}  // namespace

Rules parse_gbnf(std::string_view text) {
  return GbnfParser(text).parse();
}

}  // namespace rf::grammar
