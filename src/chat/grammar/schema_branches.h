// SchemaBranches: what a schema says without $ref, allOf, anyOf, oneOf, not, if and dependencies, as
// alternatives of plain keywords.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace rf::grammar {

using Json = nlohmann::ordered_json;

// A schema and the JSON pointer that errors name.
struct Schema {
  Json json;
  std::string path;
};

// Beside the keywords of JSON Schema, plain schemas have a list of values under this key that are not meant;
// and `pattern` and `format` may be lists, all of which hold.
inline constexpr const char* excluded_key = "\x01not";

class SchemaBranches {
 public:
  explicit SchemaBranches(const Json& root) : root_(root) {}

  // Objects of plain keywords, one of which must hold; none where nothing is allowed. `const` has become an
  // `enum` of one. Throws Error naming the place.
  std::vector<Schema> of(const Schema& schema);

  // The schema that a $ref at `path` points to, anywhere in the same document.
  Schema target(const std::string& ref, const std::string& path) const;

 private:
  static constexpr std::size_t most_branches = 500;

  std::vector<Schema> both(const std::vector<Schema>& a, const std::vector<Schema>& b) const;
  std::vector<Schema> referred(const Schema& schema);
  std::vector<Schema> combined(const Schema& schema, const std::string& key);

  const Json& root_;
  std::vector<std::string> active_;  // references being followed
};

// Both schemas at once. Throws Error for keywords that cannot be combined.
Json merged(const Json& a, const Json& b, const std::string& path);

// What one of two schemas of an object says about a property, and both of two schemas.
Json property_schema(const Json& schema, const std::string& key, const std::string& path);
Json all_of(const Json& a, const Json& b);

// Of what may be one value or a list of them.
Json list_of(const Json& value);

// A JSON pointer's next step.
std::string step(const std::string& path, const std::string& key);

}  // namespace rf::grammar
