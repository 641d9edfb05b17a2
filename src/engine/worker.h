// Worker: an engine behind a socket, in a process of its own that may die without taking the requests with
// it.
#pragma once
#include <functional>
#include <memory>

#include "engine/engine.h"
#include "engine/message.h"

namespace rf {

struct WorkerParts {
  // Loads the model; the progress is that of EngineOptions. Throws Error.
  std::function<std::unique_ptr<Engine>(std::function<void(std::size_t done, std::size_t total)> progress)>
      load;
  // Makes constraints over the engine's vocabulary, on the thread that reads messages. Throws Error.
  std::function<std::function<std::shared_ptr<const TokenConstraint>(const message::ConstraintText&)>(
      const Engine&)>
      constraints;
};

// Runs the engine for the peer of `socket`, a connected stream socket that it closes, until the peer closes
// it. Tells the peer why where the model cannot be loaded. Returns the process's exit code.
int run_worker(int socket, const WorkerParts& parts);

}  // namespace rf
