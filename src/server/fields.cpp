#include "server/fields.h"

#include <cmath>

#include "server/api_error.h"

namespace rf {
namespace {

constexpr int most_levels = 64;
constexpr int most_members = 2048;  // of one object: lookups are linear

const char* kind_of(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  return nullptr;
}

}  // namespace

Json parse_body(std::string_view body) {
  std::vector<int> members;
  const auto check = [&](int depth, Json::parse_event_t event, Json&) {
    if (depth > most_levels)
      throw ApiError(400, fmt::format("body: expected at most {} levels of JSON", most_levels));
    if (event == Json::parse_event_t::object_start) members.resize(static_cast<std::size_t>(depth) + 1, 0);
    if (event == Json::parse_event_t::object_start) members.back() = 0;
    if (event == Json::parse_event_t::key && ++members[static_cast<std::size_t>(depth) - 1] > most_members)
      throw ApiError(400, fmt::format("body: expected at most {} members of an object", most_members));
    return true;
  };
  if (body.empty()) throw ApiError(400, "body: expected a JSON object, found nothing");
  Json value;
  try {
    value = Json::parse(body, check);
  } catch (const Json::exception& error) {
    const std::string_view what = error.what();  // "[json.exception.parse_error.101] parse error at line ..."
    throw ApiError(400, "body: not JSON: " + std::string(what.substr(what.find(']') + 2, 200)));
  }
  if (!value.is_object()) throw ApiError(400, "body: expected a JSON object");
  return value;
}

Json object_of(std::string_view text) {
  bool deep = false;
  const auto check = [&](int depth, Json::parse_event_t, Json&) {
    deep = deep || depth > most_levels;
    return !deep;
  };
  Json value = Json::parse(text, check, false);
  return !deep && value.is_object() ? value : Json::object();
}

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string found_text(const Json& value) {
  if (const char* kind = kind_of(value)) return kind;
  std::string text = dump(value);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

Fields::Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
  if (!object.is_object())
    fail_field(where_.empty() ? "body" : where_, "expected an object, found {}", found_text(object));
  if (!where_.empty()) where_ += '.';
}

const Json* Fields::find(const char* name) const {
  const auto at = object_.find(name);
  return at == object_.end() || at->is_null() ? nullptr : &*at;
}

std::optional<double> Fields::number(const char* name, double low, double high) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  const double found = value->is_number() ? value->get<double>() : std::nan("");
  if (!(found >= low && found <= high))
    fail_field(path(name), "expected a number from {} to {}, found {}", low, high, found_text(*value));
  return found;
}

std::optional<std::int64_t> Fields::integer(const char* name, std::int64_t low, std::int64_t high) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  const double found = value->is_number() ? value->get<double>() : std::nan("");
  const bool whole = std::floor(found) == found && found >= static_cast<double>(low) &&
                     found <= static_cast<double>(high) && found < 0x1p63;
  if (!whole)
    fail_field(path(name), "expected a whole number from {} to {}, found {}", low, high, found_text(*value));
  return value->is_number_float() ? static_cast<std::int64_t>(found) : value->get<std::int64_t>();
}

std::optional<bool> Fields::boolean(const char* name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) fail_field(path(name), "expected true or false, found {}", found_text(*value));
  return value->get<bool>();
}

std::optional<std::string> Fields::text(const char* name, std::size_t most_bytes) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) fail_field(path(name), "expected a string, found {}", found_text(*value));
  const auto& found = value->get_ref<const std::string&>();
  if (found.size() > most_bytes)
    fail_field(path(name), "expected at most {} bytes, found {}", most_bytes, found.size());
  return found;
}

std::string Fields::required_text(const char* name, std::size_t most_bytes) const {
  if (!has(name)) fail_field(path(name), "expected a string, found nothing");
  return *text(name, most_bytes);
}

const Json* Fields::array(const char* name, std::size_t most) const {
  const Json* value = find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) fail_field(path(name), "expected an array, found {}", found_text(*value));
  if (value->size() > most)
    fail_field(path(name), "expected at most {} elements, found {}", most, value->size());
  return value;
}

const Json* Fields::object(const char* name) const {
  const Json* value = find(name);
  if (value != nullptr && !value->is_object())
    fail_field(path(name), "expected an object, found {}", found_text(*value));
  return value;
}

std::vector<std::string> Fields::texts(const char* name, std::size_t most) const {
  const Json* value = find(name);
  if (value == nullptr) return {};
  if (value->is_string()) return {value->get<std::string>()};
  if (!value->is_array())
    fail_field(path(name), "expected a string or an array of them, found {}", found_text(*value));
  std::vector<std::string> all;
  for (const Json& each : *array(name, most)) {
    if (!each.is_string()) fail_field(path(name), "expected strings, found {}", found_text(each));
    all.push_back(each.get<std::string>());
  }
  return all;
}

}  // namespace rf
