#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "app/command_line.h"
#include "app/interrupt.h"

namespace {

// A file opened later must not become a standard stream that is closed, where the log would be written into
// it. What takes its place cannot be used the way the stream would be, so that this fails as before.
void occupy_standard_streams() {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream)
    if (::fcntl(stream, F_GETFD) < 0) ::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

}  // namespace

int main(int count, char** arguments) {
  occupy_standard_streams();
  rf::exit_on_interrupt();
  rf::exit_on_lost_file();
  return rf::run_command_line(std::vector<std::string>(arguments + 1, arguments + count));
}
