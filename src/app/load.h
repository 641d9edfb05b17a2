// Loading: from what a user called a model and how it should run to an Engine.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "app/commands.h"
#include "engine/engine.h"

namespace rf {

// The local file of a path, a catalogue name, hf:owner/repo[:file] or a URL; fetched first where it is not
// here. Throws Error.
std::string find_model(const std::string& name);

// Loads the model for `parallel` sequences at once, with room for `wanted_rows` rows of logits a step (0: one
// a sequence). Shows its progress on a terminal when it
// takes long. Throws Error.
std::unique_ptr<Engine> load_engine(const std::string& model, const LoadOptions& options, int parallel = 1,
                                    int wanted_rows = 0);

}  // namespace rf
