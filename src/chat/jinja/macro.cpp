// Macros and call blocks.
#include <algorithm>

#include "base/error.h"
#include "chat/jinja/ast.h"
#include "chat/jinja/render.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

class Macro final : public Object {
 public:
  Macro(Render& render, const MacroCode& code) : code_(code), scope_(render.scope()) {
    render.capture_scopes();
  }

  std::string_view type_name() const override { return "Macro"; }
  std::string repr() const override { return "<Macro " + quoted(code_.name->bytes) + ">"; }
  bool callable() const override { return true; }

  Value attribute(Render& render, std::string_view name) override {
    if (name == "name") return Value(code_.name);
    if (name == "caller") return Value(code_.uses_caller);
    if (name == "catch_kwargs") return Value(code_.uses_kwargs);
    if (name == "catch_varargs") return Value(code_.uses_varargs);
    if (name != "arguments") return Value::absent();
    std::vector<Value> names;
    for (const Parameter& p : code_.parameters) names.emplace_back(p.name);
    return Value(render.heap().list(std::move(names)), Kind::tuple);
  }

  Value call(Render& render, const Args& args) override {
    const Render::Inside inside(render, scope_);
    bind(render, args);
    return render.written(render.capture(code_.body), render.autoescape());
  }

 private:
  void bind(Render& render, const Args& args) {
    std::vector<bool> used(args.named.size());
    const auto take = [&](std::string_view name) {
      for (std::size_t i = 0; i < args.named.size(); ++i)
        if (args.named[i].first->bytes == name) {
          used[i] = true;
          return args.named[i].second;
        }
      return Value::absent();
    };
    for (std::size_t i = 0; i < code_.parameters.size(); ++i) {
      const Parameter& p = code_.parameters[i];
      Value v = i < args.positional.size() ? args.positional[i] : take(p.name->bytes);
      if (v.is_absent())
        v = p.fallback != nullptr
                ? render.eval(*p.fallback)
                : Value::undefined(
                      Value::Missing::hint,
                      render.heap().text("parameter " + quoted(p.name->bytes) + " was not provided"));
      render.assign(p.id, v);
    }
    if (code_.uses_caller) {
      static const Text none{.bytes = "No caller defined", .own = {}};
      const Value caller = take("caller");
      render.assign(render.tree().caller,
                    caller.is_absent() ? Value::undefined(Value::Missing::hint, &none) : caller);
    }
    bind_rest(render, args, used);
  }

  void bind_rest(Render& render, const Args& args, const std::vector<bool>& used) {
    Dict* kwargs = code_.uses_kwargs ? render.heap().dict() : nullptr;
    for (std::size_t i = 0; i < used.size(); ++i) {
      if (used[i]) continue;
      const auto& [name, value] = args.named[i];
      if (kwargs == nullptr)
        fail("macro {} takes no keyword argument {}", quoted(code_.name->bytes), quoted(name->bytes));
      render.heap().set(*kwargs, Value(name), value);
    }
    if (kwargs != nullptr) render.assign(render.tree().kwargs, Value(kwargs));
    const std::size_t taken = std::min(args.positional.size(), code_.parameters.size());
    if (code_.uses_varargs) {
      std::vector<Value> rest(args.positional.begin() + static_cast<std::ptrdiff_t>(taken),
                              args.positional.end());
      render.assign(render.tree().varargs, Value(render.heap().list(std::move(rest)), Kind::tuple));
    } else if (taken < args.positional.size()) {
      fail("macro {} takes not more than {} argument(s)", quoted(code_.name->bytes), code_.parameters.size());
    }
  }

  const MacroCode& code_;
  Scope* scope_;
};

}  // namespace

Flow MacroDefinition::exec(Render& render) const {
  render.assign(id, Value(static_cast<Object*>(render.heap().make<Macro>(render, code))));
  return Flow::next;
}

Flow CallBlock::exec(Render& render) const {
  const Value text = call->call(render, render.heap().make<Macro>(render, code));
  if (!text.is_text()) fail("a call block's function gives {}, expected text", text.type_name());
  render.write(text.str());
  return Flow::next;
}

}  // namespace rf::jinja
