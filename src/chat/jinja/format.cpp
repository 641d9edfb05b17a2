#include "chat/jinja/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "chat/jinja/number.h"
#include "chat/jinja/print.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

constexpr std::int64_t max_width = 1 << 20;

std::string group_digits(const std::string& digits, char separator, std::size_t every) {
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % every == 0) out += separator;
    out += digits[i];
  }
  return out;
}

std::string integer_digits(std::uint64_t magnitude, const Spec& spec, std::string& prefix) {
  char buffer[72];
  const int base = spec.type == 'x' || spec.type == 'X' ? 16
                   : spec.type == 'o'                   ? 8
                   : spec.type == 'b'                   ? 2
                                                        : 10;
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, magnitude, base).ptr;
  std::string digits(buffer, end);
  if (spec.type == 'X') digits = to_upper(digits);
  if (spec.alternate && base != 10) prefix = std::string("0") + spec.type;
  if (spec.group != 0) digits = group_digits(digits, spec.group, base == 10 ? 3 : 4);
  return digits;
}

std::string real_digits(double magnitude, const Spec& spec) {
  const char lower = spec.type == 0 ? 'r' : static_cast<char>(spec.type | 0x20);
  std::string digits;
  if (spec.type == 0 && spec.precision < 0) {
    digits = float_repr(magnitude);
  } else if (spec.type == '%') {
    digits =
        float_digits(magnitude * 100, 'f', static_cast<int>(spec.precision < 0 ? 6 : spec.precision)) + "%";
  } else {
    const char style = lower == 'f' || lower == 'e' ? lower : 'g';
    std::int64_t precision = spec.precision < 0 ? 6 : spec.precision;
    if (style == 'g') precision = std::max<std::int64_t>(precision, 1);
    digits = float_digits(magnitude, style, static_cast<int>(precision));
    if (spec.type == 0 && digits.find_first_of(".en") == std::string::npos) digits += ".0";
  }
  if (spec.type == 'F' || spec.type == 'E' || spec.type == 'G') digits = to_upper(digits);
  if (spec.group != 0) {
    const std::size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
    digits = group_digits(digits.substr(0, whole), spec.group, 3) + digits.substr(whole);
  }
  return digits;
}

// Reads the conversions of a % format and its arguments.
class PercentFormatter {
 public:
  PercentFormatter(Heap& heap, const Value& format, const Value& values)
      : heap_(heap), format_(format.str()), escape_(format.is_markup()), values_(values) {}

  std::string run() {
    while (at_ < format_.size()) {
      const std::size_t percent = std::min(format_.find('%', at_), format_.size());
      out_ += format_.substr(at_, percent - at_);
      at_ = percent + 1;
      if (percent < format_.size()) conversion();
    }
    const bool one = values_.is_text() || values_.is_number() || values_.is_none();
    const std::size_t given = values_.is(Kind::tuple) ? values_.list().items.size() : one ? 1 : 0;
    if (next_ < given && !named_) fail("not all arguments converted during string formatting");
    return std::move(out_);
  }

 private:
  char peek() const {
    if (at_ >= format_.size()) fail("incomplete format");
    return format_[at_];
  }

  Value argument() {
    if (named_) return key_;
    const bool tuple = values_.is(Kind::tuple);
    if (next_ >= (tuple ? values_.list().items.size() : 1)) fail("not enough arguments for format string");
    return tuple ? values_.list().items[next_++] : (++next_, values_);
  }

