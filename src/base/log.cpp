#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ansicolor_sink.h>

#include <memory>

#include "base/error.h"

namespace rf {
namespace {

// The message as the inside of a JSON string.
class JsonText : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    for (const char c : message.payload) {
      if (c == '"' || c == '\\') {
        out.push_back('\\');
        out.push_back(c);
      } else if (static_cast<unsigned char>(c) < 0x20) {
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
      } else {
        out.push_back(c);
      }
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<JsonText>(); }
};

}  // namespace

void set_up_log(const std::string& level, const std::string& format) {
  const spdlog::level::level_enum parsed = spdlog::level::from_str(level);
  if (parsed == spdlog::level::off && level != "off")
    fail("log level: found '{}', expected trace, debug, info, warn, error or off", level);
  if (format != "text" && format != "json") fail("log format: found '{}', expected text or json", format);

  constexpr const char* name = "rf";
  auto logger = spdlog::default_logger();
  const bool first = logger == nullptr || logger->name() != name;
  if (first)
    logger =
        std::make_shared<spdlog::logger>(name, std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>());
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  if (format == "json")
    formatter->add_flag<JsonText>('*').set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":"%*"})");
  else
    formatter->set_pattern("%H:%M:%S.%e %^%l%$ %v");
  logger->set_formatter(std::move(formatter));
  logger->set_level(parsed);
  if (first) spdlog::set_default_logger(std::move(logger));
}

}  // namespace rf
