// Renders a snippet with some variables, as the tests of the language need it.
#pragma once
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "chat/jinja/template.h"

namespace rf::test {

inline std::string render(const std::string& source, const nlohmann::ordered_json& variables = {},
                          const jinja::Limits& limits = {}) {
  std::vector<jinja::Template::Variable> all;
  if (variables.is_object())
    for (const auto& [name, value] : variables.items()) all.emplace_back(name, &value);
  std::tm now{};  // Monday, 5 January 2026, 06:07:08
  now.tm_year = 126, now.tm_mday = 5, now.tm_wday = 1, now.tm_yday = 4;
  now.tm_hour = 6, now.tm_min = 7, now.tm_sec = 8;
  return jinja::Template(source).render(all, now, limits);
}

// The message of the Error that rendering throws; "" when it throws none.
inline std::string error(const std::string& source, const nlohmann::ordered_json& variables = {},
                         const jinja::Limits& limits = {}) {
  try {
    render(source, variables, limits);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace rf::test
