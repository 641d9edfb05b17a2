// Filters on numbers, and those that stand for a missing value.
#include <cmath>

#include "base/error.h"
#include "chat/jinja/builtin.h"
#include "chat/jinja/number.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/render.h"

namespace rf::jinja {
namespace {

Value f_abs(Render&, const Bound& b) {
  if (b.self.is(Kind::real)) return Value(std::fabs(b.self.real()));
  if (b.self.is_integral()) return b.self.integer() < 0 ? negative(b.self) : positive(b.self);
  if (b.self.is_undefined()) fail("{}", b.self.undefined_message());
  fail("bad operand type for abs(): '{}'", b.self.type_name());
}

Value f_int(Render&, const Bound& b) {
  const Value fallback = b.get(0, Value(std::int64_t{0}));
  if (b.self.is_undefined()) fail("{}", b.self.undefined_message());
  if (b.self.is_integral()) return Value(b.self.integer());
  if (b.self.is(Kind::real)) return std::isnan(b.self.real()) ? fallback : Value(truncate(b.self.real()));
  if (!b.self.is_text()) return fallback;
  if (const auto v = parse_int(b.self.str(), static_cast<int>(b.integer(1, 10)))) return Value(*v);
  const auto real = parse_float(b.self.str());
  return real && std::isfinite(*real) ? Value(truncate(*real)) : fallback;
}

Value f_float(Render&, const Bound& b) {
  const Value fallback = b.get(0, Value(0.0));
  if (b.self.is_undefined()) fail("{}", b.self.undefined_message());
  if (b.self.is_number()) return Value(b.self.real());
  if (!b.self.is_text()) return fallback;
  const auto v = parse_float(b.self.str());
  return v ? Value(*v) : fallback;
}

Value f_round(Render&, const Bound& b) {
  const std::int64_t digits = b.integer(0, 0);
  const std::string_view method = b.has(1) ? b.text(1) : "common";
  if (b.self.is_undefined()) fail("{}", b.self.undefined_message());
  if (!b.self.is_number()) fail("type {} doesn't define __round__ method", b.self.type_name());
  if (method == "common") {
    if (b.self.is(Kind::real)) return Value(round_to(b.self.real(), digits));
    return digits >= 0 ? Value(b.self.integer()) : Value(truncate(round_to(b.self.real(), digits)));
  }
  if (method != "ceil" && method != "floor") fail("method must be common, ceil or floor");
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = b.self.real() * scale;
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

// In decimal units, or in binary ones.
Value f_filesizeformat(Render& r, const Bound& b) {
  const bool binary = b.flag(r.heap(), 0, false);
  const auto text_number = b.self.is_text() ? parse_float(b.self.str()) : std::nullopt;
  if (!b.self.is_number() && !text_number)
    fail("filesizeformat needs a number, found {}", b.self.type_name());
  const double bytes = text_number ? *text_number : b.self.real(), base = binary ? 1024 : 1000;
  if (bytes == 1) return r.heap().str("1 Byte");
  if (bytes < base) return r.heap().str(fmt::format("{} Bytes", truncate(bytes)));
  constexpr std::string_view prefixes = "kMGTPEZY";
  double unit = base;
  std::size_t i = 0;
  for (; i + 1 < prefixes.size() && bytes >= unit * base; ++i) unit *= base;
  const std::string prefix = binary && i == 0 ? "K" : std::string(1, prefixes[i]);
  return r.heap().str(fmt::format("{:.1f} {}{}", bytes / unit, prefix, binary ? "iB" : "B"));
}

Value f_default(Render& r, const Bound& b) {
  const bool missing = b.self.is_undefined() || (b.flag(r.heap(), 1, false) && !truth(r.heap(), b.self));
  return missing ? b.get(0, r.heap().str("")) : b.self;
}

Value f_attr(Render& r, const Bound& b) {
  if (!b.arg[0].is_text()) fail("attr needs a name, found {}", b.arg[0].type_name());
  const Text* name = &b.arg[0].text();
  if (b.self.is_dict() && find_method(Kind::dict, b.text(0)) == nullptr)
    return Value::undefined(Value::Missing::attribute, name, Kind::dict);
  return r.attribute(b.self, name);
}

}  // namespace

std::span<const Builtin> number_filters() {
  static constexpr Builtin table[] = {
      {"abs", f_abs, ""},
      {"attr", f_attr, "name", 1},
      {"d", f_default, "default_value,boolean"},
      {"default", f_default, "default_value,boolean"},
      {"filesizeformat", f_filesizeformat, "binary"},
      {"float", f_float, "default"},
      {"int", f_int, "default,base"},
      {"round", f_round, "precision,method"},
  };
  return table;
}

}  // namespace rf::jinja
