// HTTP as the rest of the room sees it: plain requests, and exchanges that take the answer. http_server.cpp
// and http_connection.cpp alone know sockets. Everything here lives on the loop's thread.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/options.h"

namespace rf {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method, path;  // without the query, percent-decoded
  std::string query;
  HeaderList headers;  // names in lower case
  std::string body;

  std::string_view header(std::string_view name) const;  // "" where absent
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body{};
  HeaderList headers{};
};

// One request on its way to its answer: either respond(), or begin(), any number of write() and end(). What
// is told after the client has gone goes nowhere.
class Exchange {
 public:
  HttpRequest request;
  std::string id;      // given by the client or made here, echoed to it
  std::string client;  // the name of its key, "" without one
  int priority = 0;
  std::string route;  // the pattern that it met, for metrics
  std::int64_t started_ns = 0;
  std::int64_t first_byte_ns = 0;  // of the answer, 0: not yet
  HeaderList extra_headers;        // that its answer gets whatever it is

  void respond(HttpResponse response);
  void begin(HttpResponse head);  // its body is the first piece
  void write(std::string_view bytes);
  void end();
  bool gone() const { return gone_; }
  bool begun() const { return head_.has_value(); }
  int status() const { return head_ ? head_->status : 0; }

  std::function<void()> on_gone;  // the client has closed before the end

 private:
  friend class HttpConnection;
  std::optional<HttpResponse> head_;
  std::string pending_;  // not yet taken by the connection
  bool streamed_ = false, ended_ = false, gone_ = false;
  std::function<void()> wake_;
};
using ExchangePtr = std::shared_ptr<Exchange>;

std::string percent_decoded(std::string_view text);
bool is_good_id(std::string_view id);  // what a client may call its request: short and harmless in a log
std::string new_id();

void check_certificate(const HttpOptions& options);  // throws Error naming the file

class Loop;

// Accepts connections from its construction on and gives each request to `handle`; what it refuses by itself
// (too long, malformed) it gives to `refused`, which makes the answer's body. `done` is told of each exchange
// at its end.
class HttpServer {
 public:
  struct Handlers {
    std::function<void(ExchangePtr)> handle;
    std::function<HttpResponse(int status, std::string_view what)> refused;
    std::function<void(const Exchange&)> done;
  };
  // Throws Error naming the address, or the file of the certificate.
  HttpServer(Loop& loop, const HttpOptions& options, Handlers handlers);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;  // 0 on a socket file
  int connections() const;
  void reload_certificate();  // for connections to come; throws Error and keeps the old one
  void set_limits(const HttpLimits& limits);
  void drain();  // accepts nothing more and closes idle connections

 private:
  friend class HttpConnection;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace rf
