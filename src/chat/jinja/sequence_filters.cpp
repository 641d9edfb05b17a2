// Filters on sequences and dicts.
#include <algorithm>
#include <iterator>
#include <list>

#include "base/error.h"
#include "chat/jinja/attribute_path.h"
#include "chat/jinja/builtin.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"
#include "chat/jinja/render.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

Value list_of(Render& r, std::vector<Value> items, Kind kind = Kind::list) {
  return Value(r.heap().list(std::move(items)), kind);
}
Value hint(const Text& text) {
  return Value::undefined(Value::Missing::hint, &text);
}
// What sort, unique, min, max and groupby compare: text without case unless asked.
Value folded(Render& r, const Value& v, bool case_sensitive) {
  return v.is_text() && !case_sensitive ? r.heap().str(to_lower(v.str())) : v;
}

Value f_length(Render&, const Bound& b) {
  return Value(length(b.self));
}

Value f_first(Render& r, const Bound& b) {
  static const Text none{.bytes = "No first item, sequence was empty.", .own = {}};
  if (b.self.is(Kind::iterator)) {
    List& list = b.self.list();
    return list.next < list.items.size() ? list.items[list.next++] : hint(none);
  }
  if (b.self.is_sequence()) return b.self.list().items.empty() ? hint(none) : b.self.list().items.front();
  const std::vector<Value> items = items_of(r.heap(), b.self);
  return items.empty() ? hint(none) : items.front();
}

Value f_last(Render& r, const Bound& b) {
  static const Text none{.bytes = "No last item, sequence was empty.", .own = {}};
  const std::vector<Value> items = items_of(r.heap(), b.self);
  return items.empty() ? hint(none) : items.back();
}

Value f_list(Render& r, const Bound& b) {
  return list_of(r, items_of(r.heap(), b.self));
}

// In an autoescape block all is escaped as soon as the separator or an item is markup.
Value f_join(Render& r, const Bound& b) {
  Heap& heap = r.heap();
  const AttributePath path(r, b.has(1) ? b.arg[1] : Value::none());
  Value separator = b.has(0) ? soft_str(heap, b.arg[0]) : heap.str("");
  std::vector<Value> parts;
  for (const Value& item : items_of(heap, b.self)) parts.push_back(soft_str(heap, path.get(r, item)));
  const bool markup =
      r.autoescape() && (separator.is_markup() || std::ranges::any_of(parts, &Value::is_markup));
  if (markup) separator = escaped(heap, separator);
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string_view part = markup ? escaped(heap, parts[i]).str() : parts[i].str();
    heap.reserve(separator.str().size() + part.size());
    if (i > 0) out += separator.str();
    out += part;
  }
  return Value(heap.text(std::move(out), markup));
}

Value f_random(Render& r, const Bound& b) {
  static const Text none{.bytes = "No random item, sequence was empty.", .own = {}};
  if (!b.self.is_text() && !b.self.is_sequence() && !b.self.is_undefined())
    fail("random needs a sequence, found {}", b.self.type_name());
  const std::vector<Value> items = items_of(r.heap(), b.self);
  return items.empty() ? hint(none) : items[r.pick(items.size())];
}

Value f_reverse(Render& r, const Bound& b) {
  if (b.self.is_text()) {
    const Value back(std::int64_t{-1});
    return slice(r.heap(), b.self, Value::none(), Value::none(), back);
  }
  std::vector<Value> items = items_of(r.heap(), b.self);
  std::reverse(items.begin(), items.end());
  return list_of(r, std::move(items), Kind::iterator);
}

Value f_items(Render& r, const Bound& b) {
  if (b.self.is_undefined()) return list_of(r, {}, Kind::iterator);
  if (!b.self.is_dict()) fail("Can only get item pairs from a mapping.");
  std::vector<Value> items;
  for (const auto& [key, value] : b.self.dict().entries())
    items.push_back(list_of(r, {key, value}, Kind::tuple));
  return list_of(r, std::move(items), Kind::iterator);
}

struct Keyed {
  std::vector<Value> key;
  Value value;
};

