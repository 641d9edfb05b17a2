#include "chat/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "chat/jinja/format.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

[[noreturn]] void unsupported(std::string_view op, const Value& a, const Value& b) {
  for (const Value* v : {&a, &b})
    if (v->is_undefined()) fail("{}", v->undefined_message());
  fail("unsupported operand type(s) for {}: '{}' and '{}'", op, a.type_name(), b.type_name());
}

std::string_view name_of(Binary op) {
  constexpr std::string_view names[] = {"+", "-", "*", "/", "//", "%", "**"};
  return names[static_cast<std::size_t>(op)];
}

[[noreturn]] void overflow() {
  fail("an integer result does not fit in 64 bits");
}

std::int64_t integer_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) overflow();
  }
  return result;
}

Value integer_arithmetic(Binary op, std::int64_t a, std::int64_t b) {
  std::int64_t r = 0;
  switch (op) {
    case Binary::add:
      if (__builtin_add_overflow(a, b, &r)) overflow();
      return Value(r);
    case Binary::subtract:
      if (__builtin_sub_overflow(a, b, &r)) overflow();
      return Value(r);
    case Binary::multiply:
      if (__builtin_mul_overflow(a, b, &r)) overflow();
      return Value(r);
    case Binary::divide:
      if (b == 0) fail("division by zero");
      return Value(static_cast<double>(a) / static_cast<double>(b));
    case Binary::floor_divide:
      if (b == 0) fail("integer division or modulo by zero");
      if (b == -1) return integer_arithmetic(Binary::subtract, 0, a);
      return Value(a / b - static_cast<std::int64_t>(a % b != 0 && (a < 0) != (b < 0)));
    case Binary::modulo:
      if (b == 0) fail("integer modulo by zero");
      if (b == -1) return Value(std::int64_t{0});
      r = a % b;
      return Value(r != 0 && (r < 0) != (b < 0) ? r + b : r);
    case Binary::power:
      if (b >= 0) return Value(integer_power(a, b));
      if (a == 0) fail("0.0 cannot be raised to a negative power");
      return Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
  }
  return {};
}

Value real_arithmetic(Binary op, double a, double b) {
  switch (op) {
    case Binary::add:
      return Value(a + b);
    case Binary::subtract:
      return Value(a - b);
    case Binary::multiply:
      return Value(a * b);
    case Binary::divide:
      if (b == 0) fail("float division by zero");
      return Value(a / b);
    case Binary::floor_divide:
    case Binary::modulo: {
      if (b == 0) fail("float modulo");
      double rest = std::fmod(a, b);
      if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
      if (op == Binary::modulo) return Value(rest == 0 ? std::copysign(0.0, b) : rest);
      return Value(std::round((a - rest) / b));
    }
    case Binary::power:
      if (a == 0 && b < 0) fail("0.0 cannot be raised to a negative power");
      if (a < 0 && b != std::floor(b)) fail("a negative number cannot be raised to a fractional power");
      return Value(std::pow(a, b));
  }
  return {};
}

Value repeat(Heap& heap, const Value& v, std::int64_t times) {
  const auto n = static_cast<std::size_t>(std::max<std::int64_t>(times, 0));
  if (v.is_text()) {
    const std::string_view s = v.str();
    if (!s.empty() && n > heap.limits().bytes / s.size()) heap.reserve(heap.limits().bytes + 1);
    if (s.empty()) return v;
    heap.reserve(n * s.size());
    std::string out;
    out.reserve(n * s.size());
    for (std::size_t i = 0; i < n; ++i) out += s;
    return Value(heap.text(std::move(out), v.is_markup()));
  }
  const std::vector<Value>& items = v.list().items;
  if (!items.empty() && n > heap.limits().bytes / items.size()) heap.reserve(heap.limits().bytes + 1);
  heap.work(items.empty() ? 0 : n * items.size());
  std::vector<Value> out;
  for (std::size_t i = 0; i < n && !items.empty(); ++i) out.insert(out.end(), items.begin(), items.end());
  return Value(heap.list(std::move(out)), v.kind());
}

Value concatenate(Heap& heap, const Value& a, const Value& b) {
  if (a.is_text()) {
    std::string out;
    const bool markup = a.is_markup() || b.is_markup();
    heap.reserve(a.str().size() + b.str().size());
    out.reserve(a.str().size() + b.str().size());
    for (const Value* v : {&a, &b})
      if (markup && !v->is_markup())
        out += html_escaped(v->str());
      else
        out += v->str();
    return Value(heap.text(std::move(out), markup));
  }
  const std::size_t size = a.list().items.size() + b.list().items.size();
  heap.work(size / 8);
  heap.reserve(size * sizeof(Value));
  std::vector<Value> items = a.list().items;
  items.insert(items.end(), b.list().items.begin(), b.list().items.end());
  return Value(heap.list(std::move(items)), a.kind());
}

// -1, 0, 1; both must be sequences of the same kind.
int compare_lists(Heap& heap, const std::vector<Value>& a, const std::vector<Value>& b) {
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
    if (!equal(heap, a[i], b[i])) return less(heap, a[i], b[i]) ? -1 : 1;
  return a.size() < b.size() ? -1 : static_cast<int>(a.size() > b.size());
}

}  // namespace

