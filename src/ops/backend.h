// Backend: a place where steps run. It owns its copies of the weights, the caches and the activation slots.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "ops/batch.h"
#include "ops/candidate.h"
#include "ops/program.h"

namespace rf {

enum class KvType : std::uint8_t { f32, f16, q8_0, q4_0 };
const char* kv_name(KvType type);
double kv_element_bytes(KvType type);        // scales included
KvType kv_by_name(const std::string& name);  // throws Error listing the names

// What stays fixed while a model is loaded.
struct RunLimits {
  BatchLimits batch;
  KvType kv = KvType::f16;
  int page_tokens = 64;  // positions of one cache page
  int cache_pages = 64;  // pages of every cache
  int state_slots = 16;  // sequences whose states are kept
};

// What one step cost, summed over its calls.
struct Stat {
  std::uint64_t calls = 0;
  std::int64_t ns = 0;
  double bytes = 0, flops = 0;
};

struct MemoryNeed {
  std::size_t weights = 0, cache = 0, activations = 0;  // bytes; states count as cache
  std::size_t total() const { return weights + cache + activations; }
};

// A device that fails: thrown by load() when its memory does not suffice, and by what uses the device at run
// time when it is lost, hangs or refuses work. The plan goes on without it, or with less on it.
class DeviceError : public Error {
 public:
  DeviceError(const std::string& message, bool out_of_memory)
      : Error(message), out_of_memory_(out_of_memory) {}
  bool out_of_memory() const { return out_of_memory_; }

 private:
  bool out_of_memory_;
};

// Steps [first, last) of the program, prepared to run back to back on one backend.
class Run {
 public:
  virtual ~Run() = default;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;

  // Whether this backend can run `step`; if not, *why says what it lacks.
  virtual bool can(const Program& program, const Step& step, std::string* why) const = 0;
  // What loading `steps` will take, exactly, before anything is allocated.
  virtual MemoryNeed need(const Program& program, std::span<const int> steps,
                          const RunLimits& limits) const = 0;
  // Bytes that load() can have, or nothing where that is found out by loading.
  virtual std::optional<std::size_t> free_memory() const { return std::nullopt; }
  // Bytes per second that steps here could read at most, measured over a fraction of a second.
  virtual double measure_bandwidth() { return 0; }
  // Allocates slots and caches and takes in the weights of `steps` (indices into program.steps).
  // progress(done, total) is called now and then, in bytes. Throws Error when memory runs out.
  virtual void load(const Program& program, std::span<const int> steps, const RunLimits& limits,
                    void (*progress)(void* context, std::size_t done, std::size_t total), void* context) = 0;
  virtual std::unique_ptr<Run> prepare(int first, int last) = 0;
  // Runs it on `batch`; with `stats` (one for each step of the program) adds each step's time there.
  virtual void run(Run& run, const Batch& batch, std::span<Stat> stats) = 0;

  // Rows of a slot to and from host memory, f32 [rows, width].
  virtual void read(SlotId slot, int rows, float* out) = 0;
  virtual void write(SlotId slot, int rows, const float* in) = 0;
  // The slot's rows if they lie in host memory, else nullptr.
  virtual const float* host(SlotId slot) const = 0;

  // The best_candidates best of each wanted row of the last run, where the batch asked for no more and the
  // backend finds them: [wanted][best_candidates], best first, of token -1 where there are no more. Else
  // empty: read the logits.
  virtual std::span<const Candidate> best(int /*wanted*/) const { return {}; }

  // One page of every cache of this backend, as opaque bytes, for preemption and prefix stores.
  virtual std::size_t page_bytes() const = 0;
  virtual void read_page(int page, std::byte* out) = 0;
  virtual void write_page(int page, const std::byte* in) = 0;

  // One slot of every state of this backend, likewise, and a copy of it: snapshots. A backend that runs no
  // recurrent steps has none.
  virtual std::size_t state_bytes() const { return 0; }
  virtual void copy_state(int /*from*/, int /*to*/) {}
  virtual void read_state(int /*slot*/, std::byte* /*out*/) {}
  virtual void write_state(int /*slot*/, const std::byte* /*in*/) {}
};

// The oracle: every op written plainly in double precision from the tensors as they lie in the file.
std::unique_ptr<Backend> make_reference();

}  // namespace rf
