#include "chat/jinja/value.h"

#include <fmt/format.h>

#include <cmath>

#include "chat/jinja/heap.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

constexpr std::size_t unindexed = 8;  // so many entries are searched one by one

// Hashable values fall into classes that are never equal to one another.
int rank(const Value& v) {
  switch (v.kind()) {
    case Kind::none:
      return 1;
    case Kind::boolean:
    case Kind::integer:
    case Kind::real:
      return 2;
    case Kind::text:
      return 3;
    case Kind::tuple:
      return 4;
    case Kind::object:
      return 5;
    default:
      return 0;
  }
}

bool number_less(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return a.integer() < b.integer();
  const double x = a.real(), y = b.real();
  if (std::isnan(x) || std::isnan(y)) return !std::isnan(x) && std::isnan(y);
  return x < y;
}

}  // namespace

Value Value::undefined(Missing why, const Text* name, Kind holder) {
  Value v;
  v.missing_ = why;
  v.holder_ = holder;
  v.as_.text = name;
  return v;
}

std::string_view type_name(Kind kind) {
  switch (kind) {
    case Kind::absent:
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::text:
      return "str";
    case Kind::list:
      return "list";
    case Kind::tuple:
      return "tuple";
    case Kind::range:
      return "range";
    case Kind::view:
      return "dict view";
    case Kind::iterator:
      return "generator";
    case Kind::dict:
      return "dict";
    case Kind::object:
      return "object";
  }
  return "";
}

std::string_view Value::type_name() const {
  if (is_object()) return object().type_name();
  if (is(Kind::view)) return list().label;
  return jinja::type_name(kind_);
}

std::string Value::undefined_message() const {
  if (as_.text == nullptr) return "value is undefined";
  const std::string holder =
      holder_ == Kind::none ? "None" : fmt::format("{} object", jinja::type_name(holder_));
  switch (missing_) {
    case Missing::variable:
      return fmt::format("{} is undefined", quoted(str()));
    case Missing::attribute:
      return fmt::format("'{}' has no attribute {}", holder, quoted(str()));
    case Missing::element:
      return fmt::format("{} has no element {}", holder, str());
    case Missing::hint:
      return std::string(str());
  }
  return "";
}

bool Value::same_as(const Value& other) const {
  if (kind_ != other.kind_) return false;
  switch (kind_) {
    case Kind::absent:
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::boolean:
      return as_.boolean == other.as_.boolean;
    case Kind::integer:
      return as_.integer == other.as_.integer;
    case Kind::real:
      return as_.real == other.as_.real;
    case Kind::text:
      return as_.text == other.as_.text || str() == other.str();
    default:
      return as_.text == other.as_.text;
  }
}

bool KeyLess::operator()(const Value& a, const Value& b) const {
  const int ra = rank(a), rb = rank(b);
  if (ra != rb) return ra < rb;
  switch (ra) {
    case 2:
      return number_less(a, b);
    case 3:
      return a.str() < b.str();
    case 4: {
      const std::vector<Value>&x = a.list().items, &y = b.list().items;
      for (std::size_t i = 0; i < x.size() && i < y.size(); ++i) {
        if ((*this)(x[i], y[i])) return true;
        if ((*this)(y[i], x[i])) return false;
      }
      return x.size() < y.size();
    }
    case 5:
      return std::less<>()(&a.object(), &b.object());
    default:
      return false;
  }
}

std::optional<std::size_t> Dict::position(const Value& key) const {
  if (!index_.empty()) {
    const auto it = index_.find(key);
    return it == index_.end() ? std::nullopt : std::optional(it->second);
  }
  const KeyLess less;
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (!less(entries_[i].first, key) && !less(key, entries_[i].first)) return i;
  return std::nullopt;
}

const Value* Dict::find(const Value& key) const {
  const auto at = position(key);
  return at ? &entries_[*at].second : nullptr;
}

const Value* Dict::find(std::string_view key) const {
  if (index_.empty()) {
    for (const Entry& e : entries_)
      if (e.first.is_text() && e.first.str() == key) return &e.second;
    return nullptr;
  }
  const Text text{.bytes = key, .own = {}};
  return find(Value(&text));
}

void Dict::set(const Value& key, const Value& value) {
  if (const auto at = position(key)) {
    entries_[*at].second = value;
    return;
  }
  entries_.emplace_back(key, value);
  if (entries_.size() <= unindexed) return;
  if (index_.empty())
    for (std::size_t i = 0; i < entries_.size(); ++i) index_.emplace(entries_[i].first, i);
  else
    index_.emplace(key, entries_.size() - 1);
}

bool Dict::erase(const Value& key) {
  const auto at = position(key);
  if (!at) return false;
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(*at));
  index_.clear();
  if (entries_.size() > unindexed)
    for (std::size_t i = 0; i < entries_.size(); ++i) index_.emplace(entries_[i].first, i);
  return true;
}

void Dict::clear() {
  entries_.clear();
  index_.clear();
}

}  // namespace rf::jinja
