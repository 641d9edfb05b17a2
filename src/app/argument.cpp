#include "app/argument.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/error.h"

namespace rf {

std::vector<std::int32_t> parse_tokens(std::string_view text) {
  std::vector<std::int32_t> ids;
  const char* at = text.data();
  const char* const end = at + text.size();
  bool number_needed = false;  // after a comma
  while (true) {
    at = std::find_if(at, end, [](char c) { return c != ' ' && c != '\n'; });
    if (at == end && !number_needed) return ids;
    std::int32_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc() || id < 0)
      fail("tokens: expected ids separated by commas, found '{}'", std::string_view(at, end).substr(0, 40));
    ids.push_back(id);
    at = std::find_if(next, end, [](char c) { return c != ' ' && c != '\n'; });
    number_needed = at != end && *at == ',';
    if (number_needed)
      ++at;
    else if (at == next && at != end)
      fail("tokens: expected ids separated by commas, found '{}'", std::string_view(at, end).substr(0, 40));
  }
}

std::pair<std::int32_t, float> parse_logit_bias(const std::string& text) {
  const std::size_t equals = text.find('=');
  std::int32_t id = -1;
  if (equals != std::string::npos) {
    const char* const end = text.data() + equals;
    const auto [next, error] = std::from_chars(text.data(), end, id);
    if (error != std::errc() || next != end) id = -1;
  }
  char* end = nullptr;
  const float value = id < 0 ? NAN : std::strtof(text.c_str() + equals + 1, &end);
  if (std::isnan(value) || end == text.c_str() + equals + 1 || *end != 0)
    fail("logit bias: expected ID=VALUE, found '{}'", text);
  return {id, value};
}

std::optional<std::uint64_t> parse_seed(std::string_view text) {
  const auto whole = [&](auto& value) {
    const auto [next, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && next == text.data() + text.size();
  };
  std::uint64_t seed = 0;
  std::int64_t negative = 0;
  if (whole(seed)) return seed;
  if (!whole(negative)) fail("expected a whole number of 64 bits, found '{}'", text);
  if (negative == -1) return std::nullopt;
  return static_cast<std::uint64_t>(negative);
}

std::uint64_t parse_size(std::string_view text) {
  constexpr std::string_view units = "KMGT";
  std::uint64_t bytes = 0;
  const auto [next, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  std::string_view unit = text.substr(static_cast<std::size_t>(next - text.data()));
  bool good = error == std::errc() && unit.size() <= 1 && bytes > 0;
  if (good && !unit.empty()) {
    const std::size_t power =
        units.find(static_cast<char>(std::toupper(static_cast<unsigned char>(unit[0]))));
    good = power != std::string_view::npos;
    for (std::size_t i = 0; good && i <= power; ++i) good = !__builtin_mul_overflow(bytes, 1000u, &bytes);
  }
  if (!good) fail("size: expected a number with K, M, G or T, as in 2G, found '{}'", text);
  return bytes;
}

bool is_device_name(std::string_view name) {
  if (name == "auto" || name == "cpu" || name == "reference" || name == "gpu" || name == "sim") return true;
  if (!name.starts_with("gpu:") || name.size() == 4) return false;
  return std::all_of(name.begin() + 4, name.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

bool is_place_rule(const std::string& text) {
  return text.size() > 4 && (text.ends_with("=cpu") || text.ends_with("=gpu"));
}

PlaceRule parse_place_rule(const std::string& text) {
  if (!is_place_rule(text)) fail("--place: expected GLOB=cpu or GLOB=gpu, found '{}'", text);
  return {text.substr(0, text.size() - 4), text.ends_with("=gpu")};
}

}  // namespace rf
