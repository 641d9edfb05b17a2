// Template: a parsed Jinja template.
#pragma once
#include <ctime>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "chat/jinja/heap.h"

namespace rf::jinja {

struct Tree;

class Template {
 public:
  using Variable = std::pair<std::string_view, const nlohmann::ordered_json*>;

  explicit Template(std::string_view source);  // throws Error naming the line
  ~Template();

  // Later variables replace earlier ones of the same name. `now`: what strftime_now shows. Throws Error
  // naming the line: a Refusal (render.h) where the template itself raised it.
  std::string render(std::span<const Variable> variables, const std::tm& now,
                     const Limits& limits = {}) const;

 private:
  std::unique_ptr<const Tree> tree_;
};

}  // namespace rf::jinja
