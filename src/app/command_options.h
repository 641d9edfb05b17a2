// The options of every command, declared on CLI11's App.
#pragma once
#include <CLI/App.hpp>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "app/commands.h"
#include "app/serve_options.h"

namespace rf {

struct Command {
  CLI::App* app;
  std::function<int()> run;  // once the command line has been parsed
};

// An option with a default that help shows, under the heading `group`. Floating values are numbers: not NaN,
// which every range would let pass.
template <class Value>
CLI::Option* add_value(CLI::App& app, const char* group, const char* name, Value& value, const char* help) {
  CLI::Option* option = app.add_option(name, value, help)->group(group)->capture_default_str();
  if constexpr (std::is_floating_point_v<Value>)
    option->check([](const std::string& text) {
      return std::isnan(std::strtod(text.c_str(), nullptr)) ? "expected a number, found " + text : "";
    });
  return option;
}

void add_load(CLI::App& app, LoadOptions& load);  // the options of all commands that run a model

// Adds all commands to `root`, in the order in which help lists them. `serving`: the options of serve.
std::vector<Command> declare_commands(CLI::App& root, ServeOptions& serving);

}  // namespace rf
