#include "chat/grammar/json_format.h"

#include <string>
#include <unordered_map>

namespace rf::grammar {
namespace {

// Days as each month has them; February 29 in leap years.
constexpr const char* date =
    "(?:[1-9]\\d{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|"
    "02-(?:0[1-9]|1\\d|2[0-8]))|"
    "(?:[1-9]\\d(?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)-02-29)";
constexpr const char* time_of_day =
    "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)";
constexpr const char* label = "[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?";
constexpr const char* octet = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";

std::string host() {
  return std::string(label) + "(?:\\." + label + "){0,4}";
}

// Eight groups, or fewer around one ::.
std::string ipv6() {
  const std::string group = "[0-9a-fA-F]{1,4}";
  std::string any = "(?:" + group + ":){7}" + group + "|::|::" + group + "(?::" + group + "){0,6}";
  for (int before = 1; before <= 7; ++before) {
    any += "|(?:" + group + ":){" + std::to_string(before) + "}";
    any += before == 7 ? ":" : "(?::|(?::" + group + "){1," + std::to_string(7 - before) + "})";
  }
  return any;
}

std::string duration() {
  const std::string time = "T(?:\\d{1,4}H(?:\\d{1,4}M(?:\\d{1,4}S)?)?|\\d{1,4}M(?:\\d{1,4}S)?|\\d{1,4}S)";
  const std::string days = "(?:\\d{1,4}Y(?:\\d{1,4}M(?:\\d{1,4}D)?)?|\\d{1,4}M(?:\\d{1,4}D)?|\\d{1,4}D)";
  return "P(?:" + days + "(?:" + time + ")?|" + time + "|\\d{1,4}W)";
}

}  // namespace

std::string_view format_pattern(std::string_view format) {
  static const std::unordered_map<std::string_view, std::string> patterns = {
      {"date", date},
      {"time", time_of_day},
      {"date-time", std::string(date) + "T" + time_of_day},
      {"duration", duration()},
      {"uuid", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"},
      {"ipv4", std::string(octet) + "(?:\\." + octet + "){3}"},
      {"ipv6", ipv6()},
      {"hostname", host()},
      {"email", "[a-zA-Z0-9_+-]{1,32}(?:\\.[a-zA-Z0-9_+-]{1,32}){0,3}@" + host()},
      {"uri", "https?://" + host() +
                  "(?::[1-9]\\d{0,3})?(?:/[a-zA-Z0-9._~!$&'()*+,;=:@-]{0,64}){0,8}"
                  "(?:\\?[a-zA-Z0-9._~!$&'()*+,;=:@/?-]{0,128})?(?:#[a-zA-Z0-9._~!$&'()*+,;=:@/?-]{0,64})?"},
  };
  const auto at = patterns.find(format);
  return at == patterns.end() ? std::string_view() : at->second;
}

}  // namespace rf::grammar
