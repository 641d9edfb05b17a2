#include "engine/stop.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace rf {

void StopMatcher::Stop::advance(char byte) {
  if (matching == text.size()) matching = borders[matching];
  while (matching > 0 && text[matching] != byte) matching = borders[matching];
  if (text[matching] == byte) ++matching;
}

StopMatcher::StopMatcher(std::vector<std::string> stops) {
  for (std::string& text : stops) {
    if (text.empty()) fail("stop: expected strings of at least one character, found an empty one");
    Stop stop{.text = std::move(text), .borders = {0, 0}};
    for (std::size_t i = 1; i < stop.text.size(); ++i) {
      stop.advance(stop.text[i]);
      stop.borders.push_back(stop.matching);
    }
    stop.matching = 0;
    stops_.push_back(std::move(stop));
  }
}

std::string StopMatcher::push(std::string_view text) {
  if (stopped()) return {};
  held_ += text;
  const std::size_t old = held_.size() - text.size();
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (Stop& stop : stops_) {
      stop.advance(text[i]);
      if (stop.matching == stop.text.size() && stop.text.size() > matched().size())
        matched_ = &stop - stops_.data();
    }
    if (!stopped()) continue;
    held_.resize(old + i + 1 - matched().size());
    return std::exchange(held_, {});
  }
  std::size_t kept = 0;
  for (const Stop& stop : stops_) kept = std::max(kept, stop.matching);
  std::string safe = held_.substr(0, held_.size() - kept);
  held_.erase(0, held_.size() - kept);
  return safe;
}

std::string StopMatcher::finish() {
  for (Stop& stop : stops_) stop.matching = 0;
  return std::exchange(held_, {});
}

}  // namespace rf
