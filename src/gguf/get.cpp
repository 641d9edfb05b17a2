// Gguf::get: stored values converted to the type that is asked for.
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "gguf/parse.h"

namespace rf {
namespace {

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

std::string_view name_of(ValueType type) {
  return find_value_type(static_cast<std::uint32_t>(type))->name;
}

// What an element is converted from, and whom to blame.
struct Source {
  const std::string& path;
  std::string_view key;
  ValueType type;
};

[[noreturn]] void wrong_kind(const Source& from, std::string_view expected) {
  fail("{}: key {}: expected {}, found {}", from.path, quoted(from.key), expected, name_of(from.type));
}

template <class T, class Stored>
T narrowed(const Source& from, Stored value) {
  if (!std::in_range<T>(value))
    fail("{}: key {}: found {}, expected {} to {}", from.path, quoted(from.key), value,
         std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
  return static_cast<T>(value);
}

template <class T>
T integer(const Source& from, const std::byte* at) {
  switch (from.type) {
    case ValueType::u8:
      return narrowed<T>(from, load<std::uint8_t>(at));
    case ValueType::i8:
      return narrowed<T>(from, load<std::int8_t>(at));
    case ValueType::u16:
      return narrowed<T>(from, load<std::uint16_t>(at));
    case ValueType::i16:
      return narrowed<T>(from, load<std::int16_t>(at));
    case ValueType::u32:
      return narrowed<T>(from, load<std::uint32_t>(at));
    case ValueType::i32:
      return narrowed<T>(from, load<std::int32_t>(at));
    case ValueType::u64:
      return narrowed<T>(from, load<std::uint64_t>(at));
    case ValueType::i64:
      return narrowed<T>(from, load<std::int64_t>(at));
    default:
      wrong_kind(from, "an integer");
  }
}

// NaN and infinities are passed on as stored; a finite f64 that float cannot hold is out of range.
template <class T>
T real(const Source& from, const std::byte* at) {
  if (from.type == ValueType::f32) return load<float>(at);
  if (from.type != ValueType::f64) wrong_kind(from, "a float");
  const auto value = load<double>(at);
  if (std::isfinite(value) && std::abs(value) > static_cast<double>(std::numeric_limits<T>::max()))
    fail("{}: key {}: found {}, which is out of range", from.path, quoted(from.key), value);
  return static_cast<T>(value);
}

bool boolean(const Source& from, const std::byte* at) {
  if (from.type != ValueType::boolean) wrong_kind(from, "a bool");
  const auto value = load<std::uint8_t>(at);
  if (value > 1) fail("{}: key {}: found {}, expected a bool of 0 or 1", from.path, quoted(from.key), value);
  return value == 1;
}

template <class T>
T fixed_size(const Source& from, const std::byte* at) {
  if constexpr (std::is_same_v<T, bool>)
    return boolean(from, at);
  else if constexpr (std::is_floating_point_v<T>)
    return real<T>(from, at);
  else
    return integer<T>(from, at);
}

template <class T>
constexpr bool is_text = std::is_same_v<T, std::string> || std::is_same_v<T, std::string_view>;

template <class T>
struct Converted {
  static T from(const Source& source, const MetaValue& value) {
    if constexpr (is_text<T>) {
      if (value.type != ValueType::string) wrong_kind(source, "a string");
      return T(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
    } else {
      return fixed_size<T>(source, value.bytes.data());
    }
  }
};

template <class T>
struct Converted<std::vector<T>> {
  static std::vector<T> from(const Source& source, const MetaValue& value) {
    if (value.type != ValueType::array) wrong_kind(source, "an array");
    const Source element{source.path, source.key, value.element};
    std::vector<T> out;
    out.reserve(static_cast<std::size_t>(value.count));
    const std::byte* at = value.bytes.data();
    if constexpr (is_text<T>) {
      if (value.element != ValueType::string) wrong_kind(element, "an array of strings");
      for (std::uint64_t i = 0; i < value.count; ++i) {
        const auto length = static_cast<std::size_t>(load<std::uint64_t>(at));
        out.emplace_back(reinterpret_cast<const char*>(at) + sizeof length, length);
        at += sizeof length + length;
      }
    } else {
      const std::size_t each = find_value_type(static_cast<std::uint32_t>(value.element))->bytes;
      for (std::uint64_t i = 0; i < value.count; ++i) out.push_back(fixed_size<T>(element, at + i * each));
    }
    return out;
  }
};

}  // namespace

template <class T>
T Gguf::get(std::string_view key) const {
  const auto found = metadata_.find(key);
  if (found == metadata_.end()) fail("{}: key {} is missing", path_, quoted(key));
  return Converted<T>::from({path_, key, found->second.type}, found->second);
}

#define RF_GET(T)                                  \
  template T Gguf::get<T>(std::string_view) const; \
  template std::vector<T> Gguf::get<std::vector<T>>(std::string_view) const;
RF_GET(bool)
RF_GET(std::uint8_t)
RF_GET(std::int8_t)
RF_GET(std::uint16_t)
RF_GET(std::int16_t)
RF_GET(std::uint32_t)
RF_GET(std::int32_t)
RF_GET(std::uint64_t)
RF_GET(std::int64_t)
RF_GET(float)
RF_GET(double)
RF_GET(std::string)
RF_GET(std::string_view)
#undef RF_GET

}  // namespace rf
