#include "chat/grammar/json_schema.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "chat/grammar/schema_writer.h"

namespace rf::grammar {
namespace {

constexpr std::size_t longest_schema = 4u << 20;  // bytes
constexpr int deepest_schema = 200;               // values in each other

const std::set<std::string> object_keys = {"properties",        "required",      "additionalProperties",
                                           "patternProperties", "minProperties", "maxProperties",
                                           "propertyNames"};
const std::set<std::string> array_keys = {"items",       "prefixItems", "minItems",    "maxItems",
                                          "uniqueItems", "contains",    "minContains", "maxContains"};
const std::set<std::string> string_keys = {"minLength", "maxLength", "pattern", "format"};
const std::set<std::string> number_keys = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
                                           "multipleOf"};
const std::set<std::string> unsupported = {"$dynamicRef", "$recursiveRef", "unevaluatedItems"};

bool has_any(const Json& schema, const std::set<std::string>& keys) {
  return std::ranges::any_of(keys, [&](const std::string& key) { return schema.contains(key); });
}

}  // namespace

void SchemaWriter::wrong(const Schema& schema, const std::string& key, const std::string& what) {
  fail("JSON schema, {}: {}", step(schema.path, key), what);
}

PartId SchemaWriter::finish(PartId whole) {
  while (!due_.empty()) {
    const auto [rule, schema] = std::move(due_.front());
    due_.pop_front();
    rules_.define(rule, body(schema));
  }
  return whole;
}

PartId SchemaWriter::write() {
  return finish(value({root_, "#"}));
}

PartId SchemaWriter::write_arguments() {
  JsonText arguments(rules_, Notation::keywords);
  std::vector<PartId> parts;
  for (const Schema& each : branches_.of({root_, "#"})) parts.push_back(object(each, arguments));
  return finish(rules_.choice(std::move(parts)));
}

PartId SchemaWriter::as_rule(PartId part, const std::string& name) {
  const RuleId rule = rules_.add_rule(name, true);
  rules_.define(rule, part);
  return rules_.call(rule);
}

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
  const std::vector<Schema> branches = branches_.of(schema);
  for (const Schema& each : branches) parts.push_back(branch(each, branches.size() == 1));
  return rules_.choice(std::move(parts));
}

// `alone`: there is no other alternative, so that a list without a value that fits is a mistake.
PartId SchemaWriter::branch(const Schema& schema, bool alone) {
  for (const std::string& key : unsupported)
    if (schema.json.contains(key)) wrong(schema, key, fmt::format("\"{}\" is not supported", key));
  if (schema.json.contains("enum")) return enumerated(schema, alone);
  const std::set<std::string> allowed = types(schema);
  const bool plain = !has_any(schema.json, object_keys) && !has_any(schema.json, array_keys) &&
                     !has_any(schema.json, string_keys) && !has_any(schema.json, number_keys) &&
                     !schema.json.contains(excluded_key);
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
  if (type == "object") return object(schema, text_);
  if (type == "array") return array(schema);
  if (type == "string") return string(schema);
  if (type == "boolean") return rules_.choice({word(schema, true), word(schema, false)});
  if (type == "null") return word(schema, nullptr);
  return numeric(schema, type == "integer");
}

// true, false or null, where it is not excluded.
PartId SchemaWriter::word(const Schema& schema, const Json& value) {
  const Json excluded = schema.json.value(excluded_key, Json::array());
  if (std::ranges::find(excluded, value) != excluded.end()) return rules_.choice({});
  return text_.word(value.dump());
}

PartId SchemaWriter::enumerated(const Schema& schema, bool alone) {
  const Json& values = schema.json["enum"];
  std::vector<PartId> parts;
  for (const Json& value : values)
    if (allows(schema, value)) parts.push_back(text_.exactly(value));
  if (alone && parts.empty() && !values.empty())
    wrong(schema, "enum", "none of its values is what the schema asks for besides");
  return rules_.choice(std::move(parts));
}

