#include <string>
#include <vector>

#include "app/command_line.h"
#include "app/interrupt.h"

int main(int count, char** arguments) {
  rf::exit_on_interrupt();
  return rf::run_command_line(std::vector<std::string>(arguments + 1, arguments + count));
}
