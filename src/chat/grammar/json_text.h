// JsonText: the parts that JSON texts, and values in the notations of some dialects of tool calls, are made
// of, in the layout that constrained output has.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "chat/grammar/code_points.h"
#include "chat/grammar/rules.h"

namespace rf::grammar {

using Json = nlohmann::ordered_json;

enum class Notation : std::uint8_t {
  json,
  python,    // True, False and None; the rest as JSON
  keywords,  // an object as the arguments of a call in Python: (key=value, ...)
  gemma,     // {key:value}, texts between <|"|>, no white space
};

// Between brackets, commas and members there is nothing, a space, or a line's end and an indentation of at
// most 40; after a colon nothing or a space; nowhere else anything. So white space cannot go on for ever.
class JsonText {
 public:
  JsonText(Rules& rules, Notation notation);

  PartId space() { return rules_.call(space_); }
  PartId exactly(const Json& value);                     // in any layout
  PartId word(std::string_view json);                    // true, false or null
  PartId string() { return rules_.call(string_); }       // any
  PartId string(std::int32_t least, std::int32_t most);  // of so many characters
  PartId quoted(PartId characters);                      // written by character()
  PartId anything() { return rules_.call(anything_); }
  PartId member(PartId key, PartId value);  // "key": value
  PartId key(const std::string& name);
  PartId object(PartId members, bool may_be_empty);  // members: at least one
  PartId array(PartId items, bool may_be_empty);     // items: at least one
  PartId after_comma(PartId part) { return rules_.sequence({rules_.byte(','), space(), part}); }
  PartId list(PartId part, std::int32_t least, std::int32_t most);  // at least 1, with commas
  PartId key_other_than(const std::vector<std::string>& names);     // a member's key, written without escapes

  // How a text's characters are written, each in one way.
  const CharacterWriter& character() const { return character_; }
  // A text as character() writes it.
  std::string spelled(const std::string& text) const;
  bool bare_keys() const { return notation_ == Notation::gemma || notation_ == Notation::keywords; }

 private:
  PartId around(char open, PartId inside, char close, bool may_be_empty);

  Rules& rules_;
  const Notation notation_;
  CharacterWriter character_;
  RuleId space_, string_, anything_;
};

}  // namespace rf::grammar
