// Filters that take a filter or a test: map, select, reject, selectattr, rejectattr.
#include <algorithm>

#include "base/error.h"
#include "chat/jinja/attribute_path.h"
#include "chat/jinja/builtin.h"
#include "chat/jinja/number.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/render.h"
#include "chat/jinja/text.h"

namespace rf::jinja {

AttributePath::AttributePath(Render& render, const Value& attribute, const Value& fallback)
    : fallback_(fallback) {
  if (attribute.is_none()) return;
  if (!attribute.is_text()) {
    parts_.push_back(attribute);
    return;
  }
  for (const std::string_view part : split(attribute.str(), ".", -1, false)) {
    const bool index = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    parts_.push_back(index ? Value(parse_int(part, 10).value_or(0)) : render.heap().str_view(part));
  }
}

Value AttributePath::get(Render& render, const Value& item) const {
  Value v = item;
  for (const Value& part : parts_) {
    v = render.item(v, part);
    if (v.is_undefined() && !fallback_.is_none()) v = fallback_;
  }
  return v;
}

namespace {

// The positional arguments from `from` on, and all named ones.
Args rest(const Args& args, std::size_t from) {
  Args out;
  out.positional.assign(args.positional.begin() + static_cast<std::ptrdiff_t>(from), args.positional.end());
  out.named = args.named;
  return out;
}

Value named(const Args& args, std::string_view name) {
  for (const auto& [key, value] : args.named)
    if (key->bytes == name) return value;
  return Value::none();
}

std::string_view name_of(const Value& v, std::string_view what) {
  if (!v.is_text()) fail("expected the name of a {}, found {}", what, v.type_name());
  return v.str();
}

// These filters take any false value, none too, for an empty sequence.
std::vector<Value> items_unless_false(Render& r, const Value& v) {
  return truth(r.heap(), v) ? items_of(r.heap(), v) : std::vector<Value>();
}

Value f_map(Render& r, const Bound& b) {
  const Args& args = b.all;
  std::vector<Value> out;
  const std::vector<Value> items = items_unless_false(r, b.self);
  if (args.positional.empty()) {
    const Value attribute = named(args, "attribute");
    if (attribute.is_none()) fail("map requires a filter argument");
    for (const auto& [key, value] : args.named)
      if (key->bytes != "attribute" && key->bytes != "default")
        fail("Unexpected keyword argument '{}'", key->bytes);
    const AttributePath path(r, attribute, named(args, "default"));
    for (const Value& v : items) out.push_back(path.get(r, v));
  } else {
    const std::string_view name = name_of(args.positional[0], "filter");
    const Builtin* filter = find_filter(name);
    if (filter == nullptr) fail("there is no filter '{}'", name);
    const Args more = rest(args, 1);
    for (const Value& v : items) out.push_back(call(r, *filter, v, more));
  }
  return Value(r.heap().list(std::move(out)), Kind::iterator);
}

// Keeps the items that (with an attribute: whose attribute) pass the test, or with `keep` false those that
// fail it.
Value choose(Render& r, const Bound& b, bool attribute, bool keep) {
  const Args& args = b.all;
  const std::size_t test_at = attribute ? 1 : 0;
  if (attribute && args.positional.empty()) fail("Missing parameter for attribute name");
  const AttributePath path(r, attribute ? args.positional[0] : Value::none());
  const Builtin* test = nullptr;
  Args more;
  if (args.positional.size() > test_at) {
    const std::string_view name = name_of(args.positional[test_at], "test");
    test = find_test(name);
    if (test == nullptr) fail("there is no test '{}'", name);
    more = rest(args, test_at + 1);
  }
  std::vector<Value> out;
  for (const Value& v : items_unless_false(r, b.self)) {
    const Value tested = path.get(r, v);
    const bool passed = truth(r.heap(), test == nullptr ? tested : call(r, *test, tested, more));
    if (passed == keep) out.push_back(v);
  }
  return Value(r.heap().list(std::move(out)), Kind::iterator);
}

Value f_select(Render& r, const Bound& b) {
  return choose(r, b, false, true);
}
Value f_reject(Render& r, const Bound& b) {
  return choose(r, b, false, false);
}
Value f_selectattr(Render& r, const Bound& b) {
  return choose(r, b, true, true);
}
Value f_rejectattr(Render& r, const Bound& b) {
  return choose(r, b, true, false);
}

}  // namespace

std::span<const Builtin> selection_filters() {
  static constexpr Builtin table[] = {
      {"map", f_map, "*"},       {"reject", f_reject, "*"},         {"rejectattr", f_rejectattr, "*"},
      {"select", f_select, "*"}, {"selectattr", f_selectattr, "*"},
  };
  return table;
}

}  // namespace rf::jinja
