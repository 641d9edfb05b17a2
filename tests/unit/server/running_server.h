// A server on loopback whose loop is a thread of the test, and a client of it that sees every byte.
#pragma once
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "golden.h"
#include "server/http.h"
#include "server/loop.h"
#include "server/service.h"

namespace rf::test {

struct Reply {
  int status = 0;
  std::string head, body;  // the body without its chunks' sizes

  std::string header(const std::string& name) const {
    const std::size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const std::size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
  Json json() const { return Json::parse(body, nullptr, false); }
};

// Blocks until the server closes, but not for ever.
class Client {
 public:
  explicit Client(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval patience{.tv_sec = 60, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { ::close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  void send(std::string_view bytes) const {
    for (ssize_t n = 1; !bytes.empty() && n > 0; bytes.remove_prefix(static_cast<std::size_t>(n)))
      if ((n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL)) <= 0) return;
  }
  void finish_sending() const { ::shutdown(socket_, SHUT_WR); }
  std::string receive_some() const {
    std::string bytes(65536, '\0');
    const ssize_t n = ::recv(socket_, bytes.data(), bytes.size(), 0);
    bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return bytes;
  }
  std::string receive_all() const {
    std::string all;
    for (std::string some = receive_some(); !some.empty(); some = receive_some()) all += some;
    return all;
  }

 private:
  int socket_;
  bool connected_ = false;
};

inline std::string without_chunks(std::string_view text) {
  std::string body;
  while (!text.empty()) {
    const std::size_t size = std::stoul(std::string(text.substr(0, text.find("\r\n"))), nullptr, 16);
    text.remove_prefix(text.find("\r\n") + 2);
    body += text.substr(0, size);
    text.remove_prefix(std::min(text.size(), size + 2));
  }
  return body;
}

inline Reply parse_reply(const std::string& bytes) {
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string::npos) return {};
  Reply reply{.status = std::stoi(bytes.substr(9, 3)),
              .head = bytes.substr(0, end + 2),
              .body = bytes.substr(end + 4)};
  if (reply.header("Transfer-Encoding") == "chunked") reply.body = without_chunks(reply.body);
  return reply;
}

class RunningServer {
 public:
  enum class Engines : std::uint8_t { real, never_loaded, mortal };  // mortal: each dies of its first request
  // Models by their names and files.
  struct Setup {
    std::vector<std::pair<std::string, std::string>> models;
    ServiceOptions service{};
    HttpOptions http{};
    Engines engines = Engines::real;
  };

  static std::vector<ModelEntry> entries(const Setup& setup) {
    std::vector<ModelEntry> all;
    for (const auto& [name, path] : setup.models) {
      std::vector<std::string> command = {std::filesystem::read_symlink("/proc/self/exe"), "--engine", path,
                                          "{}"};
      if (setup.engines == Engines::never_loaded)  // it reads its socket, which is descriptor 3, to the end
        command = {"/bin/sh", "-c", "exec cat <&3 >/dev/null"};
      if (setup.engines == Engines::mortal) command = {command[0], "--mortal", "{}"};
      all.push_back({name, path, command});
    }
    return all;
  }

  explicit RunningServer(Setup setup)
      : traces_(loop_, ""),
        models_(loop_, metrics_, entries(setup), {}),
        service_(loop_, models_, metrics_, traces_, setup.service),
        http_(loop_, on_any_port(setup.http),
              {.handle = [this](ExchangePtr exchange) { service_.handle(std::move(exchange)); },
               .refused =
                   [](int status, std::string_view what) {
                     return error_response(ErrorStyle::openai, ApiError(status, std::string(what)));
                   },
               .done = [this](const Exchange& exchange) { service_.done(exchange); }}),
        port_(http_.port()),
        thread_([this] { loop_.run(); }) {}
  ~RunningServer() {
    loop_.stop();
    thread_.join();
  }
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  int port() const { return port_; }

  Reply request(const std::string& method, const std::string& path, const std::string& body = "",
                const std::string& headers = "") {
    const Client client(port());
    client.send(method + " " + path + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n" + headers +
                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return parse_reply(client.receive_all());
  }
  Reply post(const std::string& path, const Json& body, const std::string& headers = "") {
    return request("POST", path, dump(body), headers);
  }

  // What `call` gives, which runs on the loop, as all calls of the server's parts must.
  template <class Call>
  auto on_loop(Call call) {
    std::promise<decltype(call())> promise;
    loop_.post([&] {
      if constexpr (std::is_void_v<decltype(call())>) {
        call();
        promise.set_value();
      } else {
        promise.set_value(call());
      }
    });
    return promise.get_future().get();
  }
  Service& service() { return service_; }
  Models& models() { return models_; }
  HttpServer& http() { return http_; }

 private:
  static HttpOptions on_any_port(HttpOptions options) {
    options.port = 0;
    return options;
  }

  Loop loop_;
  Metrics metrics_;
  Traces traces_;
  Models models_;
  Service service_;
  HttpServer http_;
  const int port_;
  std::thread thread_;
};

// Waits for it. False: it takes far too long.
template <class Condition>
bool comes_true(Condition condition) {
  for (int i = 0; i < 6000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

inline std::string llama() {
  return golden("arch/llama/model.gguf");
}

}  // namespace rf::test
