// Python's operators on values. Each throws Error where Python raises, with the names of the types.
#pragma once
#include <span>
#include <string_view>

#include "chat/jinja/heap.h"

namespace rf::jinja {

bool truth(Heap& heap, const Value& v);
bool equal(Heap& heap, const Value& a, const Value& b);
bool less(Heap& heap, const Value& a, const Value& b);  // a < b
bool contains(Heap& heap, const Value& container, const Value& item);

enum class Binary : std::uint8_t { add, subtract, multiply, divide, floor_divide, modulo, power };
Value arithmetic(Heap& heap, Binary op, const Value& a, const Value& b);
Value negative(const Value& v);
Value positive(const Value& v);

std::int64_t length(const Value& v);  // len(v)
bool is_iterable(const Value& v);
// What a loop over v takes: list items, characters, a dict's keys; empties an iterator.
std::vector<Value> items_of(Heap& heap, const Value& v);

// object[key] and object.name without methods and objects' attributes: an element, or absent().
Value element(Heap& heap, const Value& object, const Value& key);
// object[from:to:step]; bounds may be none().
Value slice(Heap& heap, const Value& object, const Value& from, const Value& to, const Value& step);
// The bounds of a slice over `size` elements, as Python's slice.indices gives them.
struct SliceBounds {
  std::int64_t from, to, step;
};
SliceBounds slice_bounds(const Value& from, const Value& to, const Value& step, std::int64_t size);

}  // namespace rf::jinja
