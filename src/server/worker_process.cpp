#include "server/worker_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>
#include <deque>
#include <utility>

#include "base/clock.h"
#include "base/error.h"

extern char** environ;

namespace rf {

namespace asio = boost::asio;
using boost::system::error_code;

struct WorkerProcess::State : std::enable_shared_from_this<State> {
  State(Loop& owner, Handlers given) : loop(owner), handlers(std::move(given)), socket(owner.context()) {}

  void read_header();
  void read_payload(message::Header header);
  void write_next();
  void end(const std::string& why, int patience = 0);

  Loop& loop;
  Handlers handlers;
  asio::local::stream_protocol::socket socket;
  pid_t pid = -1;
  std::string header = std::string(message::header_bytes, '\0'), payload;
  std::deque<std::string> unsent;
  bool over = false;
};

void WorkerProcess::State::read_header() {
  asio::async_read(socket, asio::buffer(header), [self = shared_from_this()](error_code error, std::size_t) {
    if (self->over) return;
    if (error) return self->end("it closed its socket");
    try {
      self->read_payload(message::decode_header(self->header));
    } catch (const Error& wrong) {
      self->end(wrong.what());
    }
  });
}

void WorkerProcess::State::read_payload(message::Header next) {
  payload.resize(next.length);
  asio::async_read(socket, asio::buffer(payload),
                   [self = shared_from_this(), next](error_code error, std::size_t) {
                     if (self->over) return;
                     if (error) return self->end("it closed its socket");
                     try {
                       const auto handle = self->handlers.message;  // which may be let go of meanwhile
                       handle(next.kind, self->payload);
                     } catch (const Error& wrong) {
                       return self->end(wrong.what());
                     }
                     if (!self->over) self->read_header();
                   });
}

void WorkerProcess::State::write_next() {
  asio::async_write(socket, asio::buffer(unsent.front()),
                    [self = shared_from_this()](error_code error, std::size_t) {
                      if (self->over || error) return;  // the reading side tells of errors
                      self->unsent.pop_front();
                      if (!self->unsent.empty()) self->write_next();
                    });
}

// A process that is told nothing any more ends by itself, once what it saves is written; it has `patience`
// seconds for it. Even a killed one may need a while to give its memory back, which the loop does not wait
// for.
void WorkerProcess::State::end(const std::string& why, int patience) {
  if (std::exchange(over, true)) return;
  error_code ignored;
  socket.close(ignored);
  const auto wait = [gone = pid, until = now_ns() + patience * std::int64_t{1'000'000'000}] {
    while (now_ns() < until) {
      if (::waitpid(gone, nullptr, WNOHANG) != 0) return;
      ::usleep(5000);
    }
    ::kill(gone, SIGKILL);
    ::waitpid(gone, nullptr, 0);
  };
  loop.background(wait, [] {});
  const Handlers last = std::exchange(handlers, {});
  if (last.ended && !why.empty()) loop.post([last, why] { last.ended(why); });
}

WorkerProcess::WorkerProcess(Loop& loop, const std::vector<std::string>& command, Handlers handlers)
    : state_(std::make_shared<State>(loop, std::move(handlers))) {
  // It has no other file of this process: a client's connection, that it held too, would not end here.
  constexpr int its_socket = STDERR_FILENO + 1;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    fail("socketpair: {}", std::strerror(errno));
  std::vector<std::string> words = command;
  std::vector<char*> arguments;
  for (std::string& word : words) {
    if (word == "{}") word = std::to_string(its_socket);
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], its_socket);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, its_socket + 1);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setpgroup(&attributes, 0);  // signals from a terminal are for the server
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int result =
      ::posix_spawn(&state_->pid, arguments[0], &actions, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (result != 0) {
    ::close(ends[0]);
    fail("{}: cannot be started: {}", arguments[0], std::strerror(result));
  }
  state_->socket.assign(asio::local::stream_protocol(), ends[0]);
  state_->read_header();
}

WorkerProcess::~WorkerProcess() {
  state_->handlers.ended = nullptr;
  state_->end("", 5);
}

void WorkerProcess::write(std::string bytes) {
  if (state_->over) return;
  state_->unsent.push_back(std::move(bytes));
  if (state_->unsent.size() == 1) state_->write_next();
}

void WorkerProcess::kill() {
  state_->end("it was killed");
}

int WorkerProcess::pid() const {
  return state_->pid;
}

}  // namespace rf
