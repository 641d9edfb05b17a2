// Loading: from what a user called a model and how it should run to an Engine.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/commands.h"
#include "engine/engine.h"

namespace rf {

// The local file of a path, a catalogue name, hf:owner/repo[:file] or a URL; fetched first where it is not
// here. Throws Error.
std::string find_model(const std::string& name);

// What a command makes of an engine.
struct LoadUse {
  int parallel = 1;                   // sequences at once
  int wanted_rows = 0;                // rows of logits a step; 0: one a sequence
  int cache_tokens = 0;               // positions of the cache; 0: the context of each sequence
  std::int64_t host_cache_bytes = 0;  // these three and `gap` as in EngineOptions
  std::string cache_folder{};
  std::uint64_t cache_folder_bytes = 0;
  double gap = 0;
  std::function<void(std::size_t done, std::size_t total)>
      progress{};  // none: shown on a terminal when it takes long
};
// Throws Error.
std::unique_ptr<Engine> load_engine(const std::string& model, const LoadOptions& options,
                                    const LoadUse& use = {});

}  // namespace rf
