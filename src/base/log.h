// The log: spdlog's default logger on stderr, plain text or one JSON object a line.
#pragma once
#include <spdlog/spdlog.h>

#include <string>

namespace rf {

// level: trace debug info warn error off; format: text or json. May be called again while others log. Throws
// Error on any other word.
void set_up_log(const std::string& level, const std::string& format);

}  // namespace rf
