// The command serve, which is also the process of each engine.
#pragma once
#include "app/serve_options.h"

namespace rf {

int serve(const ServeOptions& options);

}  // namespace rf
