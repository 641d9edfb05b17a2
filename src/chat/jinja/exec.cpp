// How statements run, all but loops and macros.
#include "base/error.h"
#include "chat/jinja/ast.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"
#include "chat/jinja/render.h"

namespace rf::jinja {

Flow Data::exec(Render& render) const {
  render.write(text);
  return Flow::next;
}

Flow Output::exec(Render& render) const {
  const Value v = render.eval(*value);
  if (v.is_text())
    render.write(v.str());
  else
    render.write(to_str(render.heap(), v));
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
    text = render.heap().str(render.capture(body));
    if (filter != nullptr) text = filter->apply(render, text);
  }
  render.assign(target, text);
  return Flow::next;
}

Flow FilterBlock::exec(Render& render) const {
  const Render::Inside inside(render, render.scope());
  const Value text = render.heap().str(render.capture(body));
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

}  // namespace rf::jinja