bool truth(Heap& heap, const Value& v) {
  heap.work(1);
  switch (v.kind()) {
    case Kind::absent:
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return v.boolean();
    case Kind::integer:
      return v.integer() != 0;
    case Kind::real:
      return v.real() != 0;
    case Kind::text:
      return !v.str().empty();
    case Kind::list:
    case Kind::tuple:
    case Kind::range:
    case Kind::view:
      return !v.list().items.empty();
    case Kind::dict:
      return v.dict().size() > 0;
    case Kind::iterator:
    case Kind::object:
      return true;
  }
  return false;
}

bool equal(Heap& heap, const Value& a, const Value& b) {
  heap.work(1);
  if (a.is_number() && b.is_number())
    return a.is_integral() && b.is_integral() ? a.integer() == b.integer() : a.real() == b.real();
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::text:
      return a.str() == b.str();
    case Kind::list:
    case Kind::tuple:
    case Kind::range:
    case Kind::view: {
      const std::vector<Value>&x = a.list().items, &y = b.list().items;
      if (&x == &y) return true;
      if (x.size() != y.size()) return false;
      const Heap::Nesting nesting(heap);
      return std::equal(x.begin(), x.end(), y.begin(),
                        [&](const Value& p, const Value& q) { return equal(heap, p, q); });
    }
    case Kind::dict: {
      if (&a.dict() == &b.dict()) return true;
      if (a.dict().size() != b.dict().size()) return false;
      const Heap::Nesting nesting(heap);
      return std::all_of(a.dict().entries().begin(), a.dict().entries().end(), [&](const Dict::Entry& e) {
        const Value* other = b.dict().find(e.first);
        return other != nullptr && equal(heap, e.second, *other);
      });
    }
    default:
      return a.same_as(b);
  }
}

bool less(Heap& heap, const Value& a, const Value& b) {
  heap.work(1);
  if (a.is_number() && b.is_number())
    return a.is_integral() && b.is_integral() ? a.integer() < b.integer() : a.real() < b.real();
  if (a.is_text() && b.is_text()) return a.str() < b.str();
  if (a.kind() == b.kind() && (a.is(Kind::list) || a.is(Kind::tuple))) {
    const Heap::Nesting nesting(heap);
    return compare_lists(heap, a.list().items, b.list().items) < 0;
  }
  for (const Value* v : {&a, &b})
    if (v->is_undefined()) fail("{}", v->undefined_message());
  fail("'<' not supported between instances of '{}' and '{}'", a.type_name(), b.type_name());
}

bool contains(Heap& heap, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::text:
      if (item.is_undefined()) fail("{}", item.undefined_message());
      if (!item.is_text()) fail("'in <string>' requires string as left operand, not {}", item.type_name());
      heap.work(container.str().size() / 64 + 1);
      return container.str().find(item.str()) != std::string_view::npos;
    case Kind::dict:
      heap.check_hashable(item);
      return container.dict().find(item) != nullptr;
    case Kind::list:
    case Kind::tuple:
    case Kind::range:
    case Kind::view:
    case Kind::iterator: {
      const std::vector<Value>& items = container.list().items;
      return std::any_of(items.begin() + static_cast<std::ptrdiff_t>(container.list().next), items.end(),
                         [&](const Value& v) { return equal(heap, v, item); });
    }
    case Kind::undefined:
      return false;
    default:
      fail("argument of type '{}' is not iterable", container.type_name());
  }
}

Value arithmetic(Heap& heap, Binary op, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return integer_arithmetic(op, a.integer(), b.integer());
    return real_arithmetic(op, a.real(), b.real());
  }
  const auto repeatable = [](const Value& v) { return v.is_text() || v.is(Kind::list) || v.is(Kind::tuple); };
  switch (op) {
    case Binary::add:
      if (a.kind() == b.kind() && repeatable(a)) return concatenate(heap, a, b);
      if (a.is_text() && !b.is_undefined())
        fail("can only concatenate str (not \"{}\") to str", b.type_name());
      break;
    case Binary::multiply:
      if (repeatable(a) && b.is_integral()) return repeat(heap, a, b.integer());
      if (repeatable(b) && a.is_integral()) return repeat(heap, b, a.integer());
      break;
    case Binary::modulo:
      if (a.is_text()) return percent_format(heap, a, b);
      break;
    default:
      break;
  }
  unsupported(name_of(op), a, b);
}

Value negative(const Value& v) {
  if (v.is(Kind::real)) return Value(-v.real());
  if (v.is_integral()) return integer_arithmetic(Binary::subtract, 0, v.integer());
  if (v.is_undefined()) fail("{}", v.undefined_message());
  fail("bad operand type for unary -: '{}'", v.type_name());
}

Value positive(const Value& v) {
  if (v.is_integral()) return Value(v.integer());
  if (v.is(Kind::real)) return v;
  if (v.is_undefined()) fail("{}", v.undefined_message());
  fail("bad operand type for unary +: '{}'", v.type_name());
}

}  // namespace rf::jinja
