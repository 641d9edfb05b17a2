#include "sim/fibres.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define RF_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RF_ASAN
#endif
#endif
#ifdef RF_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace rf::gpu::sim {
namespace {

namespace context = boost::context::detail;

constexpr std::size_t stack_bytes = 256 << 10, guard_bytes = 4096;

enum class State : std::uint8_t { ready, in_wave, at_barrier, done };

struct Fibre {
  Where where{};
  State state = State::done;
  context::fcontext_t self = nullptr;
  std::byte* stack = nullptr;
  void* fake_stack = nullptr;
};

struct Wave {
  unsigned turn = 0;  // which half of `words` the next exchange uses
  std::vector<std::uint32_t> words;
};

struct Shared {
  const char* site;
  std::size_t bytes;
  std::unique_ptr<std::byte[]> data;
};

// All of the device: one block at a time.
class Block {
 public:
  explicit Block(const Launch& launch);
  void run(int x, int y, int z);

  Fibre* running = nullptr;
  const Launch* launch = nullptr;

  void suspend(State state);
  Wave& wave_of(const Fibre& fibre) {
    return waves_[static_cast<std::size_t>(fibre.where.thread / RF_SIM_WAVE)];
  }
  void* shared(const char* site, std::size_t bytes);
  std::uint8_t* dynamic = nullptr;

  [[noreturn]] void stop(const char* why) const {
    std::fprintf(stderr, "simulated device: kernel %s, block (%d, %d, %d), thread %d: %s\n", launch->name,
                 running->where.block[0], running->where.block[1], running->where.block[2],
                 running->where.thread, why);
    std::abort();
  }

 private:
  static void enter(context::transfer_t from);
  void resume(Fibre& fibre);
  bool run_wave(std::size_t wave);
  void shuffle(std::vector<int>& order);

  std::vector<Fibre> fibres_;
  std::vector<Wave> waves_;
  std::vector<int> lanes_, order_;
  std::vector<Shared> shared_;
  std::unique_ptr<std::byte[]> dynamic_memory_;
  context::fcontext_t scheduler_ = nullptr;
  // For the address sanitizer alone.
  [[maybe_unused]] const void* scheduler_stack_ = nullptr;
  [[maybe_unused]] std::size_t scheduler_stack_bytes_ = 0;
  [[maybe_unused]] void* scheduler_fake_stack_ = nullptr;
};

thread_local Block* current = nullptr;
std::uint32_t random_state = 1;

std::uint32_t random_word() {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state;
}

// Stacks are kept from launch to launch, each with a page below that may not be touched.
std::byte* stack_of(std::size_t thread) {
  static std::vector<std::byte*> stacks;
  while (stacks.size() <= thread) {
    void* block = ::mmap(nullptr, guard_bytes + stack_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED || ::mprotect(block, guard_bytes, PROT_NONE) != 0) {
      std::perror("simulated device: stacks");
      std::abort();
    }
    stacks.push_back(static_cast<std::byte*>(block) + guard_bytes);
  }
  return stacks[thread];
}

Block::Block(const Launch& what)
    : launch(&what),
      fibres_(static_cast<std::size_t>(what.threads)),
      waves_((static_cast<std::size_t>(what.threads) + RF_SIM_WAVE - 1) / RF_SIM_WAVE),
      lanes_(RF_SIM_WAVE),
      order_(waves_.size()) {
  for (int i = 0; i < RF_SIM_WAVE; ++i) lanes_[static_cast<std::size_t>(i)] = i;
  for (std::size_t w = 0; w < waves_.size(); ++w) {
    order_[w] = static_cast<int>(w);
    waves_[w].words.resize(2 * RF_SIM_WAVE * exchange_words);
  }
  for (std::size_t t = 0; t < fibres_.size(); ++t) {
    fibres_[t].stack = stack_of(t);
    fibres_[t].where.thread = static_cast<int>(t);
    fibres_[t].self = context::make_fcontext(fibres_[t].stack + stack_bytes, stack_bytes, enter);
  }
  if (what.dynamic_bytes > 0) {
    dynamic_memory_ = std::make_unique<std::byte[]>(what.dynamic_bytes);
    dynamic = reinterpret_cast<std::uint8_t*>(dynamic_memory_.get());
  }
}

void Block::enter(context::transfer_t from) {
  Block* block = static_cast<Block*>(from.data);
  for (;;) {
#ifdef RF_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &block->scheduler_stack_, &block->scheduler_stack_bytes_);
#endif
    block->scheduler_ = from.fctx;
    block->launch->call(block->launch->params);
    Fibre& fibre = *block->running;
    fibre.state = State::done;
#ifdef RF_ASAN
    __sanitizer_start_switch_fiber(&fibre.fake_stack, block->scheduler_stack_, block->scheduler_stack_bytes_);
#endif
    from = context::jump_fcontext(block->scheduler_, nullptr);
    block = static_cast<Block*>(from.data);
  }
}

void Block::suspend(State state) {
  Fibre& fibre = *running;
  fibre.state = state;
#ifdef RF_ASAN
  __sanitizer_start_switch_fiber(&fibre.fake_stack, scheduler_stack_, scheduler_stack_bytes_);
#endif
  const context::transfer_t from = context::jump_fcontext(scheduler_, nullptr);
#ifdef RF_ASAN
  __sanitizer_finish_switch_fiber(fibre.fake_stack, &scheduler_stack_, &scheduler_stack_bytes_);
#endif
  scheduler_ = from.fctx;
}

void Block::resume(Fibre& fibre) {
  running = &fibre;
#ifdef RF_ASAN
  __sanitizer_start_switch_fiber(&scheduler_fake_stack_, fibre.stack, stack_bytes);
#endif
  fibre.self = context::jump_fcontext(fibre.self, this).fctx;
#ifdef RF_ASAN
  __sanitizer_finish_switch_fiber(scheduler_fake_stack_, nullptr, nullptr);
#endif
}

void Block::shuffle(std::vector<int>& order) {
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random_word() % i]);
}

