// The part of operators.h that walks, indexes and slices.
#include <algorithm>
#include <limits>

#include "base/error.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

std::int64_t bound(const Value& v) {
  if (v.is_integral()) return v.integer();
  fail("slice indices must be integers or None, not {}", v.type_name());
}

}  // namespace

std::int64_t length(const Value& v) {
  switch (v.kind()) {
    case Kind::undefined:
      return 0;
    case Kind::text:
      return v.text().chars;
    case Kind::list:
    case Kind::tuple:
    case Kind::range:
    case Kind::view:
      return static_cast<std::int64_t>(v.list().items.size());
    case Kind::dict:
      return static_cast<std::int64_t>(v.dict().size());
    default:
      fail("object of type '{}' has no len()", v.type_name());
  }
}

bool is_iterable(const Value& v) {
  return v.is_text() || v.has_list() || v.is_dict() || v.is_undefined();
}

std::vector<Value> items_of(Heap& heap, const Value& v) {
  std::vector<Value> out;
  if (v.is_text()) {
    const std::string_view s = v.str();
    heap.work(s.size());
    for (std::size_t at = 0; at < s.size();) {
      const std::size_t n = char_size(s, at);
      out.push_back(heap.str_view(s.substr(at, n)));
      at += n;
    }
  } else if (v.is_dict()) {
    heap.work(v.dict().size());
    for (const Dict::Entry& e : v.dict().entries()) out.push_back(e.first);
  } else if (v.has_list()) {
    List& list = v.list();
    heap.work(list.items.size() - list.next + 1);
    heap.reserve((list.items.size() - list.next) * sizeof(Value));
    out.assign(list.items.begin() + static_cast<std::ptrdiff_t>(list.next), list.items.end());
    if (v.is(Kind::iterator)) list.next = list.items.size();
  } else if (!v.is_undefined()) {
    fail("'{}' object is not iterable", v.type_name());
  }
  return out;
}

Value element(Heap& heap, const Value& object, const Value& key) {
  if (object.is_dict()) {
    if (key.is(Kind::list) || key.is_dict() || key.is(Kind::view)) return Value::absent();
    heap.check_hashable(key);
    const Value* found = object.dict().find(key);
    return found == nullptr ? Value::absent() : *found;
  }
  if (!key.is_integral() || (!object.is_text() && !object.is_sequence())) return Value::absent();
  const std::int64_t size = length(object);
  std::int64_t i = key.integer();
  if (i < 0) i += size;
  if (i < 0 || i >= size) return Value::absent();
  if (!object.is_text()) return object.list().items[static_cast<std::size_t>(i)];
  const std::string_view s = object.str();
  const bool ascii = static_cast<std::size_t>(size) == s.size();
  if (!ascii) heap.work(static_cast<std::size_t>(i) / 16);
  const std::size_t at = ascii ? static_cast<std::size_t>(i) : byte_of_char(s, i);
  return Value(heap.view(s.substr(at, char_size(s, at)), object.is_markup()));
}

SliceBounds slice_bounds(const Value& from, const Value& to, const Value& step, std::int64_t size) {
  SliceBounds b{.from = 0, .to = size, .step = step.is_none() ? 1 : bound(step)};
  if (b.step == 0) fail("slice step cannot be zero");
  const bool back = b.step < 0;
  const std::int64_t lowest = back ? -1 : 0, highest = back ? size - 1 : size;
  const auto place = [&](const Value& v, std::int64_t fallback) {
    if (v.is_none()) return fallback;
    std::int64_t i = bound(v);
    if (i < 0) i += size;
    return std::clamp(i, lowest, std::max(lowest, highest));
  };
  b.from = place(from, back ? highest : lowest);
  b.to = place(to, back ? lowest : highest);
  return b;
}

Value slice(Heap& heap, const Value& object, const Value& from, const Value& to, const Value& step) {
  if (object.is_undefined()) fail("{}", object.undefined_message());
  if (!object.is_text() && !object.is_sequence()) fail("'{}' object cannot be sliced", object.type_name());
  const std::int64_t size = length(object);
  const SliceBounds b = slice_bounds(from, to, step, size);
  if (object.is_text() && b.step == 1) {
    const std::string_view s = object.str();
    const std::int64_t chars = std::max<std::int64_t>(b.to - b.from, 0);
    if (static_cast<std::size_t>(size) == s.size())
      return Value(heap.view(s.substr(static_cast<std::size_t>(b.from), static_cast<std::size_t>(chars)),
                             object.is_markup()));
    heap.work(s.size() / 16);
    const std::string_view rest = s.substr(byte_of_char(s, b.from));
    return Value(heap.view(rest.substr(0, byte_of_char(rest, chars)), object.is_markup()));
  }
  const std::vector<Value> items = items_of(heap, object);
  std::vector<Value> out;
  std::string text;
  for (std::int64_t i = b.from; b.step > 0 ? i < b.to : i > b.to;) {
    const Value& v = items[static_cast<std::size_t>(i)];
    if (object.is_text())
      text += v.str();
    else
      out.push_back(v);
    if (__builtin_add_overflow(i, b.step, &i)) break;
  }
  if (object.is_text()) return Value(heap.text(std::move(text), object.is_markup()));
  return Value(heap.list(std::move(out)), object.kind());
}

}  // namespace rf::jinja
