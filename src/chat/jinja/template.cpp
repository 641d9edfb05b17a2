#include "chat/jinja/template.h"

#include "base/error.h"
#include "chat/jinja/ast.h"
#include "chat/jinja/json.h"
#include "chat/jinja/parser.h"
#include "chat/jinja/render.h"

namespace rf::jinja {

Template::Template(std::string_view source) {
  try {
    tree_ = parse(source);
  } catch (const Error& e) {
    fail("chat template, {}", e.what());
  }
}
Template::~Template() = default;

std::string Template::render(std::span<const Variable> variables, const std::tm& now,
                             const Limits& limits) const {
  Render render(*tree_, limits, now);
  const auto located = [&](const Error& e) {
    return fmt::format("chat template, line {}: {}", render.line(), e.what());
  };
  try {
    for (const auto& [name, json] : variables) render.set_global(name, from_json(render.heap(), *json));
    return render.run();
  } catch (const Refusal& e) {
    throw Refusal(located(e));
  } catch (const Error& e) {
    throw Error(located(e));
  }
}

}  // namespace rf::jinja
