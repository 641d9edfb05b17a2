#include "server/traces.h"

#include <curl/curl.h>
#include <openssl/rand.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "base/clock.h"
#include "base/log.h"

namespace rf {
namespace {

constexpr std::size_t most_kept = 512, most_unsent = 4096;

std::string random_hex(std::size_t bytes) {
  std::string raw(bytes, '\0'), hex;
  RAND_bytes(reinterpret_cast<unsigned char*>(raw.data()), static_cast<int>(bytes));
  for (const char c : raw) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

bool is_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// What makes wall time of monotonic time: one for all spans of a request, so that a clock that is set
// meanwhile changes no duration.
std::int64_t wall_offset() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count() - now_ns();
}

Json text_attribute(const char* key, const std::string& value) {
  return {{"key", key}, {"value", {{"stringValue", value}}}};
}
Json number_attribute(const char* key, int value) {
  return {{"key", key}, {"value", {{"intValue", std::to_string(value)}}}};
}

Json span(const std::string& trace, const std::string& id, const std::string& parent, const std::string& name,
          std::int64_t start, std::int64_t end, int kind) {
  Json value = {{"traceId", trace}, {"spanId", id}};
  if (!parent.empty()) value["parentSpanId"] = parent;
  value["name"] = name;
  value["kind"] = kind;
  value["startTimeUnixNano"] = std::to_string(start);
  value["endTimeUnixNano"] = std::to_string(end);
  return value;
}

Json export_of(const Json& spans) {
  const Json service = Json::array(
      {text_attribute("service.name", "rocmforge"), text_attribute("service.version", RF_VERSION)});
  const Json scope = {{"scope", {{"name", "rocmforge.server"}}}, {"spans", spans}};
  const Json resource = {{"resource", {{"attributes", service}}}, {"scopeSpans", Json::array({scope})}};
  return {{"resourceSpans", Json::array({resource})}};
}

void post(const std::string& url, const std::string& body) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  if (curl == nullptr) return;
  curl_slist* headers = curl_slist_append(nullptr, "Content-Type: application/json");
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 10L);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(
      curl.get(), CURLOPT_WRITEFUNCTION,
      +[](char*, std::size_t size, std::size_t count, void*) { return size * count; });
  const CURLcode result = curl_easy_perform(curl.get());
  if (result != CURLE_OK) spdlog::warn("traces: {}: {}", url, curl_easy_strerror(result));
  curl_slist_free_all(headers);
}

std::string full_endpoint(std::string url) {
  const std::size_t host = url.find("://");
  if (host == std::string::npos || url.find('/', host + 3) != std::string::npos) return url;
  return url + "/v1/traces";
}

}  // namespace

Traces::Traces(Loop& loop, std::string endpoint)
    : loop_(loop), endpoint_(full_endpoint(std::move(endpoint))) {
  if (!endpoint_.empty()) ticker_ = loop_.every(std::chrono::seconds(2), [this] { send(); });
}

void Traces::add(const RequestTrace& trace) {
  std::string trace_id = random_hex(16), parent;
  if (trace.parent.size() >= 55 && is_hex(std::string_view(trace.parent).substr(3, 32)) &&
      is_hex(std::string_view(trace.parent).substr(36, 16))) {
    trace_id = trace.parent.substr(3, 32);
    parent = trace.parent.substr(36, 16);
  }
  const std::string root = random_hex(8);
  const std::int64_t offset = wall_offset();
  const std::int64_t start = trace.started_ns + offset, end = trace.ended_ns + offset;
  const std::int64_t first = trace.first_ns == 0 ? end : trace.first_ns + offset;
  Json request = span(trace_id, root, parent, trace.route, start, end, 2);
  request["attributes"] = Json::array({text_attribute("gen_ai.request.model", trace.model),
                                       text_attribute("rocmforge.request.id", trace.id),
                                       number_attribute("gen_ai.usage.input_tokens", trace.prompt_tokens),
                                       number_attribute("rocmforge.usage.cached_tokens", trace.cached_tokens),
                                       number_attribute("gen_ai.usage.output_tokens", trace.tokens)});
  std::vector<Json> spans{std::move(request)};
  spans.push_back(span(trace_id, random_hex(8), root, "prompt", start, first, 1));
  if (trace.first_ns != 0) spans.push_back(span(trace_id, random_hex(8), root, "decode", first, end, 1));
  for (Json& each : spans) {
    if (!endpoint_.empty() && unsent_.size() < most_unsent) unsent_.push_back(each);
    kept_.push_back(std::move(each));
    if (kept_.size() > most_kept) kept_.pop_front();
  }
}

Json Traces::json() const {
  return export_of(Json(kept_));
}

void Traces::send() {
  if (sending_ || unsent_.empty()) return;
  sending_ = true;
  const std::string body = dump(export_of(Json(std::exchange(unsent_, {}))));
  loop_.background([body, url = endpoint_] { post(url, body); }, [this] { sending_ = false; });
}

}  // namespace rf
