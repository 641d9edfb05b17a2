// WorkerProcess: one child process that runs a model, and the messages from and to it.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/message.h"
#include "server/loop.h"

namespace rf {

class WorkerProcess {
 public:
  struct Handlers {
    std::function<void(message::Kind kind, std::string_view payload)> message;
    std::function<void(const std::string& why)> ended;  // once; not after the destructor
  };
  // Starts `command`, whose argument "{}" stands for the number of the socket's descriptor. Throws Error.
  WorkerProcess(Loop& loop, const std::vector<std::string>& command, Handlers handlers);
  ~WorkerProcess();  // kills it
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  template <class Message>
  void send(const Message& what) {
    write(message::encode(what));
  }
  void kill();  // its end is told as any other
  int pid() const;

 private:
  struct State;
  void write(std::string bytes);
  std::shared_ptr<State> state_;
};

}  // namespace rf
