#include "server/http_connection.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <cctype>
#include <sstream>
#include <utility>

#include "base/clock.h"
#include "base/error.h"

namespace rf {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using TlsStream = beast::ssl_stream<PlainStream>;
constexpr asio::use_awaitable_t<> awaited;

namespace {

HttpRequest plain_request(http::request<http::string_body>& from) {
  HttpRequest request;
  std::string_view target(from.target().data(), from.target().size());
  if (target.starts_with("http://") || target.starts_with("https://")) {  // as proxies are asked
    const std::size_t path = target.find('/', target.find("//") + 2);
    target = path == std::string_view::npos ? "/" : target.substr(path);
  }
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

// What some clients send behind a body (RFC 9112, section 2.2).
void drop_line_ends(beast::flat_buffer& buffer) {
  const std::string_view bytes(static_cast<const char*>(buffer.cdata().data()), buffer.size());
  buffer.consume(std::min(bytes.find_first_not_of("\r\n"), bytes.size()));
}

enum class Peer : std::uint8_t { open, finished, gone };

// One that has closed looks like one that has only finished sending, until something is sent to it.
Peer peer_of(int socket) {
  pollfd state{.fd = socket, .events = POLLRDHUP, .revents = 0};
  if (::poll(&state, 1, 0) <= 0) return Peer::open;
  if ((state.revents & (POLLERR | POLLHUP)) != 0) return Peer::gone;
  return (state.revents & POLLRDHUP) != 0 ? Peer::finished : Peer::open;
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

using ResponseHead = http::response<http::empty_body>;

std::string bytes_of(const ResponseHead& head) {
  std::ostringstream text;
  text << head.base();
  return text.str();
}

}  // namespace

Done refuse_connection(PlainStream& stream, HttpResponse refusal, std::chrono::seconds patience) {
  return write_refusal(stream, std::move(refusal), patience);
}

HttpConnection::HttpConnection(std::shared_ptr<HttpShared> shared)
    : shared_(std::move(shared)), woken_(shared_->loop.context()), watch_(shared_->loop.context()) {
  shared_->connections.insert(this);
}

HttpConnection::~HttpConnection() {
  shared_->connections.erase(this);
  lose();
}

void HttpConnection::drop() {
  lose();
  woken_.cancel();
}

void HttpConnection::lose() {
  if (exchange_ == nullptr) return;
  const ExchangePtr lost = std::exchange(exchange_, nullptr);
  lost->wake_ = nullptr;
  const bool early = !lost->ended_ || !lost->pending_.empty();
  lost->gone_ = true;
  if (early && lost->on_gone) std::exchange(lost->on_gone, nullptr)();
  shared_->handlers.done(*lost);
}

Done HttpConnection::sleep_until_woken() {
  woken_.expires_at(asio::steady_timer::time_point::max());
  error_code ignored;
  co_await woken_.async_wait(asio::redirect_error(awaited, ignored));
}

// Waits until the buffer has the beginning of a request. Idle clients keep no buffer.
template <class Stream>
HttpConnection::Kept HttpConnection::begins(Stream& stream) {
  drop_line_ends(buffer_);
  if (buffer_.size() > 0) co_return true;
  buffer_.shrink_to_fit();
  idle_ = true;
  beast::get_lowest_layer(stream).expires_after(std::chrono::seconds(shared_->options.limits.idle_seconds));
  error_code error;
  while (buffer_.size() == 0 && !error) {
    std::array<char, 512> first;
    const std::size_t n =
        co_await stream.async_read_some(asio::buffer(first), asio::redirect_error(awaited, error));
    buffer_.commit(asio::buffer_copy(buffer_.prepare(n), asio::buffer(first, n)));
    drop_line_ends(buffer_);
  }
  idle_ = false;
  co_return !error;
}

template <class Stream>
HttpConnection::Kept HttpConnection::receive(Stream& stream, HttpRequest& request, bool& keep,
                                             unsigned& version) {
  if (!co_await begins(stream)) co_return false;
  const HttpLimits limits = shared_->options.limits;  // they may change meanwhile
  auto& lowest = beast::get_lowest_layer(stream);
  error_code error;
  http::request_parser<http::string_body> parser;
  parser.header_limit(limits.header_bytes);
  parser.body_limit(limits.body_bytes);
  const auto refuse = [&](int status, std::string_view what) {
    return write_refusal(stream, shared_->handlers.refused(status, what), patience());
  };
  lowest.expires_after(patience());
  co_await http::async_read_header(stream, buffer_, parser, asio::redirect_error(awaited, error));
  if (!error && parser.get().count(http::field::transfer_encoding) > 0 && !parser.chunked()) {
    co_await refuse(501, "expected a body that is chunked, or as long as Content-Length says");
    co_return false;
  }
  if (!error && beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    http::response<http::empty_body> go_on(http::status::continue_, 11);
    co_await http::async_write(stream, go_on, asio::redirect_error(awaited, error));
  }
  if (!error) co_await http::async_read(stream, buffer_, parser, asio::redirect_error(awaited, error));
  if (error == http::error::body_limit) {
    co_await refuse(413, fmt::format("the body has more than {} bytes", limits.body_bytes));
    co_return false;
  }
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    co_await refuse(431, fmt::format("the headers have more than {} bytes", limits.header_bytes));
    co_return false;
  }
  if (error && error.category() == make_error_code(http::error::bad_method).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message) {
    co_await refuse(400, fmt::format("this is not HTTP: {}", error.message()));
    co_return false;
  }
  if (error) co_return false;
  keep = parser.get().keep_alive();
  version = parser.get().version();
  request = plain_request(parser.get());
  co_return true;
}

std::function<std::shared_ptr<HttpConnection>()> HttpConnection::while_serving() {
  return [weak = weak_from_this(), exchange = exchange_]() -> std::shared_ptr<HttpConnection> {
    auto self = weak.lock();
    return self != nullptr && self->exchange_ == exchange ? self : nullptr;
  };
}

// Sees the client go while its answer is being made. One that sends its next request meanwhile is looked at
// now and then.
template <class Stream>
void HttpConnection::watch(Stream& stream) {
  auto& socket = beast::get_lowest_layer(stream).socket();
  socket.async_wait(asio::socket_base::wait_read, [serving = while_serving(), &stream](error_code error) {
    const auto self = error ? nullptr : serving();
    if (self == nullptr) return;
    const Peer peer = peer_of(beast::get_lowest_layer(stream).socket().native_handle());
    if (peer == Peer::gone) return self->drop();
    if (peer == Peer::finished) return self->probe(stream);
    self->watch_.expires_after(std::chrono::milliseconds(50));
    self->watch_.async_wait([serving, &stream](error_code stopped) {
      const auto still = stopped ? nullptr : serving();
      if (still != nullptr) still->watch(stream);
    });
  });
}

// The system of a client that has closed answers what is sent to it with a reset.
template <class Stream>
void HttpConnection::probe(Stream& stream) {
  probing_ = true;
  woken_.cancel();
  auto& socket = beast::get_lowest_layer(stream).socket();
  socket.async_wait(asio::socket_base::wait_error, [serving = while_serving(), &stream](error_code error) {
    const auto self = error ? nullptr : serving();
    if (self == nullptr) return;
    if (peer_of(beast::get_lowest_layer(stream).socket().native_handle()) == Peer::gone) self->drop();
  });
}

// What probes is what any answer begins with.
template <class Stream>
HttpConnection::Kept HttpConnection::answer(Stream& stream, bool keep, unsigned version) {
  const ExchangePtr exchange = exchange_;
  auto& lowest = beast::get_lowest_layer(stream);
  const std::string_view beginning = version >= 11 ? "HTTP/1.1 " : "HTTP/1.0 ";
  std::size_t sent = 0;  // of it
  error_code error;
  while (!exchange->head_ && !exchange->gone_ && !error) {
    if (!std::exchange(probing_, false)) {
      co_await sleep_until_woken();
      continue;
    }
    lowest.expires_after(patience());
    sent = co_await asio::async_write(stream, asio::buffer(beginning), asio::redirect_error(awaited, error));
    lowest.expires_never();
  }
  if (exchange->gone_ || error) co_return false;
  const HttpResponse& head = *exchange->head_;
  keep = keep && !shared_->draining;
  const bool streamed = exchange->streamed_, chunked = streamed && version >= 11;
  ResponseHead response(http::int_to_status(static_cast<unsigned>(head.status)), version);
  response.set(http::field::content_type, head.content_type);
  response.set("X-Request-Id", exchange->id);
  for (const auto& [name, value] : head.headers) response.set(name, value);
  for (const auto& [name, value] : exchange->extra_headers) response.set(name, value);
  response.keep_alive(keep && (chunked || !streamed));
  if (streamed) {
    response.set(http::field::cache_control, "no-cache");
    response.set("X-Accel-Buffering", "no");
    if (chunked) response.chunked(true);
  } else if (response.result() != http::status::no_content) {
    response.content_length(head.body.size());
  }
  const std::string bytes = bytes_of(response);
  const bool bare = streamed || exchange->request.method == "HEAD";
  const std::array<asio::const_buffer, 2> parts{asio::buffer(bytes) + sent,
                                                asio::buffer(bare ? std::string_view() : head.body)};
  lowest.expires_after(patience());
  co_await asio::async_write(stream, parts, asio::redirect_error(awaited, error));
  if (!error && streamed && !co_await write_pieces(stream, chunked)) co_return false;
  co_return !error && response.keep_alive();
}

template <class Stream>
HttpConnection::Kept HttpConnection::write_pieces(Stream& stream, bool chunked) {
  const ExchangePtr exchange = exchange_;
  error_code error;
  while (exchange != nullptr && !exchange->gone_ && !error) {
    if (exchange->pending_.empty() && exchange->ended_) break;
    std::string piece;
    piece.swap(exchange->pending_);
    if (piece.empty() && !(chunked && std::exchange(probing_, false))) {
      co_await sleep_until_woken();
      continue;
    }
    if (piece.empty())
      piece = "0";  // that probes is the first digit of the next chunk's size
    else if (chunked)
      piece = fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
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
  while (keep && !(shared_->draining && buffer_.size() == 0)) {
    auto exchange = std::make_shared<Exchange>();
    unsigned version = 11;
    if (!co_await receive(stream, exchange->request, keep, version)) break;
    exchange->started_ns = now_ns();
    const std::string_view given = exchange->request.header("x-request-id");
    exchange->id = is_good_id(given) ? std::string(given) : new_id();
    exchange->wake_ = [this] { woken_.cancel(); };
    exchange_ = exchange;
    probing_ = false;
    beast::get_lowest_layer(stream).expires_never();
    shared_->handlers.handle(exchange);
    watch(stream);
    keep = co_await answer(stream, keep, version);
    beast::get_lowest_layer(stream).socket().cancel();  // the watch; nothing else is under way
    watch_.cancel();
    lose();
  }
}

Done HttpConnection::serve_plain(PlainStream stream) {
  const auto self = shared_from_this();
  co_await serve(stream);
  error_code ignored;
  stream.socket().shutdown(asio::socket_base::shutdown_both, ignored);
}

Done HttpConnection::serve_tls(PlainStream plain, std::shared_ptr<asio::ssl::context> context) {
  const auto self = shared_from_this();
  TlsStream stream(std::move(plain), *context);
  error_code error;
  beast::get_lowest_layer(stream).expires_after(std::chrono::seconds(10));
  co_await stream.async_handshake(asio::ssl::stream_base::server, asio::redirect_error(awaited, error));
  if (error) co_return;
  co_await serve(stream);
  beast::get_lowest_layer(stream).expires_after(std::chrono::seconds(2));
  co_await stream.async_shutdown(asio::redirect_error(awaited, error));
}

}  // namespace rf
