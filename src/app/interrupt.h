// Signals. Ctrl-C, SIGTERM and SIGHUP end the program with exit code 128 + signal, or, while an Interruptible
// lives, only raise a flag.
#pragma once

namespace rf {

// Thrown by long work that was stopped, once nothing half done is left; the program then ends with
// interrupt_code().
struct Interrupted {};

void exit_on_interrupt();  // from now on; called once at the start
// From now on a mapped file whose bytes are gone when they are read ends the program with a line that says
// so.
void exit_on_lost_file();
int interrupt_code();  // of the signal that raised the flag last: 130 for Ctrl-C

// One at a time. A second signal before the first was answered ends the program.
class Interruptible {
 public:
  Interruptible();
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

  bool interrupted() const;
};

}  // namespace rf
