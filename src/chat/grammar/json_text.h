// JsonText: the parts that JSON texts are made of, in the layout that constrained output has.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "chat/grammar/rules.h"

namespace rf::grammar {

using Json = nlohmann::ordered_json;

// Between brackets, commas and members there is nothing, a space, or a line's end with an indentation of at
// most 40; after a colon nothing or a space; nowhere else anything. So white space cannot go on for ever.
class JsonText {
 public:
  explicit JsonText(Rules& rules);

  PartId space() { return rules_.call(space_); }
  PartId exactly(const Json& value);                     // in any layout
  PartId string() { return rules_.call(string_); }       // any
  PartId string(std::int32_t least, std::int32_t most);  // of so many characters
  PartId anything() { return rules_.call(anything_); }
  PartId member(PartId key, PartId value);           // "key": value
  PartId object(PartId members, bool may_be_empty);  // members: at least one
  PartId array(PartId items, bool may_be_empty);     // items: at least one
  PartId after_comma(PartId part) { return rules_.sequence({rules_.byte(','), space(), part}); }
  PartId list(PartId part, std::int32_t least, std::int32_t most);  // at least 1, with commas
  PartId key_other_than(const std::vector<std::string>& names);     // a member's key, written without escapes

 private:
  PartId around(char open, PartId inside, char close, bool may_be_empty);

  Rules& rules_;
  RuleId space_, string_, anything_;
};

}  // namespace rf::grammar
