#include "chat/grammar/schema_logic.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"

namespace rf::grammar {
namespace {

bool lists(const Json& schema, const std::string& key, const Json& value) {
  return schema.contains(key) && std::ranges::find(schema[key], value) != schema[key].end();
}

bool requires_key(const Json& schema, const std::string& key) {
  return lists(schema, "required", Json(key));
}

bool is_whole(const Json& value) {
  return value.is_number() && std::floor(value.get<double>()) == value.get<double>();
}

Json other_types(const Json& types, const std::string& path) {
  Json others = Json::array();
  for (const char* type : {"object", "array", "string", "number", "boolean", "null"}) {
    const bool listed = std::ranges::find(types, Json(type)) != types.end();
    if (!listed) others.push_back(type);
  }
  if (std::ranges::find(types, Json("integer")) != types.end() &&
      std::ranges::find(others, Json("number")) != others.end())
    fail("JSON schema, {}: numbers that are not whole cannot be asked for", path);
  return others;
}

// A keyword with a number turned round: under its bound instead of at or above it.
Json other_side(const std::string& key, const Json& value) {
  if (key == "minimum") return {{"exclusiveMaximum", value}};
  if (key == "maximum") return {{"exclusiveMinimum", value}};
  if (key == "exclusiveMinimum") return {{"maximum", value}};
  if (key == "exclusiveMaximum") return {{"minimum", value}};
  if (!is_whole(value)) return {};
  const auto number = value.get<std::int64_t>();
  const std::string what = key.substr(3);
  if (what != "Length" && what != "Items" && what != "Properties") return {};
  if (key.starts_with("max")) return {{"min" + what, number + 1}};
  return number == 0 ? Json(false) : Json{{"max" + what, number - 1}};
}

const std::set<std::string>& silent() {
  static const std::set<std::string> keys = {"title",    "description", "default",    "examples", "$comment",
                                             "readOnly", "writeOnly",   "deprecated", "$schema",  "$id",
                                             "$defs",    "definitions", "$anchor"};
  return keys;
}

Json negated_keyword(const std::string& key, const Schema& schema, const SchemaBranches& branches,
                     int depth) {
  const Json& value = schema.json[key];
  const std::string path = step(schema.path, key);
  const auto each = [&](const char* together) {
    Json parts = Json::array();
    for (const Json& part : value) parts.push_back(negated({part, path}, branches, depth + 1));
    return Json{{together, parts}};
  };
  if (key == "const" || key == "enum") {
    const Json values = key == "const" ? Json::array({value}) : value;
    for (const Json& v : values)
      if (v.is_structured())
        fail("JSON schema, {}: \"not\" is supported for texts, numbers, true, false and null", path);
    return {{excluded_key, values}};
  }
  if (key == "type") return {{"type", other_types(list_of(value), path)}};
  if (key == "not") return value;
  if (key == "allOf" && value.is_array()) return each("anyOf");
  if (key == "anyOf" && value.is_array()) return each("allOf");
  if (key == "$ref" && value.is_string())
    return negated(branches.target(value.get<std::string>(), path), branches, depth + 1);
  Json any = Json::array();
  if (key == "required" && value.is_array()) {
    for (const Json& name : value)
      if (name.is_string())
        any.push_back({{"type", "object"}, {"properties", {{name.get<std::string>(), false}}}});
    return {{"anyOf", any}};
  }
  if (key == "properties" && value.is_object()) {
    for (const auto& [name, its] : value.items())
      any.push_back({{"type", "object"},
                     {"required", Json::array({name})},
                     {"properties", {{name, negated({its, step(path, name)}, branches, depth + 1)}}}});
    return {{"anyOf", any}};
  }
  const Json other = other_side(key, value);
  if (other.is_null()) fail("JSON schema, {}: \"{}\" within \"not\" or \"if\" is not supported", path, key);
  return other;
}

// Bounds that leave no number between them.
bool apart(const Json& low, const Json& high) {
  for (const char* most : {"maximum", "exclusiveMaximum"})
    for (const char* least : {"minimum", "exclusiveMinimum"}) {
      if (!low.contains(most) || !high.contains(least) || !low[most].is_number() || !high[least].is_number())
        continue;
      const double a = low[most].get<double>(), b = high[least].get<double>();
      const bool open = most[0] == 'e' || least[0] == 'e';
      if (a < b || (open && a == b)) return true;
    }
  return false;
}

bool types_apart(const Json& a, const Json& b) {
  if (!a.contains("type") || !b.contains("type")) return false;
  const auto general = [](const Json& type) { return type == "integer" ? Json("number") : type; };
  for (const Json& x : list_of(a["type"]))
    for (const Json& y : list_of(b["type"]))
      if (general(x) == general(y)) return false;
  return true;
}

bool only_numbers(const Json& schema) {
  return schema.contains("type") && std::ranges::all_of(list_of(schema["type"]), [](const Json& type) {
           return type == "integer" || type == "number";
         });
}

Json values_of(const Json& schema) {
  if (!schema.is_object()) return {};
  return schema.contains("const") ? Json::array({schema["const"]}) : schema.value("enum", Json());
}

bool no_common_value(const Json& a, const Json& b) {
  return a.is_array() && b.is_array() &&
         std::ranges::none_of(a, [&](const Json& v) { return std::ranges::find(b, v) != b.end(); });
}

bool disjoint(const Json& a, const Json& b) {
  if (types_apart(a, b) || no_common_value(values_of(a), values_of(b))) return true;
  if (only_numbers(a) && only_numbers(b) && (apart(a, b) || apart(b, a))) return true;
  if (!a.contains("properties") || !b.contains("properties")) return false;
  for (const auto& [key, schema] : a["properties"].items()) {
    if (!requires_key(a, key) || !requires_key(b, key) || !b["properties"].contains(key)) continue;
    if (no_common_value(values_of(schema), values_of(b["properties"][key]))) return true;
  }
  return false;
}

// Makes all that `written` allows wrong for `other`: without a member that `other` needs, or with one that it
// forbids.
bool spoil(Json& written, const Json& other) {
  if (other.value("additionalProperties", Json(true)) == Json(false) && written.contains("required"))
    for (const Json& key : written["required"])
      if (!other.contains("properties") || !other["properties"].contains(key.get<std::string>())) return true;
  if (!other.contains("required")) return false;
  for (const Json& key : other["required"]) {
    const auto name = key.get<std::string>();
    if (requires_key(written, name)) continue;
    written["properties"][name] = false;
    return true;
  }
  return false;
}

bool is_object_schema(const Json& schema) {
  return schema.contains("properties") || schema.contains("required") ||
         schema.value("type", Json()) == Json("object");
}

}  // namespace

Json negated(const Schema& schema, const SchemaBranches& branches, int depth) {
  constexpr int deepest = 50;
  if (depth > deepest) fail("JSON schema, {}: \"not\" goes on for more than {} levels", schema.path, deepest);
  if (schema.json.is_boolean()) return !schema.json.get<bool>();
  if (!schema.json.is_object()) fail("JSON schema, {}: expected an object or a boolean", schema.path);
  Json any = Json::array();
  for (const auto& [key, value] : schema.json.items())
    if (!silent().contains(key)) any.push_back(negated_keyword(key, schema, branches, depth));
  return any.empty() ? Json(false) : any.size() == 1 ? any[0] : Json{{"anyOf", any}};
}

std::vector<Schema> conditions(const Schema& schema, const SchemaBranches& branches) {
  const auto& [json, path] = schema;
  std::vector<Schema> all;
  if (json.contains("not"))
    all.push_back({negated({json["not"], step(path, "not")}, branches), step(path, "not")});
  if (json.contains("if") && (json.contains("then") || json.contains("else"))) {
    const Json otherwise = negated({json["if"], step(path, "if")}, branches);
    all.push_back({{{"anyOf", Json::array({all_of(json["if"], json.value("then", Json(true))),
                                           all_of(otherwise, json.value("else", Json(true)))})}},
                   step(path, "if")});
  }
  for (const char* word : {"dependentRequired", "dependentSchemas", "dependencies"}) {
    if (!json.contains(word)) continue;
    if (!json[word].is_object()) fail("JSON schema, {}: expected an object", step(path, word));
    for (const auto& [key, then] : json[word].items()) {
      Json with = {{"required", Json::array({key})}};
      if (then.is_array())
        with["required"].insert(with["required"].end(), then.begin(), then.end());
      else
        with = all_of(with, then);
      const Json absent = {{"properties", {{key, false}}}};
      all.push_back({{{"anyOf", Json::array({absent, with})}}, step(step(path, word), key)});
    }
  }
  return all;
}

bool keep_apart(Json& a, Json& b) {
  if (disjoint(a, b)) return true;
  if (!is_object_schema(a) || !is_object_schema(b)) return false;
  Json x = a, y = b;
  if (!spoil(x, b) || !spoil(y, a)) return false;
  a = std::move(x);
  b = std::move(y);
  return true;
}

}  // namespace rf::grammar