// Sorts by key, keeping the order of equal ones; `reverse` keeps it too.
void sort_keyed(Heap& heap, std::vector<Keyed>& items, bool reverse) {
  const auto before = [&](const Keyed& a, const Keyed& b) {
    for (std::size_t i = 0; i < a.key.size(); ++i) {
      if (equal(heap, a.key[i], b.key[i])) continue;
      return reverse ? less(heap, b.key[i], a.key[i]) : less(heap, a.key[i], b.key[i]);
    }
    return false;
  };
  // A list's merge sort is stable, and safe where NaN makes the order inconsistent.
  std::list<Keyed> sorted(std::make_move_iterator(items.begin()), std::make_move_iterator(items.end()));
  sorted.sort(before);
  items.assign(std::make_move_iterator(sorted.begin()), std::make_move_iterator(sorted.end()));
}

Value values_of(Render& r, const std::vector<Keyed>& items) {
  std::vector<Value> out;
  for (const Keyed& k : items) out.push_back(k.value);
  return list_of(r, std::move(out));
}

Value f_sort(Render& r, const Bound& b) {
  const bool reverse = b.flag(r.heap(), 0, false), case_sensitive = b.flag(r.heap(), 1, false);
  std::vector<AttributePath> paths;
  if (b.has(2) && b.arg[2].is_text())
    for (const std::string_view part : split(b.arg[2].str(), ",", -1, false))
      paths.emplace_back(r, r.heap().str_view(part));
  else
    paths.emplace_back(r, b.get(2, Value::none()));
  std::vector<Keyed> items;
  for (const Value& v : items_of(r.heap(), b.self)) {
    Keyed keyed{.key = {}, .value = v};
    for (const AttributePath& path : paths) keyed.key.push_back(folded(r, path.get(r, v), case_sensitive));
    items.push_back(std::move(keyed));
  }
  sort_keyed(r.heap(), items, reverse);
  return values_of(r, items);
}

Value f_dictsort(Render& r, const Bound& b) {
  const bool case_sensitive = b.flag(r.heap(), 0, false), reverse = b.flag(r.heap(), 2, false);
  const std::string_view by = b.has(1) ? b.text(1) : "key";
  if (by != "key" && by != "value") fail("You can only sort by either \"key\" or \"value\"");
  if (b.self.is_undefined()) fail("{}", b.self.undefined_message());
  if (!b.self.is_dict()) fail("'{}' object has no attribute 'items'", b.self.type_name());
  std::vector<Keyed> items;
  for (const auto& [key, value] : b.self.dict().entries())
    items.push_back({.key = {folded(r, by == "key" ? key : value, case_sensitive)},
                     .value = list_of(r, {key, value}, Kind::tuple)});
  sort_keyed(r.heap(), items, reverse);
  return values_of(r, items);
}

Value f_unique(Render& r, const Bound& b) {
  const bool case_sensitive = b.flag(r.heap(), 0, false);
  const AttributePath path(r, b.get(1, Value::none()));
  Dict seen;
  std::vector<Value> out;
  for (const Value& v : items_of(r.heap(), b.self)) {
    const Value key = folded(r, path.get(r, v), case_sensitive);
    Heap::check_hashable(key);
    if (seen.find(key) != nullptr) continue;
    r.heap().set(seen, key, v);
    out.push_back(v);
  }
  return list_of(r, std::move(out), Kind::iterator);
}

Value extreme(Render& r, const Bound& b, bool largest) {
  static const Text none{.bytes = "No aggregated item, sequence was empty.", .own = {}};
  const bool case_sensitive = b.flag(r.heap(), 0, false);
  const AttributePath path(r, b.get(1, Value::none()));
  const std::vector<Value> items = items_of(r.heap(), b.self);
  if (items.empty()) return hint(none);
  Value best = items[0], best_key = folded(r, path.get(r, best), case_sensitive);
  for (std::size_t i = 1; i < items.size(); ++i) {
    const Value key = folded(r, path.get(r, items[i]), case_sensitive);
    if (!(largest ? less(r.heap(), best_key, key) : less(r.heap(), key, best_key))) continue;
    best = items[i];
    best_key = key;
  }
  return best;
}
Value f_min(Render& r, const Bound& b) {
  return extreme(r, b, false);
}
Value f_max(Render& r, const Bound& b) {
  return extreme(r, b, true);
}

