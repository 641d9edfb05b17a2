// Ctrl-C: ends the program with exit code 130, or, while an Interruptible lives, only raises a flag.
#pragma once

namespace rf {

// Thrown by long work that Ctrl-C has stopped, once nothing half done is left; the program then ends with
// 130.
struct Interrupted {};

void exit_on_interrupt();  // from now on; called once at the start

// One at a time. A second Ctrl-C before the first was answered ends the program.
class Interruptible {
 public:
  Interruptible();
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

  bool interrupted() const;
};

}  // namespace rf
