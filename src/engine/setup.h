// Setup: from what an engine is told to what its plan, its cache and its store are made with.
#pragma once
#include "engine/engine.h"
#include "engine/page_store.h"

namespace rf {

// The options with every 0 resolved, but for what depends on the plan. Throws Error naming the one that is
// out of range.
EngineOptions resolve(EngineOptions options, const Spec& spec);
RunLimits limits_of(const EngineOptions& options, const Program& program);
// Programs are checked before anything is allocated for them.
Program checked_program(const Gguf& file, const Spec& spec, const EngineOptions& options);

// What all bytes of the cache depend on: the file, the program, the machine's part in it, and the layout.
std::uint64_t cache_identity(const Gguf& file, const Plan& plan, int context);
PageStore::Options store_options(const EngineOptions& options, const Gguf& file, const Plan& plan);

}  // namespace rf