// Runs a wave's lanes up to where each must wait; true when that was a wave operation, now done.
bool Block::run_wave(std::size_t w) {
  int waiting = 0;
  const Fibre* at_barrier = nullptr;
  for (const int lane : lanes_) {
    const std::size_t t = w * RF_SIM_WAVE + static_cast<std::size_t>(lane);
    if (t >= fibres_.size()) continue;
    if (fibres_[t].state == State::ready) resume(fibres_[t]);
    waiting += fibres_[t].state == State::in_wave;
    if (fibres_[t].state == State::at_barrier) at_barrier = &fibres_[t];
  }
  if (waiting == 0) return false;
  if (at_barrier != nullptr) stop("part of its wave is at a barrier, part in a wave operation");
  ++waves_[w].turn;
  for (std::size_t t = w * RF_SIM_WAVE; t < fibres_.size() && t < (w + 1) * RF_SIM_WAVE; ++t)
    if (fibres_[t].state == State::in_wave) fibres_[t].state = State::ready;
  return true;
}

void Block::run(int x, int y, int z) {
  for (Shared& each : shared_) std::memset(each.data.get(), 0xa5, each.bytes);
  if (launch->dynamic_bytes > 0) std::memset(dynamic, 0xa5, launch->dynamic_bytes);
  for (Fibre& fibre : fibres_) {
    fibre.state = State::ready;
    fibre.where.block[0] = x, fibre.where.block[1] = y, fibre.where.block[2] = z;
  }
  shuffle(lanes_);
  for (bool any = true; any;) {
    shuffle(order_);
    for (const int w : order_)
      while (run_wave(static_cast<std::size_t>(w))) {
      }
    any = false;
    for (Fibre& fibre : fibres_)
      if (fibre.state == State::at_barrier) fibre.state = State::ready, any = true;
  }
}

void* Block::shared(const char* site, std::size_t bytes) {
  for (Shared& each : shared_)
    if (each.site == site) return each.data.get();
  shared_.push_back({site, bytes, std::make_unique<std::byte[]>(bytes)});
  std::memset(shared_.back().data.get(), 0xa5, bytes);
  return shared_.back().data.get();
}

}  // namespace

const Where& where() {
  return current->running->where;
}

void* shared(const char* site, std::size_t bytes) {
  return current->shared(site, bytes);
}

std::uint8_t* dynamic_shared() {
  return current->dynamic;
}

void barrier() {
  current->suspend(State::at_barrier);
}

const std::uint32_t* exchange(const void* words, int count) {
  Fibre& fibre = *current->running;
  Wave& wave = current->wave_of(fibre);
  constexpr std::size_t half = static_cast<std::size_t>(RF_SIM_WAVE) * exchange_words;
  std::uint32_t* half_of_turn = wave.words.data() + (wave.turn & 1) * half;
  const auto lane = static_cast<std::size_t>(fibre.where.thread % RF_SIM_WAVE);
  std::memcpy(half_of_turn + lane * exchange_words, words,
              static_cast<std::size_t>(count) * sizeof *half_of_turn);
  current->suspend(State::in_wave);
  return half_of_turn;
}

void check_aligned(const void* p, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(p) % bytes != 0) current->stop("misaligned load");
}

void run(const Launch& launch) {
  Block block(launch);
  current = &block;
  for (int z = 0; z < launch.grid[2]; ++z)
    for (int y = 0; y < launch.grid[1]; ++y)
      for (int x = 0; x < launch.grid[0]; ++x) block.run(x, y, z);
  current = nullptr;
}

}  // namespace rf::gpu::sim
