// SchemaWriter: writes the rules for the values that a JSON schema allows.
#pragma once
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "chat/grammar/json_number.h"
#include "chat/grammar/json_text.h"
#include "chat/grammar/schema_branches.h"
#include "chat/grammar/schema_text.h"

namespace rf::grammar {

class SchemaWriter {
 public:
  SchemaWriter(Rules& rules, const Json& root, Notation notation)
      : rules_(rules), text_(rules, notation), root_(root), branches_(root) {}

  PartId write();
  // The root, an object, as the arguments of a call: (key=value, ...).
  PartId write_arguments();

 private:
  // Members that are not declared by name: what their keys are, and their values.
  struct Others {
    std::vector<PartId> members;
    bool open = false;  // there may be some
  };
  struct Members {
    std::vector<std::string> names;
    std::set<std::string> required;
    Others others;
    std::int32_t least, most;  // in all
  };

  PartId finish(PartId whole);
  PartId value(const Schema& schema);
  PartId body(const Schema& schema);
  PartId branch(const Schema& schema, bool alone);
  std::set<std::string> types(const Schema& schema) const;
  PartId of_type(const std::string& type, const Schema& schema);
  PartId enumerated(const Schema& schema, bool alone);
  bool allows(const Schema& schema, const Json& value) const;
  PartId word(const Schema& schema, const Json& value);
  PartId string(const Schema& schema);
  PartId numeric(const Schema& schema, bool whole);

  PartId array(const Schema& schema);
  PartId containing(const Schema& schema, PartId item, std::int32_t least, std::int32_t most);
  PartId distinct(const Schema& schema, std::int32_t least, std::int32_t most);
  std::vector<Json> few_values(const Schema& schema);

  PartId object(const Schema& schema, JsonText& text);
  Members members_of(const Schema& schema, JsonText& text);
  Others others_of(const Schema& schema, const std::vector<std::string>& names, JsonText& text);
  bool may_be_named(const Schema& schema, const std::string& name);
  PartId declared(const Schema& schema, const std::string& name, bool& never);
  PartId members(const Schema& schema, const Members& members, JsonText& text);
  PartId counted(const Schema& schema, const Members& members, JsonText& text);
  PartId as_rule(PartId part, const std::string& name);

  [[noreturn]] static void wrong(const Schema& schema, const std::string& key, const std::string& what);
  static std::optional<NumberBound> bound(const Schema& schema, const std::string& open,
                                          const std::string& closed, bool largest);

  Rules& rules_;
  JsonText text_;
  const Json& root_;
  SchemaBranches branches_;
  std::map<std::string, RuleId> written_;  // by the schema's text
  std::deque<std::pair<RuleId, Schema>> due_;
};

}  // namespace rf::grammar
