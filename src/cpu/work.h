// Work: one loaded program on the CPU, and how each step is done by the members of the team.
#pragma once
#include <atomic>
#include <cstddef>
#include <vector>

#include "base/team.h"
#include "cpu/kernels.h"
#include "ops/batch.h"
#include "ops/program.h"

namespace rf {

inline std::size_t aligned(std::size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

struct BufferSizes {
  int rows = 0, sequences = 0;
  std::int64_t widest = 0;  // columns of any matmul
  bool quantised = false, kept = false;
  std::size_t tile_scratch = 0, embedding_row = 0;  // bytes
  int chunks = 0, heads = 0, value_padded = 0;      // of attention

  std::size_t pack(int rows) const;  // bytes of a PackedRows
  std::size_t partials() const;      // bytes, shared
  std::size_t member() const;        // bytes of one member's buffers
  std::size_t total(int members) const;
};

class Work {
 public:
  static constexpr int own_pack_rows =
      4;  // up to here every member packs the rows for itself: cheaper than a barrier

  const Program* program = nullptr;
  const Kernels* kernels = nullptr;
  Team* team = nullptr;
  const Batch* batch = nullptr;
  std::vector<TiledWeight> weights;  // by WeightId; those that are multiplied
  std::vector<float*> slots;
  std::vector<CacheLayout> layouts;  // by CacheId
  std::vector<std::byte*> caches;

  void lay_out(const BufferSizes& sizes, std::byte* block);
  void add_rope(const Rope& rope, int rows);
  // The rotations of this batch's positions.
  void prepare_ropes(const Batch& batch);

  // One member's share of a step; every member calls it. Afterwards a barrier, at which restart() is called
  // once.
  void run_step(const Step& step, int member);
  void restart() { next_.store(0, std::memory_order_relaxed); }

 private:
  struct Member {
    std::uint8_t* tile_scratch = nullptr;
    std::byte* pack = nullptr;
    float* tiles[2] = {};      // [rows][16] each
    std::byte* row = nullptr;  // of an embedding table, as it lies in the file
    float* scores = nullptr;   // attention_scratch
    float* values[2] = {};     // [max_queries][value_padded] each
  };
  struct RopeTable {
    Rope rope;
    std::vector<float> frequencies;
    std::vector<float> cosines, sines;  // [rows][dims / 2]
  };
  struct Heads;  // what the parts of an attention step share

  void embed(const Step& step, Member& member);
  void matmul(const Step& step, Member& member, int index);
  void attend(const Step& step, Member& member);
  PackedRows packed(std::byte* block, std::int64_t columns, int rows) const;
  PackedRows pack_input(const Step& step, Member& member, int index, int rows);
  void store_tile(const Step& step, int linear, int tile, int rows, const Member& member);
  void store_heads(const Step& step, const Heads& heads);
  // `rows` rows of one sequence from the batch's row `row` on, with the query heads of one KV head.
  HeadTile head_tile(const Heads& heads, int row, int rows, int kv_head) const;
  void attend_part(const Heads& heads, int part, Member& member);
  void attend_chunk_of_row(const Heads& heads, int sequence, int chunk, int kv_head, Member& member);
  void attend_tile(const Heads& heads, int sequence, int first_row, int rows, int kv_head, Member& member);
  void merge_chunks(const Heads& heads, int sequence, int head);
  Partial shared_partial(const Heads& heads, int sequence, int chunk, int head) const;
  const float* vector_of(WeightId id) const;
  // Shares out [0, count) among the members, `piece` at a time.
  template <class Each>
  void share(int count, int piece, Each each) {
    for (int i = next_.fetch_add(piece, std::memory_order_relaxed); i < count;
         i = next_.fetch_add(piece, std::memory_order_relaxed))
      for (int j = i; j < i + piece && j < count; ++j) each(j);
  }
  void next_phase() {
    team->barrier([this] { restart(); });
  }

  BufferSizes sizes_;
  std::byte* pack_ = nullptr;
  float* partials_ = nullptr;
  std::vector<Member> members_;
  std::vector<RopeTable> ropes_;
  alignas(64) std::atomic<int> next_{0};
};

}  // namespace rf
