#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>
#include <vector>

#include "base/error.h"
#include "server/http_connection.h"

namespace rf {

namespace asio = boost::asio;
namespace ssl = asio::ssl;
using boost::system::error_code;
constexpr asio::use_awaitable_t<> awaited;

struct HttpServer::State : HttpShared, std::enable_shared_from_this<State> {
  State(Loop& owner, HttpOptions given, Handlers what)
      : HttpShared{.loop = owner, .options = std::move(given), .handlers = std::move(what)} {}

  template <class Acceptor>
  Done accept(std::shared_ptr<Acceptor> acceptor);
  Done turn_away(PlainStream stream);
  void listen();

  std::shared_ptr<ssl::context> tls;
  std::shared_ptr<asio::ip::tcp::acceptor> tcp;
  std::shared_ptr<asio::local::stream_protocol::acceptor> local;
  int turned_away = 0;  // those that are being told so
};

// A connection too many.
Done HttpServer::State::turn_away(PlainStream stream) {
  const auto self = shared_from_this();
  ++turned_away;
  HttpResponse refusal = handlers.refused(
      503,
      fmt::format("at most {} connections are open at once, try again later", options.limits.connections));
  refusal.headers.emplace_back("Retry-After", "1");
  co_await refuse_connection(stream, std::move(refusal), std::chrono::seconds(2));
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
    PlainStream stream{asio::generic::stream_protocol::socket(std::move(socket))};
    if (full) {
      asio::co_spawn(loop.context(), turn_away(std::move(stream)), asio::detached);
      continue;
    }
    auto connection = std::make_shared<HttpConnection>(self);
    const auto finished = [connection](std::exception_ptr) {};
    if (tls != nullptr)
      asio::co_spawn(loop.context(), connection->serve_tls(std::move(stream), tls), finished);
    else
      asio::co_spawn(loop.context(), connection->serve_plain(std::move(stream)), finished);
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
    const bool v6 = options.host.find(':') != std::string::npos;
    fail("{}{}{}:{}: cannot listen there: {}", v6 ? "[" : "", options.host, v6 ? "]" : "", options.port,
         error.code().message());
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
