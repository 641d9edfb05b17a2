// Fields: a request's JSON, read with limits. Unknown fields are let be; null counts as absent. What is wrong
// is an ApiError that names the field, what is allowed and what was found.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rf {

using Json = nlohmann::ordered_json;

// An object with at most 64 levels and so many members an object. Throws ApiError.
Json parse_body(std::string_view body);
// The object that a model has written; an empty one where it is none, or has more levels than that.
Json object_of(std::string_view text);
std::string dump(const Json& value);        // on one line; bytes that are not UTF-8 become U+FFFD
std::string found_text(const Json& value);  // short, for messages

class Fields {
 public:
  // `object` must outlive it; `where`: the path of the object, for messages.
  explicit Fields(const Json& object, std::string where = "");

  bool has(const char* name) const { return find(name) != nullptr; }
  const Json* find(const char* name) const;  // nullptr where absent or null
  std::optional<double> number(const char* name, double low, double high) const;
  std::optional<std::int64_t> integer(const char* name, std::int64_t low, std::int64_t high) const;
  std::optional<bool> boolean(const char* name) const;
  std::optional<std::string> text(const char* name, std::size_t most_bytes = 1 << 20) const;
  std::string required_text(const char* name, std::size_t most_bytes = 1 << 20) const;
  const Json* array(const char* name, std::size_t most) const;
  const Json* object(const char* name) const;
  // A string or an array of strings.
  std::vector<std::string> texts(const char* name, std::size_t most) const;

  std::string path(const char* name) const { return where_ + name; }

 private:
  const Json& object_;
  std::string where_;
};

}  // namespace rf
