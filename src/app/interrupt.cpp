#include "app/interrupt.h"

#include <unistd.h>

#include <csignal>
#include <initializer_list>
#include <string_view>

namespace rf {
namespace {

volatile std::sig_atomic_t catching = 0, raised = 0;

void on_interrupt(int signal) {
  if (catching == 0 || raised != 0) ::_exit(128 + signal);
  raised = signal;
}

}  // namespace

void exit_on_interrupt() {
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before{};
    ::sigaction(signal, nullptr, &before);
    if (before.sa_handler != SIG_IGN) ::sigaction(signal, &action, nullptr);  // as nohup and shells ask
  }
}

void exit_on_lost_file() {
  struct sigaction action{};
  action.sa_handler = [](int) {
    constexpr std::string_view line =
        "rocmforge: a file that is being read has become shorter, or its disk gives an error\n";
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
    ::_exit(1);
  };
  ::sigaction(SIGBUS, &action, nullptr);
}

int interrupt_code() {
  return 128 + raised;
}

Interruptible::Interruptible() {
  raised = 0;
  catching = 1;
}
Interruptible::~Interruptible() {
  catching = 0;
}
bool Interruptible::interrupted() const {
  return raised != 0;
}

}  // namespace rf
