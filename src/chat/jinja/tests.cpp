// Tests: what may follow `is`.
#include "base/error.h"
#include "chat/jinja/ast.h"
#include "chat/jinja/builtin.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"
#include "chat/jinja/render.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

template <Kind kind>
Value is_kind(Render&, const Bound& b) {
  return Value(b.self.is(kind));
}
template <bool wanted>
Value is_boolean(Render&, const Bound& b) {
  return Value(b.self.is(Kind::boolean) && b.self.boolean() == wanted);
}
template <Compare::Op op>
Value compares(Render& r, const Bound& b) {
  return Value(compare(r.heap(), op, b.self, b.arg[0]));
}

Value t_defined(Render&, const Bound& b) {
  return Value(!b.self.is_undefined());
}
Value t_number(Render&, const Bound& b) {
  return Value(b.self.is_number());
}
Value t_sequence(Render&, const Bound& b) {
  return Value(b.self.is_text() || b.self.is_sequence() || b.self.is_dict() || b.self.is_undefined());
}
Value t_iterable(Render&, const Bound& b) {
  return Value(is_iterable(b.self));
}
Value t_callable(Render&, const Bound& b) {
  return Value(b.self.is_undefined() || (b.self.is_object() && b.self.object().callable()));
}
Value t_sameas(Render&, const Bound& b) {
  return Value(b.self.same_as(b.arg[0]));
}
Value t_escaped(Render&, const Bound& b) {
  return Value(b.self.is_markup());
}

// Whether there are cased letters and all are of the one case.
Value all_cased(Render& r, const Value& v, bool (*wanted)(char32_t), bool (*other)(char32_t)) {
  const std::string s = to_str(r.heap(), v);
  bool any = false;
  for (std::size_t at = 0; at < s.size();) {
    const char32_t c = next_char(s, at);
    if (other(c)) return Value(false);
    any = any || wanted(c);
  }
  return Value(any);
}
Value t_lower(Render& r, const Bound& b) {
  return all_cased(r, b.self, is_lower, is_upper);
}
Value t_upper(Render& r, const Bound& b) {
  return all_cased(r, b.self, is_upper, is_lower);
}

bool divisible(Heap& heap, const Value& v, const Value& by) {
  return equal(heap, arithmetic(heap, Binary::modulo, v, by), Value(std::int64_t{0}));
}
Value t_even(Render& r, const Bound& b) {
  return Value(divisible(r.heap(), b.self, Value(std::int64_t{2})));
}
Value t_odd(Render& r, const Bound& b) {
  const Value rest = arithmetic(r.heap(), Binary::modulo, b.self, Value(std::int64_t{2}));
  return Value(equal(r.heap(), rest, Value(std::int64_t{1})));
}
Value t_divisibleby(Render& r, const Bound& b) {
  return Value(divisible(r.heap(), b.self, b.arg[0]));
}
Value t_filter(Render&, const Bound& b) {
  return Value(b.self.is_text() && find_filter(b.self.str()) != nullptr);
}
Value t_test(Render&, const Bound& b) {
  return Value(b.self.is_text() && find_test(b.self.str()) != nullptr);
}

}  // namespace

std::span<const Builtin> tests() {
  using Op = Compare::Op;
  static constexpr Builtin table[] = {
      {"!=", compares<Op::ne>, "other", 1},
      {"<", compares<Op::lt>, "other", 1},
      {"<=", compares<Op::le>, "other", 1},
      {"==", compares<Op::eq>, "other", 1},
      {">", compares<Op::gt>, "other", 1},
      {">=", compares<Op::ge>, "other", 1},
      {"boolean", is_kind<Kind::boolean>, ""},
      {"callable", t_callable, ""},
      {"defined", t_defined, ""},
      {"divisibleby", t_divisibleby, "num", 1},
      {"eq", compares<Op::eq>, "other", 1},
      {"equalto", compares<Op::eq>, "other", 1},
      {"escaped", t_escaped, ""},
      {"even", t_even, ""},
      {"false", is_boolean<false>, ""},
      {"filter", t_filter, ""},
      {"float", is_kind<Kind::real>, ""},
      {"ge", compares<Op::ge>, "other", 1},
      {"greaterthan", compares<Op::gt>, "other", 1},
      {"gt", compares<Op::gt>, "other", 1},
      {"in", compares<Op::in>, "seq", 1},
      {"integer", is_kind<Kind::integer>, ""},
      {"iterable", t_iterable, ""},
      {"le", compares<Op::le>, "other", 1},
      {"lessthan", compares<Op::lt>, "other", 1},
      {"lower", t_lower, ""},
      {"lt", compares<Op::lt>, "other", 1},
      {"mapping", is_kind<Kind::dict>, ""},
      {"ne", compares<Op::ne>, "other", 1},
      {"none", is_kind<Kind::none>, ""},
      {"number", t_number, ""},
      {"odd", t_odd, ""},
      {"sameas", t_sameas, "other", 1},
      {"sequence", t_sequence, ""},
      {"string", is_kind<Kind::text>, ""},
      {"test", t_test, ""},
      {"true", is_boolean<true>, ""},
      {"undefined", is_kind<Kind::undefined>, ""},
      {"upper", t_upper, ""},
  };
  return table;
}

}  // namespace rf::jinja
