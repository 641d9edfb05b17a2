// The options of every command, declared on CLI11's App.
#pragma once
#include <CLI/App.hpp>
#include <functional>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/serve_options.h"

namespace rf {

struct Command {
  CLI::App* app;
  std::function<int()> run;  // once the command line has been parsed
};

void add_load(CLI::App& app, LoadOptions& load);  // the options of all commands that run a model

// Adds all commands to `root`, in the order in which help lists them. `serving`: the options of serve.
std::vector<Command> declare_commands(CLI::App& root, ServeOptions& serving);

}  // namespace rf
