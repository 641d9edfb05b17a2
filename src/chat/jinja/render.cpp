#include "chat/jinja/render.h"

#include "chat/jinja/builtin.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

// A builtin on its own: a global function, or a method with its object.
class Function final : public Object {
 public:
  Function(const Builtin& builtin, const Value& self) : builtin_(builtin), self_(self) {}
  std::string_view type_name() const override { return "builtin_function_or_method"; }
  std::string repr() const override { return fmt::format("<built-in method {}>", builtin_.name); }
  bool callable() const override { return true; }
  Value call(Render& render, const Args& args) override { return jinja::call(render, builtin_, self_, args); }

 private:
  const Builtin& builtin_;
  const Value self_;
};

}  // namespace

Render::Render(const Tree& tree, const Limits& limits, const std::tm& now)
    : tree_(tree), heap_(limits), now_(now), globals_(tree.name_texts.size(), Value::absent()) {
  for (NameId id = 0; id < globals_.size(); ++id)
    if (const Builtin* b = find_global(tree.name_texts[id]->bytes))
      globals_[id] = Value(static_cast<Object*>(heap_.make<Function>(*b, Value())));
}

void Render::set_global(std::string_view name, const Value& v) {
  const auto it = tree_.names.find(name);
  if (it != tree_.names.end()) globals_[it->second] = v;
}

std::string Render::run() {
  if (const auto self = tree_.names.find("self"); self != tree_.names.end())
    globals_[self->second] = blocks();
  exec(tree_.body);
  return std::move(out_);
}

Render::Level::Level(Render& render) : render_(render) {
  if (++render_.depth_ <= render_.heap_.limits().depth) return;
  --render_.depth_;
  fail("the template nests more than {} evaluations", render_.heap_.limits().depth);
}

Value Render::eval(const Expr& e) {
  const Level level(*this);
  heap_.work(1);
  return e.eval(*this);
}

Flow Render::exec(const Body& body) {
  const Level level(*this);
  for (const Stmt* statement : body) {
    heap_.work(1);
    line_ = statement->line;
    if (const Flow flow = statement->exec(*this); flow != Flow::next) return flow;
  }
  return Flow::next;
}

void Render::write(std::string_view text) {
  if (captured_ + out_.size() + text.size() > heap_.limits().output)
    fail("the template writes more than {} bytes", heap_.limits().output);
  out_ += text;
}

void Render::write(const Value& v, Escape escape) {
  if (escapes(escape))
    write(escaped(heap_, v).str());
  else if (v.is_text())
    write(v.str());
  else
    write(to_str(heap_, v));
}

Render::Capture::Capture(Render& render) : render_(render), outer_(std::move(render.out_)) {
  render_.out_.clear();
  render_.captured_ += outer_.size();
}
Render::Capture::~Capture() {
  render_.captured_ -= outer_.size();
  render_.out_ = std::move(outer_);
}

Value Render::lookup(NameId id) {
  std::size_t passed = 0;
  for (const Scope* s = scope_; s != nullptr; s = s->parent) {
    for (const auto& [name, value] : s->variables)
      if (name == id) return value;
    passed += s->variables.size();
  }
  heap_.work(passed / 16);
  return globals_[id];
}

void Render::assign(NameId id, const Value& v) {
  if (scope_ == nullptr) {
    globals_[id] = v;
    return;
  }
  heap_.work(scope_->variables.size() / 16);
  for (auto& [name, value] : scope_->variables)
    if (name == id) {
      value = v;
      return;
    }
  scope_->variables.emplace_back(id, v);
}

void Render::assign(const Target& target, const Value& v) {
  if (target.attribute != nullptr) {
    const Value holder = lookup(target.id);
    if (!holder.is_object() || !holder.object().assign(*this, target.attribute, v))
      fail("cannot assign attribute '{}': '{}' is not a namespace", target.attribute->bytes,
           target.name->bytes);
    return;
  }
  if (target.parts.empty()) return assign(target.id, v);
  const std::vector<Value> items = items_of(heap_, v);
  if (items.size() != target.parts.size())
    fail("{} values to unpack (expected {}, got {})",
         items.size() < target.parts.size() ? "not enough" : "too many", target.parts.size(), items.size());
  for (std::size_t i = 0; i < items.size(); ++i) assign(target.parts[i], items[i]);
}

void Render::capture_scopes() {
  for (Scope* s = scope_; s != nullptr && !s->captured; s = s->parent) s->captured = true;
}

Scope* Render::open_scope(Scope* parent) {
  if (free_scopes_.empty()) {
    heap_.reserve(sizeof(Scope) + 4 * sizeof(Value));
    free_scopes_.push_back(&scopes_.emplace_back());
  }
  Scope* s = free_scopes_.back();
  free_scopes_.pop_back();
  s->parent = parent;
  return s;
}

void Render::close_scope(Scope* scope) {
  if (scope->captured) return;
  scope->variables.clear();
  free_scopes_.push_back(scope);
}

Render::Inside::Inside(Render& render, Scope* parent) : render_(render), before_(render.scope_) {
  render_.scope_ = render_.open_scope(parent);
}
Render::Inside::~Inside() {
  render_.close_scope(render_.scope_);
  render_.scope_ = before_;
}
void Render::Inside::renew() {
  Scope* old = render_.scope_;
  Scope* parent = old->parent;
  render_.close_scope(old);
  render_.scope_ = render_.open_scope(parent);
}

Value Render::attribute(const Value& object, const Text* name) {
  if (object.is_undefined()) fail("{}", object.undefined_message());
  if (object.is_object()) {
    const Value found = object.object().attribute(*this, name->bytes);
    if (!found.is_absent()) return found;
  } else if (const Builtin* method = find_method(object.kind(), name->bytes)) {
    return Value(static_cast<Object*>(heap_.make<Function>(*method, object)));
  } else if (object.is_dict()) {
    if (const Value* found = object.dict().find(name->bytes)) return *found;
  } else if (object.is(Kind::tuple) && object.list().label == "group") {
    if (name->bytes == "grouper") return object.list().items[0];
    if (name->bytes == "list") return object.list().items[1];
  }
  return Value::undefined(Value::Missing::attribute, name, object.kind());
}

Value Render::item(const Value& object, const Value& key) {
  if (object.is_undefined()) fail("{}", object.undefined_message());
  const Value found = element(heap_, object, key);
  if (!found.is_absent()) return found;
  if (key.is_text()) return attribute(object, &key.text());
  const std::string name = key.is_integral() ? std::to_string(key.integer()) : std::string(key.type_name());
  return Value::undefined(Value::Missing::element, heap_.text(name), object.kind());
}

Value Render::call(const Value& callee, const Args& args) {
  if (callee.is_undefined()) fail("{}", callee.undefined_message());
  if (!callee.is_object()) fail("'{}' object is not callable", callee.type_name());
  const int line = line_;
  const Value result = callee.object().call(*this, args);
  line_ = line;
  return result;
}

Value Render::call_method(const Value& object, const Text* name, const Args& args) {
  if (const Builtin* method = find_method(object.kind(), name->bytes))
    return jinja::call(*this, *method, object, args);
  return call(attribute(object, name), args);
}

}  // namespace rf::jinja
