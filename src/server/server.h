// The server: everything of this room put together and run until it is told to end.
#pragma once
#include <functional>
#include <vector>

#include "server/options.h"

namespace rf {

struct ServerSettings {
  ServerOptions options;
  std::vector<ModelEntry> models;  // at least one
};

struct ServerCalls {
  std::function<double()> read_bandwidth;  // measures what this machine reads, bytes/s
  // What holds now, for SIGHUP; called beside the loop. Throws Error: then all stays as it is.
  std::function<ServerSettings()> read_again;
  std::function<void()> applied;  // what read_again() has given holds from now on
};

// Serves until SIGTERM or SIGINT; the first model is loaded at once, or, where that cannot be and it is not
// required, the first after it that can. SIGHUP reads the keys, the certificate
// and the settings again, of which limits, keys, origins, hosting and the list of models may change; what
// else changed waits for the next start. Returns the exit code. Throws Error for options that cannot be, and
// when the first model, or a required one before it, cannot be loaded.
int run_server(const ServerSettings& settings, ServerCalls calls);
// Checks what can be checked without listening and loading. Throws Error.
void check_server(const ServerOptions& options, const std::vector<ModelEntry>& models);

}  // namespace rf
