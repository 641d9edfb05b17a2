#include "chat/jinja/number.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

// `s` without the underscores that Python allows between digits; nothing where one is misplaced.
std::optional<std::string> without_underscores(std::string_view s) {
  std::string out;
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '_') {
      out += s[i];
      continue;
    }
    const auto digit = [](char c) {
      return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    };
    if (i == 0 || i + 1 == s.size() || !digit(s[i - 1]) || !digit(s[i + 1])) return std::nullopt;
  }
  return out;
}

int prefix_base(std::string_view s) {
  if (s.size() < 3 || s[0] != '0') return 0;
  switch (s[1] | 0x20) {
    case 'x':
      return 16;
    case 'o':
      return 8;
    case 'b':
      return 2;
    default:
      return 0;
  }
}

}  // namespace

std::string float_repr(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific).ptr;
  const std::string_view shortest(buffer, static_cast<std::size_t>(end - buffer));
  const std::size_t e = shortest.find('e');
  const int exponent = std::atoi(std::string(shortest.substr(e + 1)).c_str());
  std::string digits(shortest.substr(0, e));
  const bool negative = digits[0] == '-';
  if (negative) digits.erase(0, 1);
  std::erase(digits, '.');
  std::string out = negative ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (digits.size() > 1) out.append(".").append(digits, 1);
    return out += fmt::format("e{}{:02d}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return out.append("0.").append(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits.append(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string float_digits(double v, char style, int precision) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v < 0 ? "-inf" : "inf";
  const auto format = style == 'f'   ? std::chars_format::fixed
                      : style == 'e' ? std::chars_format::scientific
                                     : std::chars_format::general;
  std::string out(static_cast<std::size_t>(precision) + 330, '\0');
  const auto result = std::to_chars(out.data(), out.data() + out.size(), v, format, precision);
  out.resize(static_cast<std::size_t>(result.ptr - out.data()));
  return out;
}

std::optional<std::int64_t> parse_int(std::string_view s, int base) {
  s = strip(s);
  const bool negative = s.starts_with('-');
  if (negative || s.starts_with('+')) s.remove_prefix(1);
  if (const int prefixed = prefix_base(s); prefixed != 0 && (base == 0 || base == prefixed)) {
    base = prefixed;
    s.remove_prefix(2);
    if (s.starts_with('_')) s.remove_prefix(1);
  } else if (base == 0) {
    if (s.size() > 1 && s[0] == '0' && s.find_first_not_of("0_") != std::string_view::npos)
      return std::nullopt;
    base = 10;
  }
  if (base < 2 || base > 36) fail("int() base must be >= 2 and <= 36, or 0");
  const auto plain = without_underscores(s);
  if (!plain || plain->empty() || (*plain)[0] == '-') return std::nullopt;
  const std::string text = (negative ? "-" : "") + *plain;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) fail("the integer {:.40} does not fit in 64 bits", text);
  if (error != std::errc()) return std::nullopt;
  return value;
}

std::optional<double> parse_float(std::string_view s) {
  const auto plain = without_underscores(strip(s));
  if (!plain || plain->empty()) return std::nullopt;
  const std::string lower = to_lower(*plain);
  const std::size_t sign = lower[0] == '-' || lower[0] == '+' ? 1 : 0;
  const std::string body = lower.substr(sign);
  const double direction = lower[0] == '-' ? -1.0 : 1.0;
  if (body == "inf" || body == "infinity") return direction * HUGE_VAL;
  if (body == "nan") return std::nan("");
  if (body.empty() || body.find_first_not_of("0123456789.e+-") != std::string::npos) return std::nullopt;
  if (body[0] == '+' || body[0] == '-') return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), value);
  if (end != body.data() + body.size() || error == std::errc::invalid_argument) return std::nullopt;
  if (error == std::errc::result_out_of_range)  // from_chars leaves the value alone
    value = body.find("e-") != std::string::npos || body[0] == '0' ? 0.0 : HUGE_VAL;
  return direction * value;
}

double round_to(double v, std::int64_t digits) {
  if (!std::isfinite(v) || digits > 323) return v;
  if (digits < -308) return std::copysign(0.0, v);
  if (digits < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(v / scale) * scale;
  }
  return parse_float(float_digits(v, 'f', static_cast<int>(digits))).value_or(v);
}

std::int64_t truncate(double v) {
  if (std::isnan(v)) fail("cannot convert float NaN to integer");
  if (!(v > -9.3e18 && v < 9.3e18) || std::trunc(v) >= 0x1p63 || std::trunc(v) < -0x1p63)
    fail("cannot convert float {} to a 64-bit integer", float_repr(v));
  return static_cast<std::int64_t>(v);
}

}  // namespace rf::jinja
