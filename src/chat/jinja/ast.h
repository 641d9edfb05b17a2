// The tree of a parsed template. Nodes are owned by the Tree, point at each other plainly, and run
// themselves.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/jinja/heap.h"
#include "chat/jinja/operators.h"

namespace rf::jinja {

struct Builtin;
class Render;

using NameId = std::uint32_t;  // of a variable's name within one template

enum class Flow { next, break_loop, continue_loop };

// Whether what an expression writes is escaped for HTML: as the autoescape block around it says; `ask`: as
// the one that runs last says, where its own condition is no literal.
enum class Escape : std::uint8_t { no, yes, ask };

struct Node {
  Node() = default;
  virtual ~Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  int line = 0;
};
struct Expr : Node {
  virtual Value eval(Render& render) const = 0;
};
struct Stmt : Node {
  virtual Flow exec(Render& render) const = 0;
};
using Body = std::vector<const Stmt*>;

// Expressions.

struct Literal final : Expr {
  Value value;
  Value eval(Render& render) const override;
};
struct Name final : Expr {
  NameId id = 0;
  const Text* name = nullptr;
  Value eval(Render& render) const override;
};
struct Sequence final : Expr {  // [a, b] or (a, b)
  Kind kind = Kind::list;
  std::vector<const Expr*> items;
  Value eval(Render& render) const override;
};
struct DictDisplay final : Expr {
  std::vector<std::pair<const Expr*, const Expr*>> entries;
  Value eval(Render& render) const override;
};
struct Unary final : Expr {
  enum class Op { negative, positive, logical_not } op = Op::logical_not;
  const Expr* operand = nullptr;
  Value eval(Render& render) const override;
};
struct Arithmetic final : Expr {
  Binary op = Binary::add;
  const Expr *left = nullptr, *right = nullptr;
  Value eval(Render& render) const override;
};
struct Logic final : Expr {  // `and`, `or`: the value of the operand that decides
  bool is_and = false;
  const Expr *left = nullptr, *right = nullptr;
  Value eval(Render& render) const override;
};
struct Compare final : Expr {  // a < b <= c: each operand is evaluated once
  enum class Op { eq, ne, lt, le, gt, ge, in, not_in };
  const Expr* first = nullptr;
  std::vector<std::pair<Op, const Expr*>> rest;
  Value eval(Render& render) const override;
};
bool compare(Heap& heap, Compare::Op op, const Value& a, const Value& b);
struct Concat final : Expr {  // a ~ b ~ c
  std::vector<const Expr*> parts;
  Escape escape = Escape::no;
  Value eval(Render& render) const override;
  Value escaped_concat(Render& render) const;
};
struct Conditional final : Expr {
  const Expr *test = nullptr, *then = nullptr, *otherwise = nullptr;  // without otherwise: undefined
  Value eval(Render& render) const override;
};
struct Attribute final : Expr {
  const Expr* object = nullptr;
  const Text* name = nullptr;
  Value eval(Render& render) const override;
};
struct Subscript final : Expr {
  const Expr *object = nullptr, *key = nullptr;
  Value eval(Render& render) const override;
};
struct Slice final : Expr {
  const Expr *object = nullptr, *from = nullptr, *to = nullptr, *step = nullptr;  // bounds may be null
  Value eval(Render& render) const override;
};

struct Arguments {
  std::vector<const Expr*> positional;
  std::vector<std::pair<const Text*, const Expr*>> named;
  const Expr *star = nullptr, *star_star = nullptr;  // *args, **kwargs
  Args eval(Render& render) const;
};
struct Call final : Expr {
  const Expr* callee = nullptr;
  Arguments arguments;
  Value eval(Render& render) const override { return call(render, nullptr); }
  Value call(Render& render, Object* caller) const;  // caller: the body of a {% call %} block
};
struct Filter final : Expr {
  const Expr* input = nullptr;  // null in {% filter %} and {% set %} blocks, whose text is the input
  const Builtin* builtin = nullptr;
  const Text* name = nullptr;
  Arguments arguments;
  Value eval(Render& render) const override { return apply(render, Value()); }
  Value apply(Render& render, const Value& block_text) const;
};
struct Test final : Expr {
  const Expr* operand = nullptr;
  const Builtin* builtin = nullptr;
  const Text* name = nullptr;
  Arguments arguments;
  Value eval(Render& render) const override;
};

// What can be assigned to: a name, an attribute of a namespace, or several targets in parentheses.
struct Target {
  NameId id = 0;
  const Text* name = nullptr;
  const Text* attribute = nullptr;  // of the namespace `id`
  std::vector<Target> parts;        // not empty: unpack into these
};

// Statements.

struct Data final : Stmt {
  std::string_view text;
  Flow exec(Render& render) const override;
};
struct Output final : Stmt {
  const Expr* value = nullptr;
  Escape escape = Escape::no;
  Flow exec(Render& render) const override;
};
struct If final : Stmt {
  std::vector<std::pair<const Expr*, Body>> branches;
  Body otherwise;
  Flow exec(Render& render) const override;
};
struct For final : Stmt {
  Target target;
  const Expr *iterable = nullptr, *test = nullptr;  // test: of {% for x in xs if test %}, or null
  bool recursive = false, uses_loop = false;
  Escape escape = Escape::no;  // of what loop(...) gives
  Body body, otherwise;
  Flow exec(Render& render) const override;
};
struct Set final : Stmt {
  Target target;
  const Expr* value = nullptr;
  Flow exec(Render& render) const override;
};
struct SetBlock final : Stmt {
  Target target;
  const Filter* filter = nullptr;  // the last of a chain, or null
  Body body;
  Flow exec(Render& render) const override;
};
struct FilterBlock final : Stmt {
  const Filter* filter = nullptr;
  Escape escape = Escape::no;
  Body body;
  Flow exec(Render& render) const override;
};
struct Parameter {
  NameId id = 0;
  const Text* name = nullptr;
  const Expr* fallback = nullptr;
};
struct MacroCode {  // of a macro or of the body of a call block
  const Text* name = nullptr;
  std::vector<Parameter> parameters;
  bool uses_caller = false, uses_kwargs = false, uses_varargs = false;
  Body body;
};
struct MacroDefinition final : Stmt {
  NameId id = 0;
  MacroCode code;
  Flow exec(Render& render) const override;
};
struct CallBlock final : Stmt {
  const Call* call = nullptr;
  MacroCode code;
  Flow exec(Render& render) const override;
};
struct With final : Stmt {  // also `generation`, which only opens a scope
  std::vector<std::pair<Target, const Expr*>> variables;
  Body body;
  Flow exec(Render& render) const override;
};
struct Autoescape final : Stmt {
  const Expr* enabled = nullptr;
  Body body;
  Flow exec(Render& render) const override;
};
struct Block final : Stmt {  // of a name, by which `self` knows it too
  const Text* name = nullptr;
  bool scoped = false;    // sees the variables around it; others see the template's only
  bool required = false;  // is to be given by a template that extends this one, which none does
  Body body;
  Flow exec(Render& render) const override;
};
struct OtherTemplate final : Stmt {  // include and the like
  std::string_view word;
  Flow exec(Render& render) const override;
};
struct LoopControl final : Stmt {
  Flow flow = Flow::next;
  Flow exec(Render&) const override { return flow; }
};

// Owns the source, the nodes and the constants of a template.
struct Tree {
  std::string source;
  Heap constants{Limits{}};
  std::vector<std::unique_ptr<Node>> nodes;
  std::map<std::string_view, NameId> names;
  std::vector<const Text*> name_texts;  // by id
  NameId caller = 0, kwargs = 0, varargs = 0, loop = 0;
  std::map<std::string_view, const Block*> blocks;
  Body body;

  NameId intern(std::string_view name);
};

}  // namespace rf::jinja
