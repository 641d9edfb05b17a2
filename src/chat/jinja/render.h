// Render: one rendering of a template in progress: its heap, scopes, output and limits.
#pragma once
#include <ctime>
#include <deque>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "chat/jinja/ast.h"
#include "chat/jinja/heap.h"

namespace rf::jinja {

// What raise_exception throws: the template refuses its input in its own words.
class Refusal : public Error {
 public:
  using Error::Error;
};

// Variables of one block, inside those of `parent`. Macros keep the scope they were defined in.
struct Scope {
  Scope* parent = nullptr;
  bool captured = false;  // a macro may still use it after its block has ended
  std::vector<std::pair<NameId, Value>> variables;
};

class Render {
 public:
  Render(const Tree& tree, const Limits& limits, const std::tm& now);

  Heap& heap() { return heap_; }
  const Tree& tree() const { return tree_; }
  const std::tm& now() const { return now_; }
  int line() const { return line_; }  // of the template, for messages

  // Sets a global variable, if the template mentions it.
  void set_global(std::string_view name, const Value& v);
  Value blocks();  // what the template sees as `self`
  // The whole template's text.
  std::string run();

  Value eval(const Expr& e);
  Flow exec(const Body& body);
  void write(std::string_view text);
  void write(const Value& v, Escape escape);
  // As the autoescape block that runs last says.
  bool autoescape() const { return autoescape_; }
  void set_autoescape(bool on) { autoescape_ = on; }
  bool escapes(Escape e) const { return e == Escape::yes || (e == Escape::ask && autoescape_); }
  // A place among `size`: at random, but the same in every rendering, as prompts should be.
  std::size_t pick(std::size_t size) { return static_cast<std::size_t>(random_() % size); }
  // Text that the template wrote itself: markup where it was escaped.
  Value written(std::string text, bool escaped) { return Value(heap_.text(std::move(text), escaped)); }
  // The text that `body` (which may be any function) writes.
  template <class Run>
  std::string capture(Run&& run) {
    const Capture capture(*this);
    run();
    return std::move(out_);
  }
  std::string capture(const Body& body) {
    return capture([&] { exec(body); });
  }

  // The variable's value, absent() where it has none.
  Value lookup(NameId id);
  void assign(NameId id, const Value& v);             // in the current scope
  void assign(const Target& target, const Value& v);  // throws where it cannot be unpacked
  Scope* scope() const { return scope_; }
  // The current scope and those around it outlive their blocks.
  void capture_scopes();

  // A new scope inside `parent`, current until the end of this object's life.
  class Inside {
   public:
    Inside(Render& render, Scope* parent);
    ~Inside();
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    void renew();  // an empty scope in the same place

   private:
    Render& render_;
    Scope* before_;
  };

  // jinja's object.name (attributes and methods first) and object[key] (elements first).
  Value attribute(const Value& object, const Text* name);
  Value item(const Value& object, const Value& key);
  Value call(const Value& callee, const Args& args);
  Value call_method(const Value& object, const Text* name, const Args& args);

 private:
  // One level of nested evaluation.
  class Level {
   public:
    explicit Level(Render& render);
    ~Level() { --render_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Render& render_;
  };
  // Sets the output so far aside for as long as it lives.
  class Capture {
   public:
    explicit Capture(Render& render);
    ~Capture();
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

   private:
    Render& render_;
    std::string outer_;
  };

  Scope* open_scope(Scope* parent);
  void close_scope(Scope* scope);

  const Tree& tree_;
  Heap heap_;
  std::tm now_;
  std::vector<Value> globals_;  // by NameId; absent() where unset
  std::deque<Scope> scopes_;
  std::vector<Scope*> free_scopes_;
  Scope* scope_ = nullptr;  // null: the template's top level, whose variables are the globals
  std::string out_;
  std::size_t captured_ = 0;  // bytes of output that outer captures hold
  int depth_ = 0, line_ = 1;
  bool autoescape_ = false;
  std::minstd_rand random_;
};

}  // namespace rf::jinja
