// Layout: what lies where in a device's memory for some steps of a program: weights, caches, slots, scratch.
#pragma once
#include <span>
#include <vector>

#include "gpu/driver.h"
#include "gpu/kernels/params.h"
#include "ops/backend.h"
#include "tensor/tiles.h"

namespace rf::gpu {

// The arenas' sizes are known before anything is allocated; addresses are those of arenas at `nowhere` until
// set.
class Layout {
 public:
  static constexpr std::size_t absent = ~std::size_t{0};

  Layout() = default;
  // `steps` are indices into program.steps.
  Layout(const Program& program, std::span<const int> steps, const RunLimits& limits);

  MemoryNeed need() const { return need_; }
  static constexpr Address nowhere = 4096;
  Address weights = nowhere, cache = nowhere, activations = nowhere;  // where the arenas begin

  // Matrices that are multiplied or looked up.
  struct Tiles {
    WeightId id;
    TiledWeight tiled;
    std::size_t at;  // in the arena
  };
  std::span<const Tiles> tiles() const { return tiles_; }
  // Vectors of f32: norms, biases, sinks, and what is computed from the program (rope frequencies, slopes).
  struct Vector {
    WeightId id;  // none: computed
    std::vector<float> values;
    std::size_t at;
  };
  std::span<const Vector> vectors() const { return vectors_; }

  Matrix matrix(const Linear& linear) const;
  const float* vector(WeightId id) const;  // null for none
  NormView norm(const Norm& norm) const;
  float* slot(SlotId id) const;
  std::int64_t width(SlotId id) const {
    return id == none ? 0 : program_->slots[static_cast<std::size_t>(id)].width;
  }
  std::size_t slot_bytes(SlotId id) const;  // of all its rows
  CacheView cache_of(CacheId id) const;
  StateView state(StateId id) const;
  // All states of a sequence lie together: those of slot s at state_slot(s).
  Address state_slot(int slot) const {
    return cache + states_at_ + static_cast<std::size_t>(slot) * state_bytes_;
  }
  std::size_t state_bytes() const { return state_bytes_; }
  std::size_t page_bytes() const;  // of all caches together
  std::span<const CacheView> caches() const { return caches_; }
  Address cache_at(CacheId id) const { return cache + cache_at_[static_cast<std::size_t>(id)]; }

  const float* frequencies(const Rope& rope) const;
  float* rope_table(const Rope& rope) const;
  std::span<const Rope> ropes() const { return ropes_; }
  const float* slopes(const Attention& attention) const;

  // Scratch that every step uses anew.
  // few: as rf_matmul_32_FORMAT takes rows.
  Packed packed(std::int64_t columns, bool quantised, bool kept, bool few = false) const;
  float* temporary(int which) const { return at<float>(activations + temporary_at_[which]); }
  float* queries() const { return at<float>(activations + queries_at_); }
  float* partials() const { return at<float>(activations + partials_at_); }
  // The logits' best (BestParams), and how many parts of best_block they have; 0: none are found here.
  int best_parts() const { return best_parts_; }
  std::uint64_t* best_found() const { return at<std::uint64_t>(activations + best_found_at_); }
  Best* best() const { return at<Best>(activations + best_at_); }
  std::size_t best_bytes() const;  // whole pages
  // Counters that are zero between launches, as load() has to make them.
  std::int32_t* arrived() const { return at<std::int32_t>(activations + arrived_at_); }
  std::size_t arrived_bytes() const { return arrived_ * sizeof(std::int32_t); }
  std::int32_t* order() const { return at<std::int32_t>(activations + order_at_); }
  std::int32_t* starts() const { return at<std::int32_t>(activations + starts_at_); }

  // The batch's block of integers.
  Address batch_at() const { return activations + batch_at_; }
  std::size_t batch_bytes() const { return batch_words_ * sizeof(std::int32_t); }
  BatchView batch() const;
  const std::int32_t* row_types() const;  // [rows]; null where all rows are of one type
  // Fills the block for the device.
  void write_batch(const Batch& batch, std::int32_t* block) const;

  const Program& program() const { return *program_; }
  const RunLimits& limits() const { return limits_; }
  int max_chunks() const;

 private:
  template <class T>
  static T* at(Address address) {
    return reinterpret_cast<T*>(address);
  }
  void add_matrix(WeightId id);
  void add_vector(WeightId id);
  std::size_t add_values(WeightId id, std::vector<float> values);
  void add_weights(const Step& step);
  void add_state(const Step& step);
  void add_attention(const Attention& attention);
  void measure(const Step& step);
  std::size_t take(std::size_t& arena, std::size_t bytes);
  void lay_out_activations();

  const Program* program_ = nullptr;
  RunLimits limits_;
  MemoryNeed need_;
  std::vector<Tiles> tiles_;
  std::vector<Vector> vectors_;
  std::vector<std::size_t> matrix_of_, vector_of_;          // by WeightId, into the two above
  std::vector<CacheView> caches_;                           // by CacheId
  std::vector<std::size_t> cache_at_, slot_at_, state_at_;  // state_at_: in a slot of states
  std::size_t states_at_ = 0, state_bytes_ = 0;
  std::vector<Rope> ropes_;
  std::vector<std::size_t> frequencies_of_, rope_at_;  // by rope
  struct Slopes {
    int heads;
    float alibi;
    std::size_t vector;
  };
  std::vector<Slopes> slopes_;
  // Largest sizes of the scratch, elements.
  std::size_t packed_columns_ = 0, temporary_ = 0, queries_ = 0, partials_ = 0, arrived_ = 0, pairs_ = 0,
              experts_ = 0;
  std::size_t packed_at_ = 0, temporary_at_[2] = {}, queries_at_ = 0, partials_at_ = 0, arrived_at_ = 0,
              best_found_at_ = 0, best_at_ = 0, order_at_ = 0, starts_at_ = 0, batch_at_ = 0, types_at_ = 0,
              batch_words_ = 0;  // types_at_: in words of the batch's block
  int best_parts_ = 0;
};

}  // namespace rf::gpu
