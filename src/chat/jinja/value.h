// The values a template works on: Python's None, bool, int, float, str, list, tuple, dict and a few objects.
// A Value is 16 plain bytes; everything it points at lives in a Heap (or in the parsed template) and is freed
// with it at once.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rf::jinja {

class Dict;
class Object;
class Value;
struct List;

enum class Kind : std::uint8_t {
  absent,     // no value at all: a variable or argument that was not given; templates never see it
  undefined,  // jinja's Undefined: what a missing variable, attribute or element evaluates to
  none,
  boolean,
  integer,
  real,
  text,
  list,
  tuple,
  range,
  view,      // dict.keys(), .values() and .items()
  iterator,  // what map, select and the like return: can be walked once
  dict,
  object,
};

// Immutable UTF-8; `bytes` is in `own` or in memory that outlives the Heap's user.
struct Text {
  std::string_view bytes;
  std::string own;
  std::int64_t chars = 0;  // code points
  bool markup = false;     // made by `safe` or `escape`: text joined to it is HTML-escaped
};

class Value {
 public:
  enum class Missing : std::uint8_t { variable, attribute, element, hint };

  Value() = default;
  explicit Value(bool boolean) : kind_(Kind::boolean) { as_.boolean = boolean; }
  explicit Value(std::int64_t integer) : kind_(Kind::integer) { as_.integer = integer; }
  explicit Value(double real) : kind_(Kind::real) { as_.real = real; }
  explicit Value(const Text* text) : kind_(Kind::text) { as_.text = text; }
  explicit Value(Dict* dict) : kind_(Kind::dict) { as_.dict = dict; }
  explicit Value(Object* object) : kind_(Kind::object) { as_.object = object; }
  explicit Value(List* list, Kind kind = Kind::list) : kind_(kind) { as_.list = list; }
  template <class T>
  explicit Value(T) = delete;  // no silent conversions
  static Value none() { return Value(Kind::none); }
  static Value absent() { return Value(Kind::absent); }
  // What a lookup of `name` in a value of kind `holder` gives when nothing is found; for a hint, `name` is
  // the message.
  static Value undefined(Missing why, const Text* name, Kind holder = Kind::absent);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_absent() const { return kind_ == Kind::absent; }
  bool is_undefined() const { return kind_ == Kind::undefined; }
  bool is_none() const { return kind_ == Kind::none; }
  bool is_text() const { return kind_ == Kind::text; }
  bool is_markup() const { return is_text() && as_.text->markup; }
  bool is_dict() const { return kind_ == Kind::dict; }
  bool is_object() const { return kind_ == Kind::object; }
  bool is_integral() const { return kind_ == Kind::integer || kind_ == Kind::boolean; }
  bool is_number() const { return is_integral() || kind_ == Kind::real; }
  bool is_sequence() const { return kind_ == Kind::list || kind_ == Kind::tuple || kind_ == Kind::range; }
  bool has_list() const { return kind_ >= Kind::list && kind_ <= Kind::iterator; }

  // Each is only for values of that kind.
  bool boolean() const { return as_.boolean; }
  std::int64_t integer() const {
    return kind_ == Kind::boolean ? as_.boolean : as_.integer;
  }  // is_integral()
  double real() const {  // is_number()
    return kind_ == Kind::real ? as_.real : static_cast<double>(integer());
  }
  const Text& text() const { return *as_.text; }
  std::string_view str() const { return as_.text->bytes; }
  List& list() const { return *as_.list; }  // has_list()
  Dict& dict() const { return *as_.dict; }
  Object& object() const { return *as_.object; }
  bool same_as(const Value& other) const;  // Python's `is`
  std::string undefined_message() const;   // is_undefined(): why, in jinja's words
  std::string_view type_name() const;      // Python's name of the type

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::undefined;
  Missing missing_ = Missing::hint;
  Kind holder_ = Kind::absent;
  union {
    bool boolean;
    std::int64_t integer;
    double real;
    const Text* text;
    List* list;
    Dict* dict;
    Object* object;
  } as_ = {.text = nullptr};
};

struct List {
  std::vector<Value> items;
  std::string_view label = {};  // of a view: dict_keys...; of groupby's pairs: group
  std::size_t next = 0;         // of an iterator: the first item not yet taken
};

std::string_view type_name(Kind kind);

// A total order on hashable values in which equal keys (1, 1.0 and true too) are equivalent.
struct KeyLess {
  bool operator()(const Value& a, const Value& b) const;
};

// Insertion-ordered, as Python's.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;

  const std::vector<Entry>& entries() const { return entries_; }
  std::size_t size() const { return entries_.size(); }
  const Value* find(const Value& key) const;  // the key must be hashable
  const Value* find(std::string_view key) const;
  void set(const Value& key, const Value& value);
  bool erase(const Value& key);
  void clear();

 private:
  std::optional<std::size_t> position(const Value& key) const;

  std::vector<Entry> entries_;
  std::map<Value, std::size_t, KeyLess> index_;  // filled once there are more than a few entries
};

}  // namespace rf::jinja
