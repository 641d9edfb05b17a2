// HttpConnection: one client, from its first byte to its last.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string_view>

#include "server/http.h"
#include "server/loop.h"

namespace rf {

using PlainStream = boost::beast::basic_stream<boost::asio::generic::stream_protocol>;
using Done = boost::asio::awaitable<void>;
class HttpConnection;

// What all connections of a server share.
struct HttpShared {
  Loop& loop;
  HttpOptions options;
  HttpServer::Handlers handlers;
  std::set<HttpConnection*> connections{};
  bool draining = false;
};

// Writes an answer after which the connection ends.
Done refuse_connection(PlainStream& stream, HttpResponse refusal, std::chrono::seconds patience);

// Reads a request, waits for its exchange, writes what it gives, and so on.
class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  explicit HttpConnection(std::shared_ptr<HttpShared> shared);
  ~HttpConnection();

  Done serve_plain(PlainStream stream);
  Done serve_tls(PlainStream plain, std::shared_ptr<boost::asio::ssl::context> context);
  void drop();  // its exchange, as if the client had gone
  void close_if_idle() {
    if (idle_ && close_) close_();
  }

 private:
  using Kept = boost::asio::awaitable<bool>;  // false: the connection is over
  template <class Stream>
  Done serve(Stream& stream);
  template <class Stream>
  Kept begins(Stream& stream);
  template <class Stream>
  Kept receive(Stream& stream, HttpRequest& request, bool& keep, unsigned& version);
  template <class Stream>
  Kept answer(Stream& stream, bool keep, unsigned version);
  template <class Stream>
  Kept write_pieces(Stream& stream, bool chunked);
  template <class Stream>
  void watch(Stream& stream);
  template <class Stream>
  void probe(Stream& stream);
  // What gives this connection as long as it serves the exchange that it serves now, and nullptr then.
  std::function<std::shared_ptr<HttpConnection>()> while_serving();
  Done sleep_until_woken();
  void lose();
  std::chrono::seconds patience() const {
    return std::chrono::seconds(shared_->options.limits.receive_seconds);
  }

  std::shared_ptr<HttpShared> shared_;
  boost::asio::steady_timer woken_, watch_;
  boost::beast::flat_buffer buffer_;
  ExchangePtr exchange_;
  bool idle_ = false;
  bool probing_ = false;  // the client sends nothing more: some byte has to find out whether it is there
  std::function<void()> close_;
};

}  // namespace rf
