// Heap: owns everything one render (or one parsed template) makes, and counts its work and memory against
// limits.
#pragma once
#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/jinja/value.h"

namespace rf::jinja {

class Render;

// What a template may use; a render that needs more fails. Real templates stay below a hundredth of each.
struct Limits {
  std::size_t steps = 20'000'000;            // nodes evaluated, items handled
  std::size_t bytes = std::size_t{1} << 30;  // of all strings and containers made
  std::size_t output = std::size_t{1} << 28;
  int depth =
      1000;  // of nested evaluation (each macro call is several levels), and half of it of nested values
};

struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<const Text*, Value>> named;
};

// Something with behaviour: a function, a macro, `loop`, a namespace.
class Object {
 public:
  Object() = default;
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  virtual std::string_view type_name() const = 0;
  virtual std::string repr() const;
  virtual bool callable() const { return false; }
  virtual Value call(Render& render, const Args& args);                   // throws unless callable()
  virtual Value attribute(Render& render, std::string_view name);         // absent() when there is none
  virtual bool assign(Render& render, const Text* name, const Value& v);  // false when it takes none
};

class Heap {
 public:
  explicit Heap(const Limits& limits) : limits_(limits) {}

  const Limits& limits() const { return limits_; }
  // Each throws Error when the limit is passed.
  void work(std::size_t steps) {
    if ((steps_ += steps) > limits_.steps) too_long();
  }
  void reserve(std::size_t bytes) {
    if (bytes > limits_.bytes || (bytes_ += bytes) > limits_.bytes) too_big();
  }

  // Guards one level of recursion into nested values.
  class Nesting {
   public:
    explicit Nesting(Heap& heap) : heap_(heap) {
      if (++heap_.depth_ > heap_.limits_.depth / 2) heap_.too_deep();
    }
    ~Nesting() { --heap_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    Heap& heap_;
  };

  // A copy of nothing: `bytes` must outlive this heap's user.
  const Text* view(std::string_view bytes, bool markup = false);
  const Text* text(std::string bytes, bool markup = false);
  Value str(std::string bytes) { return Value(text(std::move(bytes))); }
  Value str_view(std::string_view bytes) { return Value(view(bytes)); }
  List* list(std::vector<Value> items = {});
  Dict* dict();
  void append(List& list, const Value& v) {
    reserve(sizeof(Value));
    list.items.push_back(v);
  }
  void set(Dict& dict, const Value& key, const Value& v);  // throws Error on an unhashable key
  static void check_hashable(const Value& key) {
    int size = 0;
    check_hashable(key, 0, size);
  }
  template <class T, class... A>
  T* make(A&&... arguments) {
    reserve(sizeof(T) + sizeof(void*));
    auto made = std::make_unique<T>(std::forward<A>(arguments)...);
    T* object = made.get();
    objects_.push_back(std::move(made));
    return object;
  }

 private:
  // Throws Error where Python says "unhashable type"; `size` counts the parts of a tuple.
  static void check_hashable(const Value& key, int depth, int& size);
  [[noreturn]] void too_long() const;
  [[noreturn]] void too_big() const;
  [[noreturn]] void too_deep();

  Limits limits_;
  std::size_t steps_ = 0, bytes_ = 0;
  int depth_ = 0;
  std::deque<Text> texts_;
  std::deque<List> lists_;
  std::deque<Dict> dicts_;
  std::vector<std::unique_ptr<Object>> objects_;
};

}  // namespace rf::jinja
