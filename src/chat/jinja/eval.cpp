// How expressions evaluate.
#include <algorithm>

#include "base/error.h"
#include "chat/jinja/ast.h"
#include "chat/jinja/builtin.h"
#include "chat/jinja/print.h"
#include "chat/jinja/render.h"

namespace rf::jinja {

Value Literal::eval(Render&) const {
  return value;
}

Value Name::eval(Render& render) const {
  const Value v = render.lookup(id);
  return v.is_absent() ? Value::undefined(Value::Missing::variable, name) : v;
}

Value Sequence::eval(Render& render) const {
  std::vector<Value> values;
  values.reserve(items.size());
  for (const Expr* item : items) values.push_back(render.eval(*item));
  return Value(render.heap().list(std::move(values)), kind);
}

Value DictDisplay::eval(Render& render) const {
  Dict* dict = render.heap().dict();
  for (const auto& [key, value] : entries) {
    const Value k = render.eval(*key);
    render.heap().set(*dict, k, render.eval(*value));
  }
  return Value(dict);
}

Value Unary::eval(Render& render) const {
  const Value v = render.eval(*operand);
  switch (op) {
    case Op::negative:
      return jinja::negative(v);
    case Op::positive:
      return jinja::positive(v);
    case Op::logical_not:
      return Value(!truth(render.heap(), v));
  }
  return {};
}

Value Arithmetic::eval(Render& render) const {
  const Value l = render.eval(*left);
  return arithmetic(render.heap(), op, l, render.eval(*right));
}

Value Logic::eval(Render& render) const {
  const Value l = render.eval(*left);
  return truth(render.heap(), l) == is_and ? render.eval(*right) : l;
}

bool compare(Heap& heap, Compare::Op op, const Value& a, const Value& b) {
  switch (op) {
    case Compare::Op::eq:
      return equal(heap, a, b);
    case Compare::Op::ne:
      return !equal(heap, a, b);
    case Compare::Op::lt:
      return less(heap, a, b);
    case Compare::Op::le:
      return less(heap, a, b) || equal(heap, a, b);
    case Compare::Op::gt:
      return less(heap, b, a);
    case Compare::Op::ge:
      return less(heap, b, a) || equal(heap, a, b);
    case Compare::Op::in:
      return contains(heap, b, a);
    case Compare::Op::not_in:
      return !contains(heap, b, a);
  }
  return false;
}

Value Compare::eval(Render& render) const {
  Value left = render.eval(*first);
  for (const auto& [op, operand] : rest) {
    const Value right = render.eval(*operand);
    if (!compare(render.heap(), op, left, right)) return Value(false);
    left = right;
  }
  return Value(true);
}

Value Concat::eval(Render& render) const {
  if (render.escapes(escape)) return escaped_concat(render);
  std::string text;
  for (const Expr* part : parts) {
    const Value v = render.eval(*part);
    if (v.is_text()) render.heap().reserve(v.str().size());
    text += v.is_text() ? v.str() : to_str(render.heap(), v);
  }
  return render.heap().str(std::move(text));
}

// Escaped as soon as one part is markup.
Value Concat::escaped_concat(Render& render) const {
  std::vector<Value> values;
  for (const Expr* part : parts) values.push_back(soft_str(render.heap(), render.eval(*part)));
  const bool markup = std::ranges::any_of(values, &Value::is_markup);
  std::string text;
  for (const Value& v : values) {
    render.heap().reserve(v.str().size());
    text += markup ? escaped(render.heap(), v).str() : v.str();
  }
  return Value(render.heap().text(std::move(text), markup));
}

Value Conditional::eval(Render& render) const {
  if (truth(render.heap(), render.eval(*test))) return render.eval(*then);
  if (otherwise != nullptr) return render.eval(*otherwise);
  static const Text why{.bytes = "the inline if-expression has no else", .own = {}};
  return Value::undefined(Value::Missing::hint, &why);
}

Value Attribute::eval(Render& render) const {
  return render.attribute(render.eval(*object), name);
}

Value Subscript::eval(Render& render) const {
  const Value o = render.eval(*object);
  return render.item(o, render.eval(*key));
}

Value Slice::eval(Render& render) const {
  const Value o = render.eval(*object);
  const auto bound = [&](const Expr* e) { return e == nullptr ? Value::none() : render.eval(*e); };
  const Value a = bound(from), b = bound(to);
  return slice(render.heap(), o, a, b, bound(step));
}

Args Arguments::eval(Render& render) const {
  Args args;
  args.positional.reserve(positional.size());
  for (const Expr* e : positional) args.positional.push_back(render.eval(*e));
  if (star != nullptr)
    for (const Value& v : items_of(render.heap(), render.eval(*star))) args.positional.push_back(v);
  for (const auto& [name, e] : named) args.named.emplace_back(name, render.eval(*e));
  if (star_star == nullptr) return args;
  const Value more = render.eval(*star_star);
  if (!more.is_dict()) fail("argument after ** must be a mapping, not {}", more.type_name());
  for (const auto& [key, value] : more.dict().entries()) {
    if (!key.is_text()) fail("keywords must be strings");
    args.named.emplace_back(&key.text(), value);
  }
  return args;
}

Value Call::call(Render& render, Object* caller) const {
  // A method is called without making a function object of it first.
  const auto* method = dynamic_cast<const Attribute*>(callee);
  const Value object = render.eval(method == nullptr ? *callee : *method->object);
  Args args = arguments.eval(render);
  if (caller != nullptr)
    args.named.emplace_back(render.tree().name_texts[render.tree().caller], Value(caller));
  return method == nullptr ? render.call(object, args) : render.call_method(object, method->name, args);
}

Value Filter::apply(Render& render, const Value& block_text) const {
  std::vector<const Filter*> chain = {this};  // a loop, as chains may be longer than the stack is deep
  while (const auto* inner = dynamic_cast<const Filter*>(chain.back()->input)) chain.push_back(inner);
  const Expr* first = chain.back()->input;
  Value v = first == nullptr ? block_text : render.eval(*first);
  for (auto filter = chain.rbegin(); filter != chain.rend(); ++filter) {
    const Filter& f = **filter;
    if (f.builtin == nullptr) fail("there is no filter '{}'", f.name->bytes);
    v = jinja::call(render, *f.builtin, v, f.arguments.eval(render));
  }
  return v;
}

Value Test::eval(Render& render) const {
  if (builtin == nullptr) fail("there is no test '{}'", name->bytes);
  const Value v = render.eval(*operand);
  return jinja::call(render, *builtin, v, arguments.eval(render));
}

}  // namespace rf::jinja
