#include "app/metadata.h"

#include <nlohmann/json.hpp>

#include "app/file.h"
#include "base/error.h"

namespace rf {
namespace {

constexpr std::size_t shown_elements = 8, shown_bytes = 120;

template <class T>
nlohmann::ordered_json json_of(const Gguf& file, std::string_view key, bool array) {
  if (array) return file.get<std::vector<T>>(key);
  return file.get<T>(key);
}

// `text` up to a border of UTF-8 characters at most `most` bytes along.
std::string cut(const std::string& text, std::size_t most) {
  while (most > 0 && (text[most] & 0xc0) == 0x80) --most;
  return text.substr(0, most);
}

}  // namespace

nlohmann::ordered_json metadata_json(const Gguf& file, std::string_view key) {
  const MetaValue& value = file.metadata().at(key);
  const bool array = value.type == ValueType::array;
  switch (array ? value.element : value.type) {
    case ValueType::boolean:
      return json_of<bool>(file, key, array);
    case ValueType::f32:
    case ValueType::f64:
      return json_of<double>(file, key, array);
    case ValueType::u64:
      return json_of<std::uint64_t>(file, key, array);
    case ValueType::string:
      return json_of<std::string>(file, key, array);
    default:
      return json_of<std::int64_t>(file, key, array);
  }
}

std::string metadata_line(const Gguf& file, std::string_view key) {
  nlohmann::ordered_json value = metadata_json(file, key);
  std::string more;
  if (value.is_array() && value.size() > shown_elements) {
    more = fmt::format(" ... {} elements", value.size());
    value.erase(value.begin() + shown_elements, value.end());
  }
  std::string text = to_text(value);
  if (text.size() > shown_bytes) {
    if (more.empty()) more = fmt::format(" ... {} bytes", text.size());
    text = cut(text, shown_bytes);
  }
  return text + more;
}

}  // namespace rf
