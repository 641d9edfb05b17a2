#include "chat/grammar/json_text.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "chat/grammar/code_points.h"
#include "chat/grammar/json_number.h"
#include "text/unicode.h"

namespace rf::grammar {
namespace {

constexpr std::int32_t deepest_indentation = 40;
constexpr std::size_t longest_key = 400;  // bytes, of those that others are told from
constexpr std::string_view gemma_quote = "<|\"|>";

// What keys are written of: in JSON without escapes, elsewhere names.
const CodePoints& key_characters(bool bare) {
  static const CodePoints unescaped = CodePoints{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}.complement();
  static const CodePoints name{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  return bare ? name : unescaped;
}

// Texts of `characters` that go on after a beginning that all of `rests` share, and are none of them.
PartId none_of(Rules& rules, const CodePoints& characters, const std::vector<std::string_view>& rests) {
  std::map<char32_t, std::vector<std::string_view>> by_first;
  CodePoints taken;
  bool ended = false;
  for (const std::string_view rest : rests) {
    ended = ended || rest.empty();
    if (rest.empty()) continue;
    const std::size_t bytes = first_utf8(rest).bytes;
    const char32_t c = code_point(rest.substr(0, bytes));
    by_first[c].push_back(rest.substr(bytes));
    taken.add(c, c);
  }
  const PartId any = rules.repeat(utf8_character(rules, characters), 0, unbounded);
  std::vector<PartId> parts{rules.sequence({utf8_character(rules, characters.without(taken)), any})};
  if (!ended) parts.push_back(rules.sequence({}));
  for (const auto& [c, others] : by_first)
    if (characters.contains(c))
      parts.push_back(
          rules.sequence({utf8_character(rules, CodePoints{{c, c}}), none_of(rules, characters, others)}));
  return rules.choice(std::move(parts));
}

// Gemma's texts hold what they like but the beginning of their quote.
PartId gemma_character(Rules& rules, const CodePoints& points) {
  return utf8_character(rules, points.without({{'<', '<'}}));
}

}  // namespace

JsonText::JsonText(Rules& rules, Notation notation)
    : rules_(rules),
      notation_(notation),
      character_(notation == Notation::gemma ? gemma_character : json_character),
      space_(rules.add_rule("space", true)),
      string_(rules.add_rule("string", true)),
      anything_(rules.add_rule("anything", true)) {
  ByteSet blank;
  blank.set(' ').set('\t');
  const PartId line =
      rules_.sequence({rules_.byte('\n'), rules_.repeat(rules_.bytes(blank), 0, deepest_indentation)});
  rules_.define(space_, notation_ == Notation::gemma
                            ? rules_.sequence({})
                            : rules_.choice({rules_.sequence({}), rules_.byte(' '), line}));
  rules_.define(string_, string(0, unbounded));
  const PartId any = anything();
  rules_.define(anything_,
                rules_.choice({object(list(member(key_other_than({}), any), 1, unbounded), true),
                               array(list(any, 1, unbounded), true), string(), number(rules_, {}, {}),
                               word("true"), word("false"), word("null")}));
}

PartId JsonText::word(std::string_view json) {
  if (notation_ == Notation::json || notation_ == Notation::gemma) return rules_.literal(json);
  return rules_.literal(json == "true" ? "True" : json == "false" ? "False" : "None");
}

PartId JsonText::quoted(PartId characters) {
  const PartId quote = notation_ == Notation::gemma ? rules_.literal(gemma_quote) : rules_.byte('"');
  return rules_.sequence({quote, characters, quote});
}

PartId JsonText::string(std::int32_t least, std::int32_t most) {
  if (notation_ != Notation::gemma) return quoted(rules_.repeat(any_json_character(rules_), least, most));
  if (least == 0 && most == unbounded)
    return rules_.sequence({rules_.literal(gemma_quote), text_until(rules_, gemma_quote)});
  return quoted(rules_.repeat(character_(rules_, CodePoints::all()), least, most));
}

std::string JsonText::spelled(const std::string& text) const {
  if (notation_ == Notation::gemma) return text;
  const std::string quoted = Json(text).dump();
  return quoted.substr(1, quoted.size() - 2);
}

PartId JsonText::exactly(const Json& value) {
  if (value.is_string()) return quoted(rules_.literal(spelled(value.get<std::string>())));
  if (value.is_boolean() || value.is_null()) return word(value.dump());
  if (!value.is_structured()) return rules_.literal(value.dump());
  std::vector<PartId> parts;
  for (const auto& [name, item] : value.items()) {
    const PartId part = value.is_array() ? exactly(item) : member(key(name), exactly(item));
    parts.push_back(parts.empty() ? part : after_comma(part));
  }
  const bool empty = parts.empty();
  const PartId inside = empty ? rules_.choice({}) : rules_.sequence(std::move(parts));
  return value.is_array() ? array(inside, empty) : object(inside, empty);
}

PartId JsonText::key(const std::string& name) {
  return bare_keys() ? rules_.literal(name) : rules_.literal(Json(name).dump());
}

PartId JsonText::member(PartId key, PartId value) {
  if (notation_ == Notation::keywords) return rules_.sequence({key, rules_.byte('='), value});
  if (notation_ == Notation::gemma) return rules_.sequence({key, rules_.byte(':'), value});
  return rules_.sequence({key, rules_.byte(':'), rules_.optional(rules_.byte(' ')), value});
}

PartId JsonText::around(char open, PartId inside, char close, bool may_be_empty) {
  const PartId some = rules_.sequence({inside, space()});
  return rules_.sequence(
      {rules_.byte(open), space(), may_be_empty ? rules_.optional(some) : some, rules_.byte(close)});
}
PartId JsonText::object(PartId members, bool may_be_empty) {
  return notation_ == Notation::keywords ? around('(', members, ')', may_be_empty)
                                         : around('{', members, '}', may_be_empty);
}
PartId JsonText::array(PartId items, bool may_be_empty) {
  return around('[', items, ']', may_be_empty);
}

PartId JsonText::list(PartId part, std::int32_t least, std::int32_t most) {
  return rules_.sequence({part, rules_.repeat(after_comma(part), std::max(0, least - 1),
                                              most == unbounded ? unbounded : most - 1)});
}

PartId JsonText::key_other_than(const std::vector<std::string>& names) {
  if (names.empty() && !bare_keys()) return string();
  for (const std::string& name : names)
    if (name.size() > longest_key)
      fail("a property's name of {} bytes beside additional properties: expected at most {}", name.size(),
           longest_key);
  const CodePoints& characters = key_characters(bare_keys());
  std::vector<std::string_view> taken(names.begin(), names.end());
  if (bare_keys()) taken.emplace_back();
  const PartId other = none_of(rules_, characters, taken);
  return bare_keys() ? other : quoted(other);
}

}  // namespace rf::grammar
