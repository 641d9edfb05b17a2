#include "app/requests.h"

#include <curl/curl.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace rf {
namespace {

std::string url_of(const RequestOptions& options, const std::string& path) {
  std::string host = options.host;
  if (host.find("://") == std::string::npos) host = "http://" + host;
  while (host.ends_with('/')) host.pop_back();
  const std::size_t name = host.find("://") + 3, bracket = host.find(']', name);  // of an IPv6 address
  if (host.find(':', bracket == std::string::npos ? name : bracket) == std::string::npos) host += ":8080";
  return host + path;
}

std::string ask(const RequestOptions& options, const char* method, const std::string& path) {
  const std::string url = url_of(options, path);
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  if (curl == nullptr) fail("libcurl cannot be started");
  std::string body;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, method);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 30L);
  const auto write = +[](char* data, std::size_t size, std::size_t count, void* out) {
    static_cast<std::string*>(out)->append(data, size * count);
    return size * count;
  };
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, write);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(nullptr, curl_slist_free_all);
  if (!options.api_key.empty()) {
    headers.reset(curl_slist_append(nullptr, ("Authorization: Bearer " + options.api_key).c_str()));
    curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  }
  const CURLcode result = curl_easy_perform(curl.get());
  if (result != CURLE_OK)
    fail("{}: {}; is the server running there (--host)?", url, curl_easy_strerror(result));
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status == 200) return body;
  const auto json = nlohmann::json::parse(body, nullptr, false);
  const bool known = json.is_object() && json.contains("error") && json["error"].is_object();
  fail("{}: status {}: {}", url, status, known ? json["error"].value("message", "") : body.substr(0, 200));
}

}  // namespace

int request_status(const RequestOptions& options) {
  std::puts(ask(options, "GET", options.id.empty() ? "/status" : "/status/" + options.id).c_str());
  return 0;
}

int request_cancel(const RequestOptions& options) {
  std::puts(ask(options, "POST", "/cancel/" + options.id).c_str());
  return 0;
}

}  // namespace rf