Value f_sum(Render& r, const Bound& b) {
  const AttributePath path(r, b.get(0, Value::none()));
  Value total = b.get(1, Value(std::int64_t{0}));
  if (total.is_text()) fail("sum() can't sum strings [use ''.join(seq) instead]");
  for (const Value& v : items_of(r.heap(), b.self))
    total = arithmetic(r.heap(), Binary::add, total, path.get(r, v));
  return total;
}

Value f_groupby(Render& r, const Bound& b) {
  const bool case_sensitive = b.flag(r.heap(), 2, false);
  const AttributePath path(r, b.arg[0], b.get(1, Value::none()));
  std::vector<Keyed> items;
  for (const Value& v : items_of(r.heap(), b.self))
    items.push_back({.key = {folded(r, path.get(r, v), case_sensitive)}, .value = v});
  for (const Keyed& k : items)
    if (items.size() > 1 && k.key[0].is_undefined()) fail("{}", k.key[0].undefined_message());
  sort_keyed(r.heap(), items, false);
  std::vector<Value> groups;
  for (std::size_t i = 0; i < items.size();) {
    std::vector<Value> members;
    const std::size_t first = i;
    while (i < items.size() && equal(r.heap(), items[i].key[0], items[first].key[0]))
      members.push_back(items[i++].value);
    const Value grouper = path.get(r, members[0]);
    List* pair = r.heap().list({grouper, list_of(r, std::move(members))});
    pair->label = "group";
    groups.emplace_back(pair, Kind::tuple);
  }
  return list_of(r, std::move(groups));
}

Value f_batch(Render& r, const Bound& b) {
  const std::int64_t size = b.integer(0, 0);
  std::vector<Value> rows, row;
  for (const Value& v : items_of(r.heap(), b.self)) {
    if (static_cast<std::int64_t>(row.size()) == size) rows.push_back(list_of(r, std::exchange(row, {})));
    row.push_back(v);
  }
  if (!row.empty()) {
    const bool fill = b.has(1) && !b.arg[1].is_none();
    while (fill && static_cast<std::int64_t>(row.size()) < size) {
      r.heap().reserve(sizeof(Value));
      row.push_back(b.arg[1]);
    }
    rows.push_back(list_of(r, std::move(row)));
  }
  return list_of(r, std::move(rows), Kind::iterator);
}

Value f_slice(Render& r, const Bound& b) {
  const std::int64_t slices = b.integer(0, 0);
  if (slices == 0) fail("integer division or modulo by zero");
  const std::vector<Value> items = items_of(r.heap(), b.self);
  const auto size = static_cast<std::int64_t>(items.size());
  std::vector<Value> out;
  for (std::int64_t i = 0, at = 0; i < slices; ++i) {
    r.heap().work(1);
    const bool extra = i < size % slices;
    const std::int64_t end = at + size / slices + static_cast<std::int64_t>(extra);
    std::vector<Value> part(items.begin() + at, items.begin() + end);
    if (b.has(1) && !b.arg[1].is_none() && !extra) part.push_back(b.arg[1]);
    out.push_back(list_of(r, std::move(part)));
    at = end;
  }
  return list_of(r, std::move(out), Kind::iterator);
}

}  // namespace

std::span<const Builtin> sequence_filters() {
  static constexpr Builtin table[] = {
      {"batch", f_batch, "linecount,fill_with", 1},
      {"count", f_length, ""},
      {"dictsort", f_dictsort, "case_sensitive,by,reverse"},
      {"first", f_first, ""},
      {"groupby", f_groupby, "attribute,default,case_sensitive", 1},
      {"items", f_items, ""},
      {"join", f_join, "d,attribute"},
      {"last", f_last, ""},
      {"length", f_length, ""},
      {"list", f_list, ""},
      {"max", f_max, "case_sensitive,attribute"},
      {"min", f_min, "case_sensitive,attribute"},
      {"random", f_random, ""},
      {"reverse", f_reverse, ""},
      {"slice", f_slice, "slices,fill_with", 1},
      {"sort", f_sort, "reverse,case_sensitive,attribute"},
      {"sum", f_sum, "attribute,start"},
      {"unique", f_unique, "case_sensitive,attribute"},
  };
  return table;
}

}  // namespace rf::jinja