// Whether a value of an enumeration is what the keywords beside it ask for.
bool SchemaWriter::allows(const Schema& schema, const Json& value) const {
  const Json excluded = schema.json.value(excluded_key, Json::array());
  if (std::ranges::find(excluded, value) != excluded.end()) return false;
  if (schema.json.contains("type")) {
    const std::set<std::string> allowed = types(schema);
    const bool whole = value.is_number() && std::floor(value.get<double>()) == value.get<double>();
    if (!allowed.contains(value.type_name()) && !(whole && allowed.contains("integer"))) return false;
  }
  if (value.is_string()) return fits(value.get<std::string>(), text_limits(schema), schema.path);
  if (value.is_number()) {
    const double number = value.get<double>();
    const auto least = bound(schema, "exclusiveMinimum", "minimum", true);
    const auto most = bound(schema, "exclusiveMaximum", "maximum", false);
    if (least && (number < least->value || (least->exclusive && number == least->value))) return false;
    if (most && (number > most->value || (most->exclusive && number == most->value))) return false;
    if (!schema.json.contains("multipleOf")) return true;
    const double quotient = number / schema.json["multipleOf"].get<double>();
    return std::floor(quotient) == quotient;
  }
  for (const std::string& key : value.is_object()  ? object_keys
                                : value.is_array() ? array_keys
                                                   : std::set<std::string>())
    if (schema.json.contains(key))
      wrong(schema, key,
            fmt::format("\"{}\" beside an object or a list in \"enum\" or \"const\" is not supported", key));
  return true;
}

PartId SchemaWriter::string(const Schema& schema) {
  const TextLimits limits = text_limits(schema);
  if (const auto part = characters(rules_, text_, limits, schema.path)) return text_.quoted(*part);
  return limits.any() ? text_.string() : text_.string(limits.least, limits.most);
}

PartId SchemaWriter::numeric(const Schema& schema, bool whole) {
  const Json& json = schema.json;
  const auto least = bound(schema, "exclusiveMinimum", "minimum", true);
  const auto most = bound(schema, "exclusiveMaximum", "maximum", false);
  const Json factor = json.value("multipleOf", Json());
  if (!factor.is_null() && (!factor.is_number() || factor.get<double>() <= 0))
    wrong(schema, "multipleOf", "expected a number above 0, found " + factor.dump());
  whole = whole || factor == Json(1);
  PartId part = whole ? integer(rules_, least, most) : number(rules_, least, most);
  std::vector<PartId> excluded;
  for (const Json& value : json.value(excluded_key, Json::array())) {
    if (!value.is_number()) continue;
    if (!whole) wrong(schema, "not", "numbers that are not meant are supported where all are integers");
    excluded.push_back(
        rules_.literal(value.is_number_float() ? fmt::format("{:.0f}", value.get<double>()) : value.dump()));
  }
  if (!factor.is_null() && factor != Json(1)) {
    try {
      part = rules_.graph(
          common(graph_of(rules_, part), graph_of(rules_, multiples(rules_, factor.get<double>()))));
    } catch (const Error& error) {
      wrong(schema, "multipleOf", error.what());
    }
  }
  if (excluded.empty()) return part;
  return rules_.graph(without(graph_of(rules_, part), graph_of(rules_, rules_.choice(std::move(excluded)))));
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

namespace {

Json parse_limited(std::string_view text) {
  if (text.size() > longest_schema)
    fail("JSON schema: expected at most {} bytes, found {}", longest_schema, text.size());
  try {
    return Json::parse(text, [](int depth, Json::parse_event_t, Json&) {
      if (depth > deepest_schema)
        fail("JSON schema: expected at most {} values in each other", deepest_schema);
      return true;
    });
  } catch (const nlohmann::json::exception& error) {
    fail("JSON schema: expected JSON: {}", error.what());
  }
}

}  // namespace

PartId add_json_schema(Rules& rules, std::string_view text, Notation notation) {
  const Json schema = parse_limited(text);
  if (notation != Notation::keywords) return SchemaWriter(rules, schema, notation).write();
  return SchemaWriter(rules, schema, Notation::python).write_arguments();
}

Rules parse_json_schema(std::string_view text) {
  Rules rules;
  rules.root = rules.add_rule("root", true);
  rules.define(rules.root, add_json_schema(rules, text, Notation::json));
  return rules;
}

}  // namespace rf::grammar
