// Reference: the oracle as a backend, one step after the other in double precision.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "ops/backend.h"
#include "ops/reference_cache.h"
#include "ops/reference_math.h"

namespace rf {

class Reference : public Backend {
 public:
  std::string name() const override { return "reference"; }
  bool can(const Program&, const Step&, std::string*) const override { return true; }
  MemoryNeed need(const Program& program, std::span<const int> steps, const RunLimits& limits) const override;
  void load(const Program& program, std::span<const int> steps, const RunLimits& limits,
            void (*progress)(void*, std::size_t, std::size_t), void* context) override;
  std::unique_ptr<Run> prepare(int first, int last) override;
  void run(Run& run, const Batch& batch, std::span<Stat> stats) override;
  void read(SlotId slot, int rows, float* out) override;
  void write(SlotId slot, int rows, const float* in) override;
  const float* host(SlotId slot) const override { return slots_[static_cast<std::size_t>(slot)].data(); }
  std::size_t page_bytes() const override;
  void read_page(int page, std::byte* out) override;
  void write_page(int page, const std::byte* in) override;
  std::size_t state_bytes() const override;
  void copy_state(int from, int to) override;
  void read_state(int slot, std::byte* out) override;
  void write_state(int slot, const std::byte* in) override;

 private:
  struct Range : Run {
    Range(int first_step, int last_step) : first(first_step), last(last_step) {}
    int first, last;
  };

  float* row(SlotId slot, std::size_t r) {
    return slots_[static_cast<std::size_t>(slot)].data() + r * width(slot);
  }
  std::size_t width(SlotId slot) const {
    return static_cast<std::size_t>(program_->slots[static_cast<std::size_t>(slot)].width);
  }
  ReferenceCache& pages(CacheId cache) { return *caches_[static_cast<std::size_t>(cache)]; }

  // The step's input rows (of logits: the wanted ones), normalised.
  oracle::Matrix input(const Step& step, const Batch& batch);
  // Rounds to f32 into the slot's rows, from `column` on.
  void put(const oracle::Matrix& values, SlotId slot, std::size_t column = 0);
  // The end of matmul and experts_down.
  void put_sum(const Step& step, oracle::Matrix& values);

  void execute(std::size_t index, const Batch& batch);
  void embed(const Step& step, const Batch& batch);
  void qkv(const Step& step, const Batch& batch);
  void matmul(const Step& step, const Batch& batch);
  void gate_up(const Step& step, const Batch& batch);
  void heads(const Step& step, const Batch& batch);
  void rows(const Step& step, const Batch& batch);
  void logits(const Step& step, const Batch& batch);

  void route(const Step& step, const Batch& batch);
  void experts_up(const Step& step, const Batch& batch);
  void experts_down(const Step& step, const Batch& batch);

  struct ScanRow;
  void conv(const Step& step, const Batch& batch);
  void shift(const Step& step, const Batch& batch);
  void scan(const Step& step, const Batch& batch);
  double* state_at(StateId id, const Batch& batch, int r);
  // Calls each(its slot `slot`, elements) for every state of the loaded steps.
  template <class Each>
  void each_state(int slot, Each each);

  void attend(std::size_t index, const Batch& batch);
  void prepare_heads(const Attention& a, std::size_t index, int position, oracle::Matrix& queries,
                     oracle::Matrix& keys);
  void attend_head(const Step& step, const double* query, int head, const Batch& batch, int r, double* out);
  std::vector<int> seen_positions(const Step& step, int kv_head, const Batch& batch, int r);
  void choose(std::size_t index, const Batch& batch);

  const Program* program_ = nullptr;
  RunLimits limits_;
  std::vector<std::vector<float>> slots_;                // those that the loaded steps touch
  std::vector<std::unique_ptr<ReferenceCache>> caches_;  // those of the loaded steps, others null
  std::vector<std::vector<double>> states_;              // those of the loaded steps, [slots][width]
  std::vector<std::vector<float>> frequencies_;          // of each attend step, else empty
};

}  // namespace rf
