#include "chat/dialect/marks.h"

#include <cstdint>

namespace rf::dialect {

Begins begins_with(std::string_view text, std::string_view mark, bool last) {
  if (mark.empty()) return Begins::no;
  if (text.starts_with(mark)) return Begins::yes;
  return !last && mark.starts_with(text) ? Begins::unknown : Begins::no;
}

bool ends_with_mark(std::string_view text, std::string_view mark) {
  const auto core = [](std::string_view t) { return t.substr(0, t.find_last_not_of(white) + 1); };
  return !mark.empty() && core(text).ends_with(core(mark));
}

MarkMatch find_mark(std::string_view text, std::span<const std::string_view> marks, bool last) {
  bool first[256] = {};
  for (const std::string_view mark : marks)
    if (!mark.empty()) first[static_cast<std::uint8_t>(mark[0])] = true;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!first[static_cast<std::uint8_t>(text[at])]) continue;
    int longest = -1;
    for (std::size_t i = 0; i < marks.size(); ++i) {
      const Begins begins = begins_with(text.substr(at), marks[i], last);
      if (begins == Begins::unknown) return {at};
      if (begins == Begins::yes &&
          (longest < 0 || marks[i].size() > marks[static_cast<std::size_t>(longest)].size()))
        longest = static_cast<int>(i);
    }
    if (longest >= 0) return {at, longest};
  }
  return {text.size()};
}

}  // namespace rf::dialect
