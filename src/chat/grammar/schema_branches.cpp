#include "chat/grammar/schema_branches.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "base/error.h"
#include "chat/grammar/schema_logic.h"
#include "chat/grammar/schema_text.h"

namespace rf::grammar {
namespace {

// A name that matches a pattern of one is additional to the other, if it is neither declared there nor
// matches.
Json merged_patterns(const Json& a, const Json& b, const std::string& path) {
  Json patterns = Json::object();
  for (const auto& [x, y] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    if (!x->contains("patternProperties")) continue;
    const Json additional = y->value("additionalProperties", Json(true));
    const Json others = y->value("patternProperties", Json::object());
    for (const auto& [pattern, schema] : (*x)["patternProperties"].items()) {
      if (!others.empty() && !others.contains(pattern) && additional != Json(true))
        fail(
            "JSON schema, {}: \"patternProperties\" beside other ones with \"additionalProperties\" is not "
            "supported",
            path);
      patterns[pattern] = all_of(schema, others.contains(pattern) ? others[pattern] : additional);
    }
  }
  return patterns;
}

void merge_properties(Json& into, const Json& a, const Json& b, const std::string& path) {
  Json properties = Json::object();
  for (const Json* from : {&a, &b})
    if (from->contains("properties"))
      for (const auto& [key, unused] : (*from)["properties"].items())
        properties[key] = all_of(property_schema(a, key, path), property_schema(b, key, path));
  if (a.contains("properties") || b.contains("properties")) into["properties"] = std::move(properties);
  if (a.contains("patternProperties") || b.contains("patternProperties"))
    into["patternProperties"] = merged_patterns(a, b, path);
  if (a.contains("additionalProperties") || b.contains("additionalProperties"))
    into["additionalProperties"] =
        all_of(a.value("additionalProperties", Json(true)), b.value("additionalProperties", Json(true)));
}

void merge_items(Json& into, const Json& a, const Json& b) {
  const auto item = [](const Json& schema, std::size_t i) {
    if (schema.contains("prefixItems") && i < schema["prefixItems"].size()) return schema["prefixItems"][i];
    return schema.value("items", Json(true));
  };
  std::size_t prefix = 0;
  for (const Json* from : {&a, &b})
    if (from->contains("prefixItems")) prefix = std::max(prefix, (*from)["prefixItems"].size());
  if (prefix > 0) {
    into["prefixItems"] = Json::array();
    for (std::size_t i = 0; i < prefix; ++i) into["prefixItems"].push_back(all_of(item(a, i), item(b, i)));
  }
  if (a.contains("items") || b.contains("items"))
    into["items"] = all_of(a.value("items", Json(true)), b.value("items", Json(true)));
}

Json common_types(const Json& a, const Json& b) {
  Json common = Json::array();
  for (const Json& x : list_of(a))
    for (const Json& y : list_of(b)) {
      if (x == y) common.push_back(x);
      if ((x == "integer" && y == "number") || (x == "number" && y == "integer")) common.push_back("integer");
    }
  return common;
}

Json joined(Json a, const Json& b) {
  a = list_of(a);
  for (const Json& value : list_of(b))
    if (std::ranges::find(a, value) == a.end()) a.push_back(value);
  return a;
}

// Both of two values of a keyword; the first, where the keyword says nothing.
Json both_of(const std::string& key, const Json& a, const Json& b, const std::string& path) {
  if (a == b) return a;
  if (key == "type") return common_types(a, b);
  if (key.starts_with("min") || key == "exclusiveMinimum") return std::max(a, b);
  if (key.starts_with("max") || key == "exclusiveMaximum") return std::min(a, b);
  if (key == "uniqueItems") return a == Json(true) || b == Json(true);
  if (key == "required" || key == "pattern" || key == "format" || key == excluded_key) return joined(a, b);
  if (key == "propertyNames") return all_of(a, b);
  if (key == "enum") {
    Json list = Json::array();
    for (const Json& value : b)
      if (std::ranges::find(a, value) != a.end()) list.push_back(value);
    return list;
  }
  if (key == "multipleOf" && a.is_number_unsigned() && b.is_number_unsigned() && a != 0 && b != 0 &&
      a < 10000 && b < 10000)
    return std::lcm(a.get<std::uint64_t>(), b.get<std::uint64_t>());
  static const std::set<std::string> open = {"multipleOf", "contains", "unevaluatedProperties",
                                             "unevaluatedItems"};
  if (open.contains(key))
    fail("JSON schema, {}: two different values of \"{}\" cannot be combined", path, key);
  return a;  // annotations
}

// Lists of items as they were before draft 2020-12 had prefixItems, and a pattern that is a text.
void normalise(Json& own, const std::string& path) {
  if (own.contains("items") && own["items"].is_array()) {
    own["prefixItems"] = std::move(own["items"]);
    own["items"] = own.value("additionalItems", Json(true));
  }
  own.erase("additionalItems");
  for (const char* key : {"pattern", "format"})
    if (own.contains(key) && !own[key].is_string()) fail("JSON schema, {}: expected a text", step(path, key));
  for (const char* key : {"properties", "patternProperties"})
    if (own.contains(key) && !own[key].is_object())
      fail("JSON schema, {}: expected an object", step(path, key));
  for (const char* key : {"required", "enum", "prefixItems"})
    if (own.contains(key) && !own[key].is_array()) fail("JSON schema, {}: expected a list", step(path, key));
}

// What was not spoken of in any of the branches is for unevaluatedProperties and unevaluatedItems.
void settle_unevaluated(Json& branch) {
  if (branch.contains("unevaluatedProperties") && !branch.contains("additionalProperties"))
    branch["additionalProperties"] = branch["unevaluatedProperties"];
  if (branch.contains("unevaluatedItems") && !branch.contains("items") && !branch.contains("contains"))
    branch["items"] = branch["unevaluatedItems"];
  branch.erase("unevaluatedProperties");
  if (!branch.contains("contains")) branch.erase("unevaluatedItems");
}

}  // namespace

Json list_of(const Json& value) {
  return value.is_array() ? value : Json::array({value});
}

std::string step(const std::string& path, const std::string& key) {
  return path + "/" + key;
}

Json all_of(const Json& a, const Json& b) {
  if (a == Json(true) || a == b || b == Json(false)) return b;
  if (b == Json(true) || a == Json(false)) return a;
  return {{"allOf", Json::array({a, b})}};
}

Json property_schema(const Json& schema, const std::string& key, const std::string& path) {
  Json its = true;
  bool declared = false;
  if (schema.contains("properties") && schema["properties"].contains(key)) {
    its = schema["properties"][key];
    declared = true;
  }
  if (schema.contains("patternProperties"))
    for (const auto& [pattern, value] : schema["patternProperties"].items())
      if (name_matches(key, pattern, step(path, "patternProperties"))) {
        its = all_of(its, value);
        declared = true;
      }
  return declared ? its : schema.value("additionalProperties", Json(true));
}

Json merged(const Json& a, const Json& b, const std::string& path) {
  static const std::set<std::string> apart = {"properties", "patternProperties", "additionalProperties",
                                              "items", "prefixItems"};
  Json both = Json::object();
  for (const auto& [key, value] : a.items())
    if (!apart.contains(key)) both[key] = b.contains(key) ? both_of(key, value, b[key], path) : value;
  for (const auto& [key, value] : b.items())
    if (!apart.contains(key) && !a.contains(key)) both[key] = value;
  merge_properties(both, a, b, path);
  merge_items(both, a, b);
  return both;
}

std::vector<Schema> SchemaBranches::both(const std::vector<Schema>& a, const std::vector<Schema>& b) const {
  if (a.size() * b.size() > most_branches)
    fail("JSON schema, {}: more than {} combinations of alternatives", a[0].path, most_branches);
  std::vector<Schema> product;
  for (const Schema& x : a)
    for (const Schema& y : b) product.push_back({merged(x.json, y.json, x.path), x.path});
  return product;
}

std::vector<Schema> SchemaBranches::of(const Schema& schema) {
  static const char* const logic[] = {"$ref",
                                      "allOf",
                                      "anyOf",
                                      "oneOf",
                                      "not",
                                      "if",
                                      "then",
                                      "else",
                                      "dependentRequired",
                                      "dependentSchemas",
                                      "dependencies"};
  const auto& [json, path] = schema;
  if (json == Json(true)) return {{Json::object(), path}};
  if (json == Json(false)) return {};
  if (!json.is_object())
    fail("JSON schema, {}: expected an object or a boolean, found {}", path, json.type_name());
  Json own = json;
  for (const char* key : logic) own.erase(key);
  for (const char* key : {"const", "$defs", "definitions"}) own.erase(key);
  normalise(own, path);
  if (json.contains("const")) own = merged(own, {{"enum", Json::array({json["const"]})}}, path);
  std::vector<Schema> branches{{std::move(own), path}};
  if (json.contains("$ref")) branches = both(branches, referred(schema));
  for (const char* key : {"allOf", "anyOf", "oneOf"})
    if (json.contains(key)) branches = both(branches, combined(schema, key));
  for (const Schema& condition : conditions(schema, *this)) branches = both(branches, of(condition));
  for (Schema& branch : branches) settle_unevaluated(branch.json);
  return branches;
}

std::vector<Schema> SchemaBranches::referred(const Schema& schema) {
  const std::string path = step(schema.path, "$ref");
  if (!schema.json["$ref"].is_string()) fail("JSON schema, {}: expected a text", path);
  const Schema found = target(schema.json["$ref"].get<std::string>(), path);
  if (std::ranges::find(active_, found.path) != active_.end())
    fail("JSON schema, {}: the reference leads back to itself", path);
  active_.push_back(found.path);
  std::vector<Schema> branches = of(found);
  active_.pop_back();
  return branches;
}

std::vector<Schema> SchemaBranches::combined(const Schema& schema, const std::string& key) {
  const std::string path = step(schema.path, key);
  const Json& parts = schema.json[key];
  if (!parts.is_array() || parts.empty()) fail("JSON schema, {}: expected a list of schemas", path);
  std::vector<std::vector<Schema>> each;
  for (std::size_t i = 0; i < parts.size(); ++i)
    each.push_back(of({parts[i], step(path, std::to_string(i))}));
  if (key == "allOf") {
    std::vector<Schema> all{{Json::object(), schema.path}};
    for (const auto& part : each) all = both(all, part);
    return all;
  }
  for (std::size_t i = 0; key == "oneOf" && i < each.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      for (Schema& a : each[i])
        for (Schema& b : each[j])
          if (!keep_apart(a.json, b.json))
            fail(
                "JSON schema, {}: alternatives {} and {} are not told apart by a type, by required "
                "properties or the "
                "values of one: use anyOf if both may hold",
                path, j, i);
  std::vector<Schema> any;
  for (const auto& part : each) any.insert(any.end(), part.begin(), part.end());
  return any;
}

Schema SchemaBranches::target(const std::string& ref, const std::string& path) const {
  if (!ref.starts_with('#'))
    fail("JSON schema, {}: expected a reference into the same document (#/...), found \"{}\"", path, ref);
  std::string pointer;
  for (std::size_t i = 1; i < ref.size(); ++i) {
    const bool escape = ref[i] == '%' && i + 2 < ref.size() &&
                        std::isxdigit(static_cast<unsigned char>(ref[i + 1])) &&
                        std::isxdigit(static_cast<unsigned char>(ref[i + 2]));
    pointer += escape ? static_cast<char>(std::stoi(ref.substr(i + 1, 2), nullptr, 16)) : ref[i];
    if (escape) i += 2;
  }
  if (!pointer.empty() && pointer[0] != '/')
    for (const char* key : {"$defs", "definitions"})
      if (root_.is_object() && root_.contains(key))
        for (const auto& [name, schema] : root_[key].items())
          if (schema.is_object() && schema.value("$anchor", "") == pointer)
            return {schema, step(step("#", key), name)};
  try {
    const nlohmann::json::json_pointer at(pointer);
    const Json::json_pointer there(pointer);
    if (root_.contains(there)) return {root_[there], "#" + pointer};
  } catch (const nlohmann::json::exception&) {
  }
  fail("JSON schema, {}: there is no \"{}\" in the document", path, ref);
}

}  // namespace rf::grammar
