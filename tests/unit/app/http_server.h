// A web server of a few lines on a thread, whose answers the tests compose byte by byte.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace rf::test {

class HttpServer {
 public:
  // Given the request's head, returns the whole answer; the connection is closed after it.
  using Answer = std::function<std::string(const std::string& request)>;

  explicit HttpServer(Answer answer)
      : answer_(std::move(answer)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 16) != 0 ||
        ::getsockname(listener_, generic, &size) != 0)
      std::abort();
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~HttpServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    for (;;) {
      const int connection = ::accept(listener_, nullptr, nullptr);
      if (connection < 0) return;
      std::string request;
      char buffer[4096];
      while (request.find("\r\n\r\n") == std::string::npos) {
        const ssize_t n = ::recv(connection, buffer, sizeof buffer, 0);
        if (n <= 0) break;
        request.append(buffer, static_cast<std::size_t>(n));
      }
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      const std::string answer = answer_(request);
      for (std::string_view left = answer; !left.empty();) {
        const ssize_t n = ::send(connection, left.data(), left.size(), MSG_NOSIGNAL);
        if (n <= 0) break;
        left.remove_prefix(static_cast<std::size_t>(n));
      }
      ::close(connection);
    }
  }

  Answer answer_;
  int listener_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

// The value of a request's header, or "".
inline std::string header_of(const std::string& request, const std::string& name) {
  const auto at = request.find("\r\n" + name + ": ");
  if (at == std::string::npos) return "";
  const auto begin = at + name.size() + 4;
  return request.substr(begin, request.find("\r\n", begin) - begin);
}

inline std::string answer(const std::string& status, const std::string& headers, const std::string& body) {
  return "HTTP/1.1 " + status + "\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + headers + "\r\n" + body;
}

// What a good server says: the range that is asked for while If-Range is the ETag, else everything.
inline std::string file_answer(const std::string& request, const std::string& content,
                               const std::string& etag) {
  const std::string tag = "ETag: " + etag + "\r\n";
  const std::string range = header_of(request, "Range");
  if (range.empty() || header_of(request, "If-Range") != etag) return answer("200 OK", tag, content);
  const auto from = static_cast<std::size_t>(std::stoull(range.substr(std::string_view("bytes=").size())));
  const std::string total = std::to_string(content.size());
  if (from >= content.size())
    return answer("416 Range Not Satisfiable", "Content-Range: bytes */" + total + "\r\n", "");
  return answer("206 Partial Content",
                tag + "Content-Range: bytes " + std::to_string(from) + "-" +
                    std::to_string(content.size() - 1) + "/" + total + "\r\n",
                content.substr(from));
}

}  // namespace rf::test
