// The server: everything of this room put together and run until it is told to end.
#pragma once
#include <functional>
#include <vector>

#include "server/options.h"

namespace rf {

// Serves `models`, of which there is at least one, until SIGTERM or SIGINT; the first one is loaded at once.
// SIGHUP reads the keys and the certificate again. `read_bandwidth` measures what this machine reads,
// bytes/s. Returns the exit code. Throws Error for options that cannot be, and when the first model cannot be
// loaded.
int run_server(const ServerOptions& options, const std::vector<ModelEntry>& models,
               const std::function<double()>& read_bandwidth);
// Checks what can be checked without listening and loading. Throws Error.
void check_server(const ServerOptions& options, const std::vector<ModelEntry>& models);

}  // namespace rf
