// Http: one libcurl handle with the settings every transfer here shares.
#pragma once
#include <curl/curl.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "app/download.h"

namespace rf {

class Http {
 public:
  Http(const std::string& url, const DownloadOptions& options);

  // Outcome of one GET. Headers are the last response's, names in lower case. `error` is empty on success.
  struct Response {
    long status = 0;
    std::map<std::string, std::string> headers;
    std::string error;
    bool may_retry = false;
  };

  // GETs from byte `offset` on, if the content still has the validator `if_range`. `body` is called for each
  // piece of a 2xx response's body and returns false to stop; headers are complete then.
  using Body = std::function<bool(const Response&, std::string_view piece)>;
  Response get(std::uint64_t offset, const std::string& if_range, const Body& body);

 private:
  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self);
  void explain(CURLcode code);

  std::string url_;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl_;
  std::array<char, CURL_ERROR_SIZE> message_{};
  Response response_;
  const Body* body_ = nullptr;
};

}  // namespace rf
