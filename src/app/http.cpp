#include "app/http.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"

namespace rf {
namespace {

constexpr long most_redirects = 8;

CURL* new_handle() {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  CURL* handle = ready == CURLE_OK ? curl_easy_init() : nullptr;
  if (handle == nullptr) fail("libcurl cannot be initialised");
  return handle;
}

std::string_view trimmed(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

bool passing_status(long status) {
  return status == 408 || status == 429 || (status >= 500 && status != 501);
}

bool passing_failure(CURLcode code) {
  switch (code) {
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    default:
      return false;
  }
}

}  // namespace

Http::Http(const std::string& url, const DownloadOptions& options)
    : url_(url), curl_(new_handle(), curl_easy_cleanup) {
  CURL* c = curl_.get();
  const bool secure = url.starts_with("https://");
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, message_.data());
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_USERAGENT, "rocmforge");
  curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(c, CURLOPT_MAXREDIRS, most_redirects);
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, static_cast<long>(options.connect_timeout.count()));
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1000L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall_timeout.count()));
  if (!options.bearer_token.empty()) {
    curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, options.bearer_token.c_str());
  }
  curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, &Http::on_header);
  curl_easy_setopt(c, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, &Http::on_body);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, this);
}

std::size_t Http::on_header(char* data, std::size_t size, std::size_t count, void* self) {
  Http& http = *static_cast<Http*>(self);
  const std::string_view line(data, size * count);
  if (line.starts_with("HTTP/")) {  // the first line of this response or, after a redirect, of the next
    http.response_.headers.clear();
  } else if (const auto colon = line.find(':'); colon != std::string_view::npos) {
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    http.response_.headers[name] = trimmed(line.substr(colon + 1));
  }
  return size * count;
}

std::size_t Http::on_body(char* data, std::size_t size, std::size_t count, void* self) {
  Http& http = *static_cast<Http*>(self);
  curl_easy_getinfo(http.curl_.get(), CURLINFO_RESPONSE_CODE, &http.response_.status);
  return (*http.body_)(http.response_, {data, size * count}) ? size * count : 0;
}

Http::Response Http::get(std::uint64_t offset, const std::string& if_range, const Body& body) {
  response_ = {};
  message_[0] = '\0';
  body_ = &body;
  const std::string range = fmt::format("{}-", offset);
  const std::string condition = "If-Range: " + if_range;
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(nullptr, curl_slist_free_all);
  if (offset > 0) headers.reset(curl_slist_append(nullptr, condition.c_str()));
  curl_easy_setopt(curl_.get(), CURLOPT_RANGE, offset > 0 ? range.c_str() : nullptr);
  curl_easy_setopt(curl_.get(), CURLOPT_HTTPHEADER, headers.get());
  const CURLcode code = curl_easy_perform(curl_.get());
  curl_easy_setopt(curl_.get(), CURLOPT_HTTPHEADER, nullptr);
  curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &response_.status);
  if (code != CURLE_OK) explain(code);
  return std::move(response_);
}

void Http::explain(CURLcode code) {
  if (code == CURLE_HTTP_RETURNED_ERROR) {
    response_.error = fmt::format("{}: the server answered HTTP {}", url_, response_.status);
    if (response_.status == 401 || response_.status == 403)
      response_.error += " (no access; a private or gated model needs a token in HF_TOKEN)";
    response_.may_retry = passing_status(response_.status);
    return;
  }
  const char* why = message_[0] != '\0' ? message_.data() : curl_easy_strerror(code);
  response_.error = fmt::format("{}: {}", url_, why);
  response_.may_retry = passing_failure(code);
}

}  // namespace rf
