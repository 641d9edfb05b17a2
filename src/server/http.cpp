#include "server/http.h"

#include <openssl/rand.h>

#include <algorithm>
#include <cctype>

#include "base/clock.h"
#include "base/error.h"

namespace rf {

std::string percent_decoded(std::string_view text) {
  const auto digit = [](char c) {
    const int value = std::isdigit(static_cast<unsigned char>(c)) ? c - '0' : std::tolower(c) - 'a' + 10;
    return value;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() &&
                        std::isxdigit(static_cast<unsigned char>(text[i + 1])) &&
                        std::isxdigit(static_cast<unsigned char>(text[i + 2]));
    if (!escape) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
    i += 2;
  }
  return out;
}

bool is_good_id(std::string_view id) {
  return !id.empty() && id.size() <= 128 && std::ranges::all_of(id, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' || c == ':';
  });
}

std::string new_id() {
  unsigned char bytes[12];
  RAND_bytes(bytes, sizeof bytes);
  std::string id = "req-";
  for (const unsigned char byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

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
