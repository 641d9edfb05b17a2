#include "app/interrupt.h"

#include <unistd.h>

#include <csignal>

namespace rf {
namespace {

volatile std::sig_atomic_t catching = 0, raised = 0;

void on_interrupt(int) {
  if (catching == 0 || raised != 0) ::_exit(130);
  raised = 1;
}

}  // namespace

void exit_on_interrupt() {
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
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
