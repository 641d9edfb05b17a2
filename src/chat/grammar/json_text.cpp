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

const CodePoints& unescaped() {
  static const CodePoints points = CodePoints{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}.complement();
  return points;
}

// Texts of unescaped characters that go on after a beginning that all of `rests` share, and are none of them.
PartId none_of(Rules& rules, const std::vector<std::string_view>& rests) {
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
  const PartId any = rules.repeat(utf8_character(rules, unescaped()), 0, unbounded);
  std::vector<PartId> parts{rules.sequence({utf8_character(rules, unescaped().without(taken)), any})};
  if (!ended) parts.push_back(rules.sequence({}));
  for (const auto& [c, others] : by_first)
    if (unescaped().contains(c))
      parts.push_back(rules.sequence({utf8_character(rules, CodePoints{{c, c}}), none_of(rules, others)}));
  return rules.choice(std::move(parts));
}

}  // namespace

JsonText::JsonText(Rules& rules)
    : rules_(rules),
      space_(rules.add_rule("space", true)),
      string_(rules.add_rule("string", true)),
      anything_(rules.add_rule("anything", true)) {
  ByteSet blank;
  blank.set(' ').set('\t');
  rules_.define(
      space_, rules_.choice({rules_.sequence({}), rules_.byte(' '),
                             rules_.sequence({rules_.byte('\n'),
                                              rules_.repeat(rules_.bytes(blank), 0, deepest_indentation)})}));
  rules_.define(string_, string(0, unbounded));
  const PartId any = anything();
  rules_.define(anything_,
                rules_.choice({object(list(member(string(), any), 1, unbounded), true),
                               array(list(any, 1, unbounded), true), string(), number(rules_, {}, {}),
                               rules_.literal("true"), rules_.literal("false"), rules_.literal("null")}));
}

PartId JsonText::string(std::int32_t least, std::int32_t most) {
  return rules_.sequence(
      {rules_.byte('"'), rules_.repeat(any_json_character(rules_), least, most), rules_.byte('"')});
}

PartId JsonText::exactly(const Json& value) {
  if (!value.is_structured()) return rules_.literal(value.dump());
  std::vector<PartId> parts;
  for (const auto& [key, item] : value.items()) {
    const PartId part =
        value.is_array() ? exactly(item) : member(rules_.literal(Json(key).dump()), exactly(item));
    parts.push_back(parts.empty() ? part : after_comma(part));
  }
  const bool empty = parts.empty();
  const PartId inside = empty ? rules_.choice({}) : rules_.sequence(std::move(parts));
  return value.is_array() ? array(inside, empty) : object(inside, empty);
}

PartId JsonText::member(PartId key, PartId value) {
  return rules_.sequence({key, rules_.byte(':'), rules_.optional(rules_.byte(' ')), value});
}

PartId JsonText::around(char open, PartId inside, char close, bool may_be_empty) {
  const PartId some = rules_.sequence({inside, space()});
  return rules_.sequence(
      {rules_.byte(open), space(), may_be_empty ? rules_.optional(some) : some, rules_.byte(close)});
}
PartId JsonText::object(PartId members, bool may_be_empty) {
  return around('{', members, '}', may_be_empty);
}
PartId JsonText::array(PartId items, bool may_be_empty) {
  return around('[', items, ']', may_be_empty);
}

PartId JsonText::list(PartId part, std::int32_t least, std::int32_t most) {
  return rules_.sequence({part, rules_.repeat(after_comma(part), std::max(0, least - 1),
                                              most == unbounded ? unbounded : most - 1)});
}

PartId JsonText::key_other_than(const std::vector<std::string>& names) {
  if (names.empty()) return string();
  for (const std::string& name : names)
    if (name.size() > longest_key)
      fail("a property's name of {} bytes beside additional properties: expected at most {}", name.size(),
           longest_key);
  return rules_.sequence({rules_.byte('"'),
                          none_of(rules_, std::vector<std::string_view>(names.begin(), names.end())),
                          rules_.byte('"')});
}

}  // namespace rf::grammar
