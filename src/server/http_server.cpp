#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <cctype>
#include <set>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "server/http.h"
#include "server/loop.h"

namespace rf {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace ssl = asio::ssl;
using boost::system::error_code;
using Protocol = asio::generic::stream_protocol;
using PlainStream = beast::basic_stream<Protocol>;
using TlsStream = beast::ssl_stream<PlainStream>;
class HttpConnection;
using Done = asio::awaitable<void>;
using Kept = asio::awaitable<bool>;  // false: the connection is over
constexpr asio::use_awaitable_t<> awaited;

namespace {

HttpRequest plain_request(http::request<http::string_body>& from) {
  HttpRequest request;
  const std::string_view target(from.target().data(), from.target().size());
  const std::size_t mark = target.find('?');
  request.method = std::string(from.method_string());
  request.path = percent_decoded(target.substr(0, mark));
  if (mark != std::string_view::npos) request.query = target.substr(mark + 1);
  for (const auto& field : from) {
    std::string name(field.name_string());
    std::ranges::transform(name, name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    request.headers.emplace_back(std::move(name), std::string(field.value()));
  }
  request.body = std::move(from.body());
  return request;
}

bool has_closed(int socket) {
  char byte = 0;
  const ssize_t n = ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return true;
  pollfd state{.fd = socket, .events = POLLRDHUP, .revents = 0};
  return ::poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

// Writes an answer after which the connection ends.
template <class Stream>
Done write_refusal(Stream& stream, HttpResponse refusal, std::chrono::seconds patience) {
  http::response<http::string_body> response(http::int_to_status(static_cast<unsigned>(refusal.status)), 11);
  response.set(http::field::content_type, refusal.content_type);
  for (const auto& [name, value] : refusal.headers) response.set(name, value);
  response.keep_alive(false);
  response.body() = std::move(refusal.body);
  response.prepare_payload();
  error_code error;
  auto& lowest = beast::get_lowest_layer(stream);
  lowest.expires_after(patience);
  co_await http::async_write(stream, response, asio::redirect_error(awaited, error));
  if constexpr (std::is_same_v<Stream, PlainStream>)
    if (!error) lowest.socket().shutdown(asio::socket_base::shutdown_send, error);
  // Reads on for a moment, since closing with unread bytes would take the answer away from the client.
  lowest.expires_after(std::chrono::seconds(2));
  std::array<char, 16384> rest;
  for (int i = 0; i < 4096 && !error; ++i)
    co_await stream.async_read_some(asio::buffer(rest), asio::redirect_error(awaited, error));
}

}  // namespace

struct HttpServer::State : std::enable_shared_from_this<State> {
  State(Loop& owner, HttpOptions given, Handlers what)
      : loop(owner), options(std::move(given)), handlers(std::move(what)) {}

  template <class Acceptor>
  Done accept(std::shared_ptr<Acceptor> acceptor);
  Done turn_away(PlainStream stream);
  void listen();

  Loop& loop;
  HttpOptions options;
  Handlers handlers;
  std::shared_ptr<ssl::context> tls;
  std::shared_ptr<asio::ip::tcp::acceptor> tcp;
  std::shared_ptr<asio::local::stream_protocol::acceptor> local;
  std::set<HttpConnection*> connections;
  int turned_away = 0;  // those that are being told so
  bool draining = false;
};

// One client: reads a request, waits for its exchange, writes what it gives, and so on.
class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  explicit HttpConnection(std::shared_ptr<HttpServer::State> server)
      : server_(std::move(server)), woken_(server_->loop.context()), watch_(server_->loop.context()) {
    server_->connections.insert(this);
  }
  ~HttpConnection() {
    server_->connections.erase(this);
    lose();
  }

  template <class Stream>
  Done serve(Stream& stream);
  void drop() {  // its exchange, as if the client had gone
    lose();
    woken_.cancel();
  }
  void close_if_idle() {
    if (idle_ && close_) close_();
  }

 private:
  template <class Stream>
  Kept receive(Stream& stream, HttpRequest& request, bool& keep, unsigned& version);
  template <class Stream>
  Done refuse(Stream& stream, int status, std::string_view what);
  template <class Stream>
  Kept answer(Stream& stream, bool keep, unsigned version);
  template <class Stream>
  Kept write_pieces(Stream& stream, bool chunked);
  template <class Stream>
  void watch(Stream& stream);
  void lose();
  std::chrono::seconds patience() const {
    return std::chrono::seconds(server_->options.limits.receive_seconds);
  }

  std::shared_ptr<HttpServer::State> server_;
  asio::steady_timer woken_, watch_;
  beast::flat_buffer buffer_;
  ExchangePtr exchange_;
  bool idle_ = false;
  std::function<void()> close_;
};

void HttpConnection::lose() {
  if (exchange_ == nullptr) return;
  const ExchangePtr lost = std::exchange(exchange_, nullptr);
  lost->wake_ = nullptr;
  const bool early = !lost->ended_ || !lost->pending_.empty();
  lost->gone_ = true;
  if (early && lost->on_gone) std::exchange(lost->on_gone, nullptr)();
  server_->handlers.done(*lost);
}

template <class Stream>
Done HttpConnection::refuse(Stream& stream, int status, std::string_view what) {
  return write_refusal(stream, server_->handlers.refused(status, what), patience());
}

// False: the connection is over.
template <class Stream>
Kept HttpConnection::receive(Stream& stream, HttpRequest& request, bool& keep, unsigned& version) {
  const HttpLimits limits = server_->options.limits;  // they may change meanwhile
  auto& lowest = beast::get_lowest_layer(stream);
  error_code error;
  if (buffer_.size() == 0) {  // idle clients keep no buffer
    buffer_.shrink_to_fit();
    idle_ = true;
    lowest.expires_after(std::chrono::seconds(limits.idle_seconds));
    std::array<char, 512> first;
    const std::size_t n =
        co_await stream.async_read_some(asio::buffer(first), asio::redirect_error(awaited, error));
    idle_ = false;
    if (error) co_return false;
    buffer_.commit(asio::buffer_copy(buffer_.prepare(n), asio::buffer(first, n)));
  }
  http::request_parser<http::string_body> parser;
  parser.header_limit(limits.header_bytes);
  parser.body_limit(limits.body_bytes);
  lowest.expires_after(patience());
  co_await http::async_read_header(stream, buffer_, parser, asio::redirect_error(awaited, error));
  if (!error && beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    http::response<http::empty_body> go_on(http::status::continue_, 11);
    co_await http::async_write(stream, go_on, asio::redirect_error(awaited, error));
  }
  if (!error) co_await http::async_read(stream, buffer_, parser, asio::redirect_error(awaited, error));
  if (error == http::error::body_limit) {
    co_await refuse(stream, 413, fmt::format("the body has more than {} bytes", limits.body_bytes));
    co_return false;
  }
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    co_await refuse(stream, 431, fmt::format("the headers have more than {} bytes", limits.header_bytes));
    co_return false;
  }
  if (error && error.category() == make_error_code(http::error::bad_method).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message) {
    co_await refuse(stream, 400, fmt::format("this is not HTTP: {}", error.message()));
    co_return false;
  }
  if (error) co_return false;
  keep = parser.get().keep_alive();
  version = parser.get().version();
  request = plain_request(parser.get());
  co_return true;
}

// Sees the client close while its answer is being made. A client that sends its next request meanwhile cannot
// be told from one that also closed, but for what poll() says now and then.
template <class Stream>
void HttpConnection::watch(Stream& stream) {
  auto& socket = beast::get_lowest_layer(stream).socket();
  // The stream lives as long as the exchange is this connection's.
  const auto watching = [weak = weak_from_this(), exchange = exchange_]() -> std::shared_ptr<HttpConnection> {
    auto self = weak.lock();
    return self != nullptr && self->exchange_ == exchange ? self : nullptr;
  };
  socket.async_wait(asio::socket_base::wait_read, [watching, &stream](error_code error) {
    const auto self = error ? nullptr : watching();
    if (self == nullptr) return;
    if (has_closed(beast::get_lowest_layer(stream).socket().native_handle())) return self->drop();
    self->watch_.expires_after(std::chrono::milliseconds(50));
    self->watch_.async_wait([watching, &stream](error_code stopped) {
      const auto still = stopped ? nullptr : watching();
      if (still != nullptr) still->watch(stream);
    });
  });
}

// False: the connection is over.
template <class Stream>
Kept HttpConnection::answer(Stream& stream, bool keep, unsigned version) {
  const ExchangePtr exchange = exchange_;
  while (!exchange->head_ && !exchange->gone_) {
    woken_.expires_at(asio::steady_timer::time_point::max());
    error_code ignored;
    co_await woken_.async_wait(asio::redirect_error(awaited, ignored));
  }
  if (exchange->gone_) co_return false;
  const HttpResponse& head = *exchange->head_;
  keep = keep && !server_->draining;
  const bool chunked = exchange->streamed_ && version >= 11;
  http::response<http::string_body> response(http::int_to_status(static_cast<unsigned>(head.status)),
                                             version);
  response.set(http::field::content_type, head.content_type);
  response.set("X-Request-Id", exchange->id);
  for (const auto& [name, value] : head.headers) response.set(name, value);
  for (const auto& [name, value] : exchange->extra_headers) response.set(name, value);
  response.keep_alive(keep && (chunked || !exchange->streamed_));
  error_code error;
  beast::get_lowest_layer(stream).expires_after(patience());
  if (!exchange->streamed_) {
    const bool bare = exchange->request.method == "HEAD";
    response.body() = bare ? std::string() : head.body;
    response.prepare_payload();
    if (bare) response.set(http::field::content_length, std::to_string(head.body.size()));
    co_await http::async_write(stream, response, asio::redirect_error(awaited, error));
  } else {
    response.set(http::field::cache_control, "no-cache");
    response.set("X-Accel-Buffering", "no");
    if (chunked) response.chunked(true);
    http::response_serializer<http::string_body> serializer(response);
    co_await http::async_write_header(stream, serializer, asio::redirect_error(awaited, error));
    if (!error && !co_await write_pieces(stream, chunked)) co_return false;
  }
  co_return !error && response.keep_alive();
}

template <class Stream>
Kept HttpConnection::write_pieces(Stream& stream, bool chunked) {
  const ExchangePtr exchange = exchange_;
  error_code error;
  while (exchange != nullptr && !exchange->gone_ && !error) {
    if (exchange->pending_.empty() && exchange->ended_) break;
    if (exchange->pending_.empty()) {
      woken_.expires_at(asio::steady_timer::time_point::max());
      error_code ignored;
      co_await woken_.async_wait(asio::redirect_error(awaited, ignored));
      continue;
    }
    std::string piece;
    piece.swap(exchange->pending_);
    if (chunked) piece = fmt::format("{:x}\r\n", piece.size()) + piece + "\r\n";
    beast::get_lowest_layer(stream).expires_after(patience());
    co_await asio::async_write(stream, asio::buffer(piece), asio::redirect_error(awaited, error));
    beast::get_lowest_layer(stream).expires_never();
  }
  if (exchange == nullptr || exchange->gone_ || error) co_return false;
  if (chunked) {
    const std::string_view last = "0\r\n\r\n";
    co_await asio::async_write(stream, asio::buffer(last), asio::redirect_error(awaited, error));
  }
  co_return !error;
}

template <class Stream>
Done HttpConnection::serve(Stream& stream) {
  close_ = [&stream] { beast::get_lowest_layer(stream).cancel(); };
  bool keep = true;
  while (keep && !(server_->draining && buffer_.size() == 0)) {
    auto exchange = std::make_shared<Exchange>();
    unsigned version = 11;
    if (!co_await receive(stream, exchange->request, keep, version)) break;
    exchange->started_ns = now_ns();
    const std::string_view given = exchange->request.header("x-request-id");
    exchange->id = is_good_id(given) ? std::string(given) : new_id();
    exchange->wake_ = [this] { woken_.cancel(); };
    exchange_ = exchange;
    beast::get_lowest_layer(stream).expires_never();
    server_->handlers.handle(exchange);
    watch(stream);
    keep = co_await answer(stream, keep, version);
    beast::get_lowest_layer(stream).socket().cancel();  // the watch; nothing else is under way
    watch_.cancel();
    lose();
  }
}

// The coroutine owns the stream and the connection.
namespace {

Done serve_plain(std::shared_ptr<HttpConnection> connection, PlainStream stream) {
  co_await connection->serve(stream);
  error_code ignored;
  stream.socket().shutdown(asio::socket_base::shutdown_both, ignored);
}

Done serve_tls(std::shared_ptr<HttpConnection> connection, PlainStream plain,
               std::shared_ptr<ssl::context> context) {
  TlsStream stream(std::move(plain), *context);
  error_code error;
  beast::get_lowest_layer(stream).expires_after(std::chrono::seconds(10));
  co_await stream.async_handshake(ssl::stream_base::server, asio::redirect_error(awaited, error));
  if (error) co_return;
  co_await connection->serve(stream);
  beast::get_lowest_layer(stream).expires_after(std::chrono::seconds(2));
  co_await stream.async_shutdown(asio::redirect_error(awaited, error));
}

}  // namespace

// A connection too many.
Done HttpServer::State::turn_away(PlainStream stream) {
  const auto self = shared_from_this();
  ++turned_away;
  HttpResponse refusal = handlers.refused(
      503,
      fmt::format("at most {} connections are open at once, try again later", options.limits.connections));
  refusal.headers.emplace_back("Retry-After", "1");
  co_await write_refusal(stream, std::move(refusal), std::chrono::seconds(2));
  --turned_away;
}

template <class Acceptor>
Done HttpServer::State::accept(std::shared_ptr<Acceptor> acceptor) {
  const auto self = shared_from_this();
  while (!draining) {
    error_code error;
    auto socket = co_await acceptor->async_accept(asio::redirect_error(awaited, error));
    if (draining) break;
    if (error) {  // out of descriptors, most likely: those that are open must close first
      asio::steady_timer pause(loop.context(), std::chrono::milliseconds(100));
      error_code ignored;
      co_await pause.async_wait(asio::redirect_error(awaited, ignored));
      continue;
    }
    const bool full = static_cast<int>(connections.size()) >= options.limits.connections;
    constexpr int most_turned_away = 64;
    if (full && (tls != nullptr || turned_away >= most_turned_away)) continue;  // closes it
    if constexpr (std::is_same_v<Acceptor, asio::ip::tcp::acceptor>)
      socket.set_option(asio::ip::tcp::no_delay(true), error);
    PlainStream stream{Protocol::socket(std::move(socket))};
    if (full) {
      asio::co_spawn(loop.context(), turn_away(std::move(stream)), asio::detached);
      continue;
    }
    auto connection = std::make_shared<HttpConnection>(self);
    const auto finished = [connection](std::exception_ptr) {};
    if (tls != nullptr)
      asio::co_spawn(loop.context(), serve_tls(connection, std::move(stream), tls), finished);
    else
      asio::co_spawn(loop.context(), serve_plain(connection, std::move(stream)), finished);
  }
}

namespace {

std::shared_ptr<ssl::context> load_certificate(const HttpOptions& options) {
  if (options.certificate.empty() && options.key.empty()) return nullptr;
  if (options.certificate.empty() || options.key.empty()) fail("TLS: expected both a certificate and a key");
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  context->set_options(ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1);
  error_code error;
  context->use_certificate_chain_file(options.certificate, error);
  if (error) fail("{}: cannot be used as a TLS certificate: {}", options.certificate, error.message());
  context->use_private_key_file(options.key, ssl::context::pem, error);
  if (error)
    fail("{}: cannot be used as the TLS key of {}: {}", options.key, options.certificate, error.message());
  return context;
}

// A socket file that a server which ended has left.
bool is_abandoned(const asio::local::stream_protocol::endpoint& endpoint) {
  struct stat found{};
  if (::lstat(endpoint.path().c_str(), &found) != 0 || !S_ISSOCK(found.st_mode)) return false;
  asio::io_context context;
  error_code error;
  asio::local::stream_protocol::socket(context).connect(endpoint, error);
  return error == asio::error::connection_refused;
}

}  // namespace

void check_certificate(const HttpOptions& options) {
  load_certificate(options);
}

void HttpServer::State::listen() {
  auto& context = loop.context();
  try {
    if (!options.socket.empty()) {
      const asio::local::stream_protocol::endpoint endpoint(options.socket);
      if (is_abandoned(endpoint)) ::unlink(options.socket.c_str());
      local = std::make_shared<asio::local::stream_protocol::acceptor>(context, endpoint);
      asio::co_spawn(context, accept(local), asio::detached);
      return;
    }
    asio::ip::tcp::resolver resolver(context);
    const auto found = resolver.resolve(options.host, std::to_string(options.port));
    tcp = std::make_shared<asio::ip::tcp::acceptor>(context);
    tcp->open(found->endpoint().protocol());
    tcp->set_option(asio::socket_base::reuse_address(true));
    tcp->bind(found->endpoint());
    tcp->listen(1024);
    asio::co_spawn(context, accept(tcp), asio::detached);
  } catch (const boost::system::system_error& error) {
    if (!options.socket.empty()) fail("{}: cannot listen there: {}", options.socket, error.code().message());
    fail("{}:{}: cannot listen there: {}", options.host, options.port, error.code().message());
  }
}

HttpServer::HttpServer(Loop& loop, const HttpOptions& options, Handlers handlers)
    : state_(std::make_shared<State>(loop, options, std::move(handlers))) {
  state_->tls = load_certificate(options);
  state_->listen();
}

HttpServer::~HttpServer() {
  drain();
  for (HttpConnection* connection : std::vector(state_->connections.begin(), state_->connections.end()))
    connection->drop();
  state_->handlers.done = [](const Exchange&) {};
  if (!state_->options.socket.empty()) ::unlink(state_->options.socket.c_str());
}

int HttpServer::port() const {
  return state_->tcp == nullptr ? 0 : state_->tcp->local_endpoint().port();
}

int HttpServer::connections() const {
  return static_cast<int>(state_->connections.size());
}

void HttpServer::reload_certificate() {
  state_->tls = load_certificate(state_->options);
}

void HttpServer::set_limits(const HttpLimits& limits) {
  state_->options.limits = limits;
}

void HttpServer::drain() {
  if (std::exchange(state_->draining, true)) return;
  error_code ignored;
  if (state_->tcp) state_->tcp->close(ignored);
  if (state_->local) state_->local->close(ignored);
  for (HttpConnection* connection : std::vector(state_->connections.begin(), state_->connections.end()))
    connection->close_if_idle();
}

}  // namespace rf
