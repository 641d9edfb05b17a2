#include "chat/grammar/json_schema.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <set>

#include "base/error.h"
#include "chat/grammar/code_points.h"
#include "chat/grammar/json_format.h"
#include "chat/grammar/json_number.h"
#include "chat/grammar/json_text.h"
#include "chat/grammar/regex.h"
#include "chat/grammar/schema_branches.h"

namespace rf::grammar {
namespace {

constexpr std::size_t longest = 4u << 20;  // bytes
constexpr int deepest = 200;               // values in each other
constexpr std::int32_t most_counted = 1'000'000;

const std::set<std::string> object_keys = {"properties", "required", "additionalProperties", "minProperties",
                                           "maxProperties"};
const std::set<std::string> array_keys = {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"};
const std::set<std::string> string_keys = {"minLength", "maxLength", "pattern", "format"};
const std::set<std::string> number_keys = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
                                           "multipleOf"};
const std::set<std::string> unsupported = {"not",
                                           "if",
                                           "then",
                                           "else",
                                           "dependentRequired",
                                           "dependencies",
                                           "dependentSchemas",
                                           "contains",
                                           "minContains",
                                           "maxContains",
                                           "propertyNames",
                                           "unevaluatedProperties",
                                           "$dynamicRef",
                                           "$recursiveRef",
                                           "unevaluatedItems",
                                           "patternProperties"};

bool has_any(const Json& schema, const std::set<std::string>& keys) {
  return std::ranges::any_of(keys, [&](const std::string& key) { return schema.contains(key); });
}

class SchemaWriter {
 public:
  SchemaWriter(Rules& rules, const Json& root) : rules_(rules), text_(rules), root_(root), branches_(root) {}

  PartId write() {
    const PartId whole = value({root_, "#"});
    while (!due_.empty()) {
      const auto [rule, schema] = std::move(due_.front());
      due_.pop_front();
      rules_.define(rule, body(schema));
    }
    return whole;
  }

 private:
  PartId value(const Schema& schema);
  PartId body(const Schema& schema);
  PartId branch(const Schema& schema);
  std::set<std::string> types(const Schema& schema) const;
  PartId of_type(const std::string& type, const Schema& schema);
  PartId enumerated(const Schema& schema);
  PartId object(const Schema& schema);
  PartId members(const Schema& schema, const std::vector<std::string>& names,
                 const std::set<std::string>& required, const Json& others);
  PartId array(const Schema& schema);
  PartId string(const Schema& schema);
  PartId numeric(const Schema& schema, bool whole);

  [[noreturn]] static void wrong(const Schema& schema, const std::string& key, const std::string& what) {
    fail("JSON schema, {}: {}", step(schema.path, key), what);
  }
  static std::int32_t count(const Schema& schema, const std::string& key, std::int32_t fallback);
  static std::optional<NumberBound> bound(const Schema& schema, const std::string& open,
                                          const std::string& closed, bool largest);

