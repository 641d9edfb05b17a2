// Fibres: the threads of a block on the host. They run one at a time, in an order that is shuffled between
// any two barriers, so that a result that depends on it shows; wave operations and barriers are where they
// switch.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rf::gpu::sim {

struct Where {
  int thread;
  int block[3];
};
const Where& where();  // of the running fibre

// The block's array that is declared at `site`, 16-byte aligned; filled with 0xA5 when the block starts.
void* shared(const char* site, std::size_t bytes);
std::uint8_t* dynamic_shared();

void barrier();

// Gives `count` words of this lane to the wave and returns when all of its lanes have come: lane l's words
// begin at [exchange_words * l]. They stay until this lane's next exchange but one.
inline constexpr int exchange_words = 16;
const std::uint32_t* exchange(const void* words, int count);

// Ends the program with a message when p is not aligned.
void check_aligned(const void* p, std::size_t bytes);

struct Launch {
  const char* name;
  void (*call)(const void* params);
  const void* params;
  int grid[3];
  int threads;
  std::size_t dynamic_bytes;
};
// Runs all blocks, one after the other. A kernel that breaks a rule (part of a wave at a barrier, the rest in
// a wave operation; a misaligned load) ends the program with a message.
void run(const Launch& launch);

}  // namespace rf::gpu::sim
