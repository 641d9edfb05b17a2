// Python's int and float as text, and rounding.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rf::jinja {

std::string float_repr(
    double v);  // the shortest text that reads back as v, in Python's layout: 1.0, 1e-07, inf
// v in C's %f, %e or %g (style f, e, g), whatever the locale.
std::string float_digits(double v, char style, int precision);
// int(s, base) and float(s); nothing where Python raises ValueError. An int beyond 64 bits throws Error.
std::optional<std::int64_t> parse_int(std::string_view s, int base);
std::optional<double> parse_float(std::string_view s);
double round_to(double v, std::int64_t digits);  // round(v, digits): exact decimal, ties to even
// The integer part; throws Error beyond 64 bits.
std::int64_t truncate(double v);

}  // namespace rf::jinja
