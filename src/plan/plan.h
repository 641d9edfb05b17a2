// Plan: a Program placed on backends: which steps run where, cut into runs, with copies where places meet.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ops/backend.h"
#include "plan/observe.h"
#include "plan/placement.h"

namespace rf {

class Plan {
 public:
  // Places every step on the first of `backends` that can run it (a `prefer` gives a step's index of choice,
  // or -1), then loads the weights. Slots that one backend writes and another reads are copied once per
  // border. Layers that a backend's memory has no room for go to the next one, and so do all of a device that
  // fails meanwhile; the log says so. Throws Error when no backend can run a step, naming the step, its
  // tensors and the reasons.
  Plan(const Program& program, std::vector<std::unique_ptr<Backend>> backends, const RunLimits& limits,
       const std::function<int(const Step&)>& prefer = {},
       const std::function<void(std::size_t done, std::size_t total)>& progress = {});

  ~Plan();

  // Throws DeviceError when a device fails; then recover() is called, or nothing any more.
  void run(const Batch& batch);
  // Goes on without the device that failed: its steps are placed anew and loaded, all caches are empty.
  // Throws Error when no other backend can run them.
  void recover(const DeviceError& error);
  // The result of the batch last run, logits f32 [wanted, vocab] or hidden states, valid until the next run.
  std::span<const float> logits(int wanted);
  // As Backend::best(), of the backend that computes the logits.
  std::span<const Candidate> best(int wanted);

  const Program& program() const { return program_; }
  const RunLimits& limits() const { return limits_; }
  MemoryNeed memory() const { return memory_; }
  int place(int step) const { return placement_.at(step); }
  Backend& backend(int place) const { return *backends_[static_cast<std::size_t>(place)]; }
  // The backend that most steps run on.
  Backend& main_backend();

  // One page of every cache, wherever it lies, as opaque bytes.
  std::size_t page_bytes() const;
  void read_page(int page, std::byte* out);
  void write_page(int page, const std::byte* in);

  // One slot of every recurrent state, likewise; 0 of a model without.
  std::size_t state_bytes() const;
  void copy_state(int from, int to);
  void read_state(int slot, std::byte* out);
  void write_state(int slot, const std::byte* in);

  // Per-step telemetry, off until asked for (it costs a clock read per step).
  void measure(bool on);
  std::span<const Stat> stats() const { return stats_; }

  // From now on run() shows `observer` what every step multiplies its weights with; {} ends it. Steps then
  // run one by one, so that their inputs can be read in between.
  void observe(Observer observer);

 private:
  struct Part;  // a run and the copies before it

  void load(const std::function<void(std::size_t done, std::size_t total)>& progress);
  void tell_what_was_shed(std::span<const std::size_t> steps_before) const;
  void cut();  // into parts, with the copies between them
  void copy(SlotId slot, int from, int to, int rows);
  bool used(std::size_t place) const;
  void show(const Part& part, const Batch& batch);  // to observer_
  Backend& at(int place) { return *backends_[static_cast<std::size_t>(place)]; }

  const Program& program_;
  std::vector<std::unique_ptr<Backend>> backends_;
  RunLimits limits_;
  Placement placement_;
  std::vector<Part> parts_;
  std::vector<Stat> stats_;
  std::vector<float> staging_;  // a slot's rows on their way through host memory
  int logits_at_ = 0;           // the place that computes them
  int busy_ = 0;                // the place at work
  MemoryNeed memory_;
  bool measuring_ = false;
  Observer observer_;
};

}  // namespace rf
