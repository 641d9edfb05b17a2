// How statements run, all but loops and macros.
#include "base/error.h"
#include "chat/jinja/ast.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"
#include "chat/jinja/render.h"
#include "chat/jinja/text.h"

namespace rf::jinja {

Flow Data::exec(Render& render) const {
  render.write(text);
  return Flow::next;
}

Flow Output::exec(Render& render) const {
  render.write(render.eval(*value), escape);
  return Flow::next;
}

Flow If::exec(Render& render) const {
  for (const auto& [test, body] : branches)
    if (truth(render.heap(), render.eval(*test))) return render.exec(body);
  return render.exec(otherwise);
}

Flow Set::exec(Render& render) const {
  render.assign(target, render.eval(*value));
  return Flow::next;
}

Flow SetBlock::exec(Render& render) const {
  Value text;
  {
    const Render::Inside inside(render, render.scope());
    text = render.written(render.capture(body), render.autoescape());
    if (filter != nullptr) text = filter->apply(render, text);
  }
  render.assign(target, text);
  return Flow::next;
}

Flow FilterBlock::exec(Render& render) const {
  const Render::Inside inside(render, render.scope());
  const Value text = render.written(render.capture(body), render.escapes(escape));
  render.write(to_str(render.heap(), filter->apply(render, text)));
  return Flow::next;
}

Flow With::exec(Render& render) const {
  std::vector<Value> values;  // all evaluated outside, before any is assigned
  for (const auto& variable : variables) values.push_back(render.eval(*variable.second));
  const Render::Inside inside(render, render.scope());
  for (std::size_t i = 0; i < values.size(); ++i) render.assign(variables[i].first, values[i]);
  return render.exec(body);
}

Flow Autoescape::exec(Render& render) const {
  const bool outside = render.autoescape();
  const bool inside = truth(render.heap(), render.eval(*enabled));
  const Render::Inside scope(render, render.scope());
  render.set_autoescape(inside);
  const Flow flow = render.exec(body);
  render.set_autoescape(outside);
  return flow;
}

Flow Block::exec(Render& render) const {
  if (required) fail("Required block {} not found", quoted(name->bytes));
  const Render::Inside inside(render, scoped ? render.scope() : nullptr);
  return render.exec(body);
}

Flow OtherTemplate::exec(Render&) const {
  fail("'{}' needs other templates, and a chat template has none", word);
}

namespace {

class BlockCall final : public Object {
 public:
  explicit BlockCall(const Block& block) : block_(block) {}
  std::string_view type_name() const override { return "BlockReference"; }
  bool callable() const override { return true; }
  Value call(Render& render, const Args&) override {
    const Render::Inside outside(render, nullptr);
    return render.written(render.capture([&] { block_.exec(render); }), render.autoescape());
  }

 private:
  const Block& block_;
};

class TemplateReference final : public Object {
 public:
  std::string_view type_name() const override { return "TemplateReference"; }
  std::string repr() const override { return "<TemplateReference None>"; }
  Value attribute(Render& render, std::string_view name) override {
    const auto at = render.tree().blocks.find(name);
    if (at == render.tree().blocks.end()) return Value::absent();
    return Value(static_cast<Object*>(render.heap().make<BlockCall>(*at->second)));
  }
};

}  // namespace

Value Render::blocks() {
  return Value(static_cast<Object*>(heap_.make<TemplateReference>()));
}

}  // namespace rf::jinja
