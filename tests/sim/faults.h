// Faults that the simulated device has on demand, from ROCMFORGE_SIM_FAULT or rf_sim_fault(): words joined by
// commas.
//   launch:N   the N-th kernel launch from now on fails, once
//   hang:N     the N-th launch never ends
//   lost:N     from the N-th launch on, every call fails
//   oom:BYTES  allocations fail once more than BYTES are taken
//   promise:B  the device says that it has B bytes, however many oom leaves it
//   copy       copies to the host that do not begin on 4 KiB, or are no multiple of it, bring wrong bytes
//   garble     all copies to the host bring wrong bytes
//   image      code objects are refused
//   none       no faults, and a lost or hung device is back
#pragma once
#include <cstddef>
#include <cstdint>

namespace rf::gpu::sim {

struct Faults {
  std::uint64_t fail_launch = 0, hang_launch = 0, lost_launch = 0;  // 0: never
  std::size_t memory = std::size_t{8} << 30, promised = 0;          // of the device; 0: what there is
  bool odd_copies = false, all_copies = false, images = false;
  std::uint64_t launches = 0;
  bool hung = false, lost = false;
};
Faults& faults();

}  // namespace rf::gpu::sim

extern "C" void rf_sim_fault(const char* words);
extern "C" std::uint64_t rf_sim_launches();  // since the last rf_sim_fault()
extern "C" std::size_t rf_sim_allocated();   // device memory in use, bytes
