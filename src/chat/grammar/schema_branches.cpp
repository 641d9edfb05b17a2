#include "chat/grammar/schema_branches.h"

#include <algorithm>
#include <set>

#include "base/error.h"

namespace rf::grammar {
namespace {

// What one schema says about a property: its own schema, or that of additional properties; else anything
// goes.
Json schema_of(const Json& schema, const std::string& key) {
  if (schema.contains("properties") && schema["properties"].contains(key)) return schema["properties"][key];
  return schema.value("additionalProperties", Json(true));
}

Json all_of(const Json& a, const Json& b) {
  if (a == Json(true) || a == b) return b;
  if (b == Json(true)) return a;
  return {{"allOf", Json::array({a, b})}};
}

void merge_properties(Json& into, const Json& a, const Json& b) {
  Json properties = Json::object();
  for (const Json* from : {&a, &b})
    if (from->contains("properties"))
      for (const auto& [key, unused] : (*from)["properties"].items())
        properties[key] = all_of(schema_of(a, key), schema_of(b, key));
  if (a.contains("properties") || b.contains("properties")) into["properties"] = std::move(properties);
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

Json list_of(const Json& value) {
  return value.is_array() ? value : Json::array({value});
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

Json combined(const std::string& key, const Json& a, const Json& b, const std::string& path) {
  if (a == b) return a;
  if (key == "type") return common_types(a, b);
  if (key.starts_with("min") || key == "exclusiveMinimum") return std::max(a, b);
  if (key.starts_with("max") || key == "exclusiveMaximum") return std::min(a, b);
  if (key == "uniqueItems") return a == Json(true) || b == Json(true);
  if (key == "enum" || key == "required") {
    Json list = key == "enum" ? Json::array() : a;
    for (const Json& value : b)
      if ((std::ranges::find(a, value) != a.end()) == (key == "enum")) list.push_back(value);
    return list;
  }
  static const std::set<std::string> open = {"pattern", "multipleOf"};
  if (open.contains(key))
    fail("JSON schema, {}: two different values of \"{}\" cannot be combined", path, key);
  return a;  // annotations
}

bool disjoint(const Json& a, const Json& b) {
  if (a.contains("type") && b.contains("type") && common_types(a["type"], b["type"]).empty()) return true;
  if (a.contains("enum") && b.contains("enum"))
    return std::ranges::none_of(
        a["enum"], [&](const Json& v) { return std::ranges::find(b["enum"], v) != b["enum"].end(); });
  const auto needed = [](const Json& schema, const std::string& key) {
    return schema.contains("required") &&
           std::ranges::find(schema["required"], Json(key)) != schema["required"].end();
  };
  const auto values = [](const Json& schema) {
    return schema.is_object() && schema.contains("const")  ? Json::array({schema["const"]})
           : schema.is_object() && schema.contains("enum") ? schema["enum"]
                                                           : Json();
  };
  if (!a.contains("properties") || !b.contains("properties")) return false;
  for (const auto& [key, schema] : a["properties"].items()) {
    if (!needed(a, key) || !needed(b, key) || !b["properties"].contains(key)) continue;
    const Json one = values(schema), other = values(b["properties"][key]);
    if (one.is_array() && other.is_array() && disjoint({{"enum", one}}, {{"enum", other}})) return true;
  }
  return false;
}

}  // namespace

std::string step(const std::string& path, const std::string& key) {
  return path + "/" + key;
}

Json merged(const Json& a, const Json& b, const std::string& path) {
  static const std::set<std::string> apart = {"properties", "additionalProperties", "items", "prefixItems"};
  Json both = Json::object();
  for (const auto& [key, value] : a.items())
    if (!apart.contains(key)) both[key] = b.contains(key) ? combined(key, value, b[key], path) : value;
  for (const auto& [key, value] : b.items())
    if (!apart.contains(key) && !a.contains(key)) both[key] = value;
  merge_properties(both, a, b);
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
  const auto& [json, path] = schema;
  if (json == Json(true)) return {{Json::object(), path}};
  if (json == Json(false)) return {};
  if (!json.is_object())
    fail("JSON schema, {}: expected an object or a boolean, found {}", path, json.type_name());
  Json own = json;
  for (const char* key : {"$ref", "allOf", "anyOf", "oneOf", "const", "$defs", "definitions"}) own.erase(key);
  if (json.contains("const")) own = merged(own, {{"enum", Json::array({json["const"]})}}, path);
  std::vector<Schema> branches{{std::move(own), path}};
  if (json.contains("$ref")) {
    if (!json["$ref"].is_string()) fail("JSON schema, {}: expected a text", step(path, "$ref"));
    const Schema found = target(json["$ref"].get<std::string>(), step(path, "$ref"));
    if (std::ranges::find(active_, found.path) != active_.end())
      fail("JSON schema, {}: the reference leads back to itself", step(path, "$ref"));
    active_.push_back(found.path);
    branches = both(branches, of(found));
    active_.pop_back();
  }
  for (const char* key : {"allOf", "anyOf", "oneOf"}) {
    if (!json.contains(key)) continue;
    const Json& parts = json[key];
    if (!parts.is_array() || parts.empty())
      fail("JSON schema, {}: expected a list of schemas", step(path, key));
    std::vector<std::vector<Schema>> each;
    for (std::size_t i = 0; i < parts.size(); ++i)
      each.push_back(of({parts[i], step(step(path, key), std::to_string(i))}));
    if (key == std::string_view("allOf")) {
      for (const auto& part : each) branches = both(branches, part);
      continue;
    }
    std::vector<Schema> any;
    for (std::size_t i = 0; i < each.size(); ++i) {
      for (std::size_t j = 0; key == std::string_view("oneOf") && j < i; ++j)
        for (const Schema& a : each[i])
          for (const Schema& b : each[j])
            if (!disjoint(a.json, b.json))
              fail(
                  "JSON schema, {}: alternatives {} and {} are not told apart by a type or by the values of "
                  "a "
                  "required property: use anyOf if both may hold",
                  step(path, "oneOf"), j, i);
      any.insert(any.end(), each[i].begin(), each[i].end());
    }
    branches = both(branches, any);
  }
  return branches;
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
