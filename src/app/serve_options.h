// What `serve` is told.
#pragma once
#include <CLI/App.hpp>
#include <functional>
#include <string>
#include <vector>

#include "app/commands.h"
#include "server/options.h"

namespace rf {

struct ServeOptions {
  std::vector<std::string>
      models;  // NAME=MODEL, or a model, which is then called as its file or catalogue entry is
  std::string models_folder;  // all models in it
  LoadOptions load;
  int cache_tokens = 0;
  double host_cache_mib = -1;
  std::string cache_folder;
  double cache_folder_mib = 10240;
  double gap = 2;
  double memory_gib = 0;
  double body_mib = 8;
  ServerOptions server;
  bool check_config = false;
  std::string log_level, log_format;
  // All options that are set, wherever, as words of a command line; and what they are by now. Throws Error.
  std::vector<std::string> words;
  std::function<ServeOptions()> again;
  // Of the engine's process.
  int worker_socket = -1;
  std::string worker_model;
};

void declare_serve(CLI::App& app, ServeOptions& options);

}  // namespace rf
