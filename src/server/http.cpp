#include "server/http.h"

#include <algorithm>

#include "base/clock.h"

namespace rf {

std::string_view HttpRequest::header(std::string_view name) const {
  const auto at = std::ranges::find_if(headers, [&](const auto& h) { return h.first == name; });
  return at == headers.end() ? std::string_view() : at->second;
}

void Exchange::respond(HttpResponse response) {
  if (gone_ || head_) return;
  first_byte_ns = now_ns();
  head_ = std::move(response);
  ended_ = true;
  if (wake_) wake_();
}

void Exchange::begin(HttpResponse head) {
  if (gone_ || head_) return;
  first_byte_ns = now_ns();
  pending_ = std::move(head.body);
  head_ = std::move(head);
  streamed_ = true;
  if (wake_) wake_();
}

void Exchange::write(std::string_view bytes) {
  if (gone_ || ended_) return;
  pending_ += bytes;
  if (wake_) wake_();
}

void Exchange::end() {
  if (gone_ || ended_) return;
  ended_ = true;
  if (wake_) wake_();
}

}  // namespace rf