  std::int64_t size() {
    if (peek() == '*') {
      ++at_;
      const Value v = argument();
      if (!v.is_integral()) fail("* wants int");
      return std::clamp<std::int64_t>(v.integer(), -max_width, max_width);
    }
    std::int64_t n = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_)
      if ((n = n * 10 + (peek() - '0')) > max_width) fail("width too big");
    return n;
  }

  void conversion() {
    named_ = false;
    Spec spec;
    if (peek() == '(') {
      const std::size_t close = format_.find(')', at_);
      if (close == std::string_view::npos) fail("incomplete format key");
      const std::string_view name = format_.substr(at_ + 1, close - at_ - 1);
      if (!values_.is_dict()) fail("format requires a mapping");
      const Value* found = values_.dict().find(name);
      if (found == nullptr) fail("KeyError: {}", quoted(name));
      key_ = *found;
      named_ = true;
      at_ = close + 1;
    }
    bool zero = false, left = false;
    for (;; ++at_) {
      const char c = peek();
      if (c == '#')
        spec.alternate = true;
      else if (c == '0')
        zero = true;
      else if (c == '-')
        left = true;
      else if (c == '+' || (c == ' ' && spec.sign != '+'))
        spec.sign = c;
      else if (c != ' ')
        break;
    }
    spec.width = size();
    if (spec.width < 0) left = true, spec.width = -spec.width;
    if (peek() == '.') {
      ++at_;
      spec.precision = std::max<std::int64_t>(size(), 0);
    }
    while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++at_;
    spec.type = format_[at_++];
    spec.align = left ? '<' : 0;
    convert(spec, zero && !left);
  }

  void convert(Spec spec, bool zero) {
    if (spec.type == '%') {
      out_ += '%';
      return;
    }
    heap_.reserve(static_cast<std::size_t>(spec.width));
    const Value v = argument();
    const std::string_view numeric = "diouxXeEfFgG";
    if (numeric.find(spec.type) == std::string_view::npos) return text(v, spec);
    if (!v.is_number()) fail("%{} format: a real number is required, not {}", spec.type, v.type_name());
    if (zero) spec.fill.assign(1, '0'), spec.align = '=';
    if (spec.align == 0) spec.align = '>';
    if (std::string_view("iu").find(spec.type) != std::string_view::npos) spec.type = 'd';
    if (std::string_view("xXo").find(spec.type) != std::string_view::npos && !v.is_integral())
      fail("%{} format: an integer is required, not {}", spec.type, v.type_name());
    if (std::string_view("dxXo").find(spec.type) == std::string_view::npos) {
      out_ += format_number(Value(v.real()), spec);
    } else {
      const auto digits = static_cast<std::size_t>(std::max<std::int64_t>(spec.precision, 0));
      spec.precision = -1;
      const Value whole(v.is_integral() ? v.integer() : truncate(v.real()));
      if (digits > 0) {
        Spec bare = spec;
        bare.width = static_cast<std::int64_t>(digits) +
                     static_cast<std::int64_t>(whole.integer() < 0 || spec.sign != '-');
        bare.fill.assign(1, '0'), bare.align = '=';
        out_ += pad(format_number(whole, bare), spec, '>');
      } else {
        out_ += format_number(whole, spec);
      }
    }
  }

  void text(const Value& v, const Spec& spec) {
    std::string body;
    switch (spec.type) {
      case 's':
        body = to_str(heap_, v);
        break;
      case 'r':
        body = to_repr(heap_, v);
        break;
      case 'a':
        body = to_repr(heap_, v);
        break;
      case 'c':
        if (v.is_integral() && v.integer() >= 0 && v.integer() < 0x110000)
          append_utf8(body, static_cast<char32_t>(v.integer()));
        else if (v.is_text() && v.text().chars == 1)
          body = v.str();
        else
          fail("%c requires int or char");
        break;
      default:
        fail("unsupported format character '{}'", spec.type);
    }
    if (escape_ && !v.is_markup()) body = html_escaped(body);
    if (spec.precision >= 0) body.resize(byte_of_char(body, spec.precision));
    heap_.reserve(body.size());
    out_ += pad(std::move(body), spec, '>');
  }

  Heap& heap_;
  std::string_view format_;
  bool escape_;
  const Value& values_;
  std::size_t at_ = 0, next_ = 0;
  bool named_ = false;
  Value key_;
  std::string out_;
};

}  // namespace

std::string pad(std::string body, const Spec& spec, char default_align) {
  const std::int64_t missing = spec.width - count_chars(body);
  if (missing <= 0) return body;
  const char align = spec.align == 0 ? default_align : spec.align;
  const std::int64_t before = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string out;
  for (std::int64_t i = 0; i < before; ++i) out += spec.fill;
  out += body;
  for (std::int64_t i = before; i < missing; ++i) out += spec.fill;
  return out;
}

std::string format_number(const Value& v, const Spec& spec) {
  const bool real = v.is(Kind::real) || std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
  std::string prefix, digits;
  bool minus = false;
  if (real && (spec.type == 0 || std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos)) {
    minus = std::signbit(v.real()) && !std::isnan(v.real());
    digits = real_digits(std::fabs(v.real()), spec);
  } else if (v.is_integral() &&
             std::string_view("dxXobn").find(spec.type == 0 ? 'd' : spec.type) != std::string_view::npos) {
    if (spec.precision >= 0) fail("Precision not allowed in integer format specifier");
    minus = v.integer() < 0;
    const auto bits = static_cast<std::uint64_t>(v.integer());
    digits = integer_digits(minus ? ~bits + 1 : bits, spec, prefix);
  } else {
    fail("Unknown format code '{}' for object of type '{}'", spec.type, v.type_name());
  }
  const std::string sign = minus ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  const std::string head = sign + prefix;
  if (spec.align == '=') {
    Spec inner = spec;
    inner.width = spec.width - static_cast<std::int64_t>(head.size());
    inner.align = '>';
    return head + pad(std::move(digits), inner, '>');
  }
  return pad(head + digits, spec, '>');
}

Value percent_format(Heap& heap, const Value& format, const Value& values) {
  return Value(heap.text(PercentFormatter(heap, format, values).run(), format.is_markup()));
}

}  // namespace rf::jinja