  Rules& rules_;
  JsonText text_;
  const Json& root_;
  SchemaBranches branches_;
  std::map<std::string, RuleId> written_;  // by the schema's text
  std::deque<std::pair<RuleId, Schema>> due_;
};

// Equal schemas share a rule, so that a schema may contain itself.
PartId SchemaWriter::value(const Schema& schema) {
  if (schema.json == Json(true) || (schema.json.is_object() && schema.json.empty())) return text_.anything();
  if (schema.json.is_object() && schema.json.size() == 1 && schema.json.contains("$ref") &&
      schema.json["$ref"].is_string()) {
    const Schema target = branches_.target(schema.json["$ref"].get<std::string>(), step(schema.path, "$ref"));
    if (!target.json.is_object() || !target.json.contains("$ref")) return value(target);
  }
  const auto [at, added] = written_.try_emplace(schema.json.dump(), -1);
  if (added) {
    at->second = rules_.add_rule(schema.path, true);
    due_.emplace_back(at->second, schema);
  }
  return rules_.call(at->second);
}

PartId SchemaWriter::body(const Schema& schema) {
  if (schema.json.is_object())
    for (const char* key : {"anyOf", "oneOf"}) {
      // Alternatives and nothing else: each can have a rule of its own.
      if (!schema.json.contains(key) || !schema.json[key].is_array() || schema.json.size() != 1) continue;
      branches_.of(schema);
      std::vector<PartId> parts;
      for (std::size_t i = 0; i < schema.json[key].size(); ++i)
        parts.push_back(value({schema.json[key][i], step(step(schema.path, key), std::to_string(i))}));
      return rules_.choice(std::move(parts));
    }
  std::vector<PartId> parts;
  for (const Schema& each : branches_.of(schema)) parts.push_back(branch(each));
  return rules_.choice(std::move(parts));
}

PartId SchemaWriter::branch(const Schema& schema) {
  for (const std::string& key : unsupported)
    if (schema.json.contains(key)) wrong(schema, key, fmt::format("\"{}\" is not supported", key));
  if (schema.json.contains("enum")) return enumerated(schema);
  const std::set<std::string> allowed = types(schema);
  const bool plain = !has_any(schema.json, object_keys) && !has_any(schema.json, array_keys) &&
                     !has_any(schema.json, string_keys) && !has_any(schema.json, number_keys);
  if (plain && allowed.size() == 6) return text_.anything();
  std::vector<PartId> parts;
  for (const std::string& type : allowed) parts.push_back(of_type(type, schema));
  return rules_.choice(std::move(parts));
}

// Where no type is asked for, those that the keywords are about.
std::set<std::string> SchemaWriter::types(const Schema& schema) const {
  static const std::set<std::string> all = {"array", "boolean", "null", "number", "object", "string"};
  std::set<std::string> allowed;
  if (schema.json.contains("type")) {
    const Json& type = schema.json["type"];
    for (const Json& each : type.is_array() ? type : Json::array({type})) {
      if (!each.is_string() || (!all.contains(each.get<std::string>()) && each != "integer"))
        wrong(schema, "type",
              fmt::format("expected object, array, string, number, integer, boolean or null, found {}",
                          each.dump()));
      allowed.insert(each.get<std::string>());
    }
    if (allowed.contains("number")) allowed.erase("integer");
    return allowed;
  }
  if (has_any(schema.json, object_keys)) allowed.insert("object");
  if (has_any(schema.json, array_keys)) allowed.insert("array");
  if (has_any(schema.json, string_keys)) allowed.insert("string");
  if (has_any(schema.json, number_keys)) allowed.insert("number");
  return allowed.empty() ? all : allowed;
}

PartId SchemaWriter::of_type(const std::string& type, const Schema& schema) {
  if (type == "object") return object(schema);
  if (type == "array") return array(schema);
  if (type == "string") return string(schema);
  if (type == "boolean") return rules_.choice({rules_.literal("true"), rules_.literal("false")});
  if (type == "null") return rules_.literal("null");
  return numeric(schema, type == "integer");
}

PartId SchemaWriter::enumerated(const Schema& schema) {
  const Json& values = schema.json["enum"];
  if (!values.is_array()) wrong(schema, "enum", "expected a list of values");
  for (const auto* keys : {&object_keys, &array_keys, &string_keys, &number_keys})
    for (const std::string& key : *keys)
      if (schema.json.contains(key) && key != "format")
        wrong(schema, key, fmt::format("\"{}\" beside \"enum\" or \"const\" is not supported", key));
  const std::set<std::string> allowed =
      schema.json.contains("type") ? types(schema) : std::set<std::string>();
  std::vector<PartId> parts;
  for (const Json& value : values) {
    const bool whole = value.is_number_integer() ||
                       (value.is_number_float() && std::floor(value.get<double>()) == value.get<double>());
    const bool fits =
        allowed.empty() || allowed.contains(value.type_name()) || (whole && allowed.contains("integer"));
    if (fits) parts.push_back(text_.exactly(value));
  }
  if (parts.empty()) wrong(schema, "enum", "none of its values has the type asked for");
  return rules_.choice(std::move(parts));
}

PartId SchemaWriter::object(const Schema& schema) {
  const Json& json = schema.json;
  std::vector<std::string> names;
  if (json.contains("properties")) {
    if (!json["properties"].is_object()) wrong(schema, "properties", "expected an object");
    for (const auto& [name, unused] : json["properties"].items()) names.push_back(name);
  }
  const bool none_declared = names.empty() && !json.contains("properties");
  std::set<std::string> required;
  if (json.contains("required")) {
    if (!json["required"].is_array()) wrong(schema, "required", "expected a list of names");
    for (const Json& name : json["required"]) {
      if (!name.is_string()) wrong(schema, "required", "expected a list of names");
      if (required.insert(name.get<std::string>()).second &&
          std::ranges::find(names, name.get<std::string>()) == names.end())
        names.push_back(name.get<std::string>());
    }
  }
  const Json others = json.value("additionalProperties", Json(none_declared));
  const bool closed = others == Json(false);
  const std::int32_t least = count(schema, "minProperties", 0),
                     most = count(schema, "maxProperties", unbounded);
  if (least > static_cast<std::int32_t>(required.size()) && (least > 1 || !names.empty()))
    wrong(schema, "minProperties", "is supported up to the number of required properties");
  if (most != unbounded && (!closed || most < static_cast<std::int32_t>(names.size())))
    wrong(schema, "maxProperties", "is supported where it follows from the properties");
  const bool may_be_empty = required.empty() && least == 0;
  return text_.object(members(schema, names, required, others), may_be_empty);
}

// Members come in the order of `names`, those that are not required may be left out, others come last. A rule
// for each place holds what may come after a member and before that place.
PartId SchemaWriter::members(const Schema& schema, const std::vector<std::string>& names,
                             const std::set<std::string>& required, const Json& others) {
  PartId first = rules_.choice({}), rest = rules_.sequence({});
  if (others != Json(false)) {
    const PartId other =
        text_.member(text_.key_other_than(names), value({others, step(schema.path, "additionalProperties")}));
    first = text_.list(other, 1, unbounded);
    rest = rules_.repeat(text_.after_comma(other), 0, unbounded);
  }
  const auto as_rule = [&](PartId part, const std::string& name) {
    const RuleId rule = rules_.add_rule(name, true);
    rules_.define(rule, part);
    return rules_.call(rule);
  };
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    const std::string path = step(step(schema.path, "properties"), *name);
    const bool declared = schema.json.contains("properties") && schema.json["properties"].contains(*name);
    const Json its =
        declared ? schema.json["properties"][*name] : schema.json.value("additionalProperties", Json(true));
    const bool needed = required.contains(*name);
    if (its == Json(false) && !needed) continue;
    const PartId member = text_.member(rules_.literal(Json(*name).dump()), value({its, path}));
    const PartId with = rules_.sequence({member, rest});
    first = needed ? with : rules_.choice({with, first});
    const PartId comma = rules_.sequence({text_.after_comma(member), rest});
    rest = as_rule(needed ? comma : rules_.choice({comma, rest}), path + " and on");
    if (!needed) first = as_rule(first, path + " first");
  }
  return first;
}

PartId SchemaWriter::array(const Schema& schema) {
  const Json& json = schema.json;
  std::int32_t least = count(schema, "minItems", 0), most = count(schema, "maxItems", unbounded);
  Json prefix = json.value("prefixItems", Json::array());
  if (!prefix.is_array()) wrong(schema, "prefixItems", "expected a list of schemas");
  if (json.contains("items") && json["items"].is_array())
    wrong(schema, "items", "expected a schema; lists are called prefixItems");
  const Json items = json.value("items", Json(true));
  const auto fixed = static_cast<std::int32_t>(prefix.size());
  if (items == Json(false)) most = most == unbounded ? fixed : std::min(most, fixed);
  if (most != unbounded && most < least) return rules_.choice({});
  if (json.value("uniqueItems", Json(false)) == Json(true) && (most == unbounded || most > 1))
    wrong(schema, "uniqueItems", "is supported where maxItems is 1");
  if (most == 0) return text_.array(rules_.choice({}), true);
  // Backwards from the items after the prefix.
  const std::int32_t listed = most == unbounded ? fixed : std::min(fixed, most);
  PartId rest = rules_.sequence({}), first = -1;
  if (most == unbounded || most > fixed) {
    const PartId item = value({items, step(schema.path, "items")});
    first = text_.list(item, std::max(1, least), most);
    rest = rules_.repeat(text_.after_comma(item), std::max(0, least - fixed),
                         most == unbounded ? unbounded : most - fixed);
  }
  for (std::int32_t i = listed - 1; i >= 0; --i) {
    const auto index = static_cast<std::size_t>(i);
    const PartId item = value({prefix[index], step(step(schema.path, "prefixItems"), std::to_string(i))});
    first = rules_.sequence({item, rest});
    rest = rules_.sequence({text_.after_comma(item), rest});
    if (i >= least) rest = rules_.optional(rest);
  }
  return text_.array(first, least == 0);
}

PartId SchemaWriter::string(const Schema& schema) {
  const Json& json = schema.json;
  const std::int32_t least = count(schema, "minLength", 0), most = count(schema, "maxLength", unbounded);
  const bool bounded = least > 0 || most != unbounded;
  for (const char* key : {"pattern", "format"})
    if (json.contains(key) && !json[key].is_string()) wrong(schema, key, "expected a text");
  std::string pattern = json.value("pattern", "");
  const bool has_pattern = json.contains("pattern");
  if (has_pattern && bounded) wrong(schema, "pattern", "beside minLength or maxLength is not supported");
  if (!has_pattern && !bounded && json.contains("format"))
    pattern = format_pattern(json["format"].get<std::string>());
  if (pattern.empty()) return bounded ? text_.string(least, most) : text_.string();
  try {
    return rules_.sequence(
        {rules_.byte('"'), parse_regex(rules_, pattern, json_character, has_pattern), rules_.byte('"')});
  } catch (const Error& error) {
    wrong(schema, "pattern", error.what());
  }
}

PartId SchemaWriter::numeric(const Schema& schema, bool whole) {
  const Json& json = schema.json;
  if (json.contains("multipleOf")) {
    if (json["multipleOf"] != Json(1)) wrong(schema, "multipleOf", "is supported where it is 1");
    whole = true;
  }
  const auto least = bound(schema, "exclusiveMinimum", "minimum", true);
  const auto most = bound(schema, "exclusiveMaximum", "maximum", false);
  return whole ? integer(rules_, least, most) : number(rules_, least, most);
}

std::int32_t SchemaWriter::count(const Schema& schema, const std::string& key, std::int32_t fallback) {
  if (!schema.json.contains(key)) return fallback;
  const Json& value = schema.json[key];
  const double number = value.is_number() ? value.get<double>() : -1;
  if (!(number >= 0 && number <= most_counted && std::floor(number) == number))
    wrong(schema, key, fmt::format("expected a whole number up to {}, found {}", most_counted, value.dump()));
  return static_cast<std::int32_t>(number);
}

// The tighter of the two bounds.
std::optional<NumberBound> SchemaWriter::bound(const Schema& schema, const std::string& open,
                                               const std::string& closed, bool largest) {
  std::optional<NumberBound> tightest;
  for (const std::string& key : {closed, open}) {
    if (!schema.json.contains(key)) continue;
    if (!schema.json[key].is_number())
      wrong(schema, key, "expected a number, found " + schema.json[key].dump());
    const double value = schema.json[key].get<double>();
    const bool tighter = !tightest || (largest ? value >= tightest->value : value <= tightest->value);
    if (tighter) tightest = {value, key == open};
  }
  return tightest;
}

Json parse_limited(std::string_view text) {
  if (text.size() > longest) fail("JSON schema: expected at most {} bytes, found {}", longest, text.size());
  try {
    return Json::parse(text, [](int depth, Json::parse_event_t, Json&) {
      if (depth > deepest) fail("JSON schema: expected at most {} values in each other", deepest);
      return true;
    });
  } catch (const nlohmann::json::exception& error) {
    fail("JSON schema: expected JSON: {}", error.what());
  }
}

}  // namespace

PartId add_json_schema(Rules& rules, std::string_view text) {
  const Json schema = parse_limited(text);
  return SchemaWriter(rules, schema).write();
}

Rules parse_json_schema(std::string_view text) {
  Rules rules;
  rules.root = rules.add_rule("root", true);
  rules.define(rules.root, add_json_schema(rules, text));
  return rules;
}

}  // namespace rf::grammar
