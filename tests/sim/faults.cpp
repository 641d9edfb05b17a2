#include "sim/faults.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

namespace rf::gpu::sim {
namespace {

void set(Faults& faults, const char* words) {
  faults = {};
  std::istringstream in(words);
  for (std::string word; std::getline(in, word, ',');) {
    const std::size_t colon = word.find(':');
    const std::string name = word.substr(0, colon);
    const std::uint64_t number =
        colon == std::string::npos ? 0 : std::strtoull(word.c_str() + colon + 1, nullptr, 10);
    if (name == "launch")
      faults.fail_launch = number;
    else if (name == "hang")
      faults.hang_launch = number;
    else if (name == "lost")
      faults.lost_launch = number;
    else if (name == "oom")
      faults.memory = number;
    else if (name == "promise")
      faults.promised = number;
    else if (name == "copy")
      faults.odd_copies = true;
    else if (name == "garble")
      faults.all_copies = true;
    else if (name == "image")
      faults.images = true;
    else if (name != "none")
      std::fprintf(stderr, "simulated device: unknown fault '%s'\n", word.c_str());
  }
}

}  // namespace

Faults& faults() {
  static Faults all = [] {
    Faults faults;
    if (const char* words = std::getenv("ROCMFORGE_SIM_FAULT")) set(faults, words);
    return faults;
  }();
  return all;
}

}  // namespace rf::gpu::sim

extern "C" void rf_sim_fault(const char* words) {
  rf::gpu::sim::set(rf::gpu::sim::faults(), words);
}

extern "C" std::uint64_t rf_sim_launches() {
  return rf::gpu::sim::faults().launches;
}
