// Work: one loaded program on the CPU, and how each step is done by the members of the team.
#pragma once
#include <algorithm>
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
  std::int64_t widest = 0;    // columns of any matmul
  std::size_t cells = 0;      // blocks of 32 columns that one step packs, of all its rows
  std::size_t temporary = 0;  // floats that one step keeps between two of its phases
  std::size_t embedding = 0;  // floats of a row of an embedding step with several tables
  bool quantised = false, kept = false;
  std::size_t tile_scratch = 0, embedding_row = 0;  // bytes
  int chunks = 0, heads = 0, value_padded = 0;      // of attention
  std::size_t gathered = 0;                         // bytes of a chunk of chosen positions, of one KV head
  bool choosing = false;                            // some step chooses positions

  std::size_t pack(std::size_t cells) const;  // bytes of a PackedRows
  std::size_t own_pack() const;               // of a member's own
  std::size_t partials() const;               // bytes, shared
  std::size_t scores() const;                 // floats: of the positions that one group chooses among
  std::size_t member() const;                 // bytes of one member's buffers
  std::size_t total(int members) const;
};

// Floats that the state of a convolution or a recurrence takes on the CPU, of one sequence.
// conv: [tiles of 16 channels][kernel - 1][16]; scan: [heads][key_dim][value_dim rounded up to 16], of mamba
// [tiles of 16 channels][key_dim][16].
std::size_t state_floats(const Step& step);

class Work {
 public:
  static constexpr int own_pack_rows =
      4;  // up to here every member packs the rows for itself: cheaper than a barrier
  // Whole tiles of attention a member from which on they are shared evenly enough.
  static constexpr int even_pieces = 4;
  // Rows times chunks of positions of the tiles with several rows that a batch cuts: eight rows after 16k.
  static constexpr int shared_cells = 512;
  // Groups of rows that choose positions at once: their scores have to be kept until then.
  static constexpr int choosing_at_once = 16;

  const Program* program = nullptr;
  const Kernels* kernels = nullptr;
  Team* team = nullptr;
  const Batch* batch = nullptr;
  std::vector<TiledWeight> weights;  // by WeightId; those that are multiplied
  std::vector<float*> slots;
  std::vector<CacheLayout> layouts;           // by CacheId
  std::vector<CacheLayout> gathered_layouts;  // by CacheId, of one KV head and pages of a chunk
  std::vector<std::byte*> caches;
  std::vector<float*> states;             // by StateId: [slots][width]
  std::vector<std::size_t> state_widths;  // floats of a slot; 0: not a step's of this back end

  void lay_out(const BufferSizes& sizes, std::byte* block);
  void add_rope(const Rope& rope, int rows);
  // The rotations of this batch's positions.
  void prepare_ropes(const Batch& batch);

  // One member's share of a step; every member calls it. Afterwards a barrier, at which restart() is called
  // once.
  void run_step(const Step& step, int member);
  void restart() { next_.store(0, std::memory_order_relaxed); }

 private:
  // Rows of one sequence that look at the same chunks of positions, of which their attention is computed in
  // one piece of work a KV head or, where the batch has few, in one a chunk and KV head. A row that sees
  // chosen positions is a tile by itself, and its chunks are of these.
  struct RowTile {
    int row, rows;                  // of the batch
    int first_chunk, chunks;        // that any of them sees
    bool alone = false;             // the only row of its sequence
    const float* chosen = nullptr;  // its row of the choice's slot
    int cells = none;               // in the partial results: [chunks][rows] from there; none: not cut
    int end_part = 0;               // pieces of work of the tiles up to this one
    int pieces() const { return cells == none ? 1 : chunks; }
  };
  struct Member {
    std::uint8_t* tile_scratch = nullptr;
    std::byte* pack = nullptr;
    float* tiles[2] = {};      // [rows][16] each
    std::byte* row = nullptr;  // of an embedding table, as it lies in the file
    float* embedding = nullptr;
    float* scores = nullptr;         // attention_scratch
    float* values[2] = {};           // [max_queries][value_padded] each
    std::byte* gathered = nullptr;   // chosen positions side by side, as a page of `attention_chunk`
    float* ranked = nullptr;         // scores, in the order of the choice
    std::vector<RowTile> row_tiles;  // of the attention step under way
  };
  struct RopeTable {
    Rope rope;
    std::vector<float> frequencies;
    std::vector<float> cosines, sines;  // [rows][dims / 2]
  };
  struct Heads;  // what the parts of an attention step share

  // Rows that go through one matrix of many: an expert's or a head's.
  struct Group {
    int matrix, first, rows;  // rows [first, first + rows) of those packed
  };

  void embed(const Step& step, Member& member);
  void matmul(const Step& step, Member& member, int index);
  void norm_only(const Step& step);
  void rows(const Step& step);
  void finish_rows(const Step& step, int columns, int terms);
  void route(const Step& step);
  void experts_up(const Step& step, Member& member, int index);
  void experts_down(const Step& step, Member& member, int index);
  void heads(const Step& step, Member& member, int index);
  void conv(const Step& step);
  void shift(const Step& step);
  void mamba(const Step& step);
  void scan(const Step& step);
  ScanPart scan_part(const Step& step, int part, int row, int rows) const;
  float* state_of_sequence(StateId id, int sequence) const;
  float* begun(float* state, std::size_t floats, int row) const;
  template <class Each>
  void share_tiles(std::int64_t channels, Each each);
  // The rows and their experts, sorted by expert: groups and, for each packed row, row * used + k.
  void sort_routes(const Step& step, std::vector<Group>& groups, std::vector<int>& order) const;
  // Multiplies each group with its matrix of `weight`: store(group, tile, first product [rows][16]).
  template <class Store>
  void multiply_groups(const Step& step, const std::vector<Group>& groups, const PackedRows& in,
                       Member& member, Store store);
  void attend(const Step& step, Member& member);
  void choose(const Step& step, Member& member);
  Heads heads_of(const Step& step) const;
  NormView norm_of(const Norm& norm, std::int64_t skip = 0) const;
  PackOptions pack_options(const Step& step) const;
  PackedRows packed(std::byte* block, std::int64_t columns, int rows) const;
  PackedRows pack_input(const Step& step, Member& member, int index, int rows);
  void store_tile(const Step& step, int linear, int tile, int rows, const Member& member);
  void store_heads(const Step& step, const Heads& heads);
  bool shared_norm(const Norm& norm, int dim) const;  // one head's weights serve all
  void prepare_heads(const Attention& attention, int row, float* first, int count, int stride, int number,
                     int normed, const Norm& norm);
  void finish_head(const Heads& heads, const Partial& partial, int row, int head);
  void cut_tiles(const Step& step, const Heads& heads, std::vector<RowTile>& tiles) const;
  // Of the query heads of one part.
  HeadTile head_tile(const Heads& heads, const RowTile& tile, int part) const;
  int gather(const Heads& heads, const RowTile& tile, int chunk, int kv_head, std::byte* to) const;
  void attend_chunk(const Heads& heads, const RowTile& tile, int chunk, int part, Member& member,
                    Partial* partials) const;
  void attend_whole(const Heads& heads, const RowTile& tile, int part, Member& member);
  void attend_one_chunk(const Heads& heads, const RowTile& tile, int chunk, int part, Member& member);
  void merge_chunks(const Heads& heads, const RowTile& tile, int head);
  Partial shared_partial(const Heads& heads, const RowTile& tile, int chunk, int row, int head) const;
  const float* vector_of(WeightId id) const;
  // out[rows][16] = the products of tile `tile` of all, which is one of matrix `which`.
  void multiply(const Linear& linear, int which, int tile, const PackedRows& in, int rows,
                const Member& member, float* out) const;
  // Shares out [0, count) among the members, `piece` at a time.
  template <class Each>
  void share(int count, int piece, Each each) {
    for (int i = next_.fetch_add(piece, std::memory_order_relaxed); i < count;
         i = next_.fetch_add(piece, std::memory_order_relaxed))
      for (int j = i; j < i + piece && j < count; ++j) each(j);
  }
  // The same in pieces that shrink towards the end, so that nobody waits long for the last one.
  template <class Each>
  void share_evenly(int count, Each each) {
    for (int i = next_.load(std::memory_order_relaxed); i < count;) {
      const int piece = std::max(1, (count - i) / (4 * team->size()));
      if (!next_.compare_exchange_weak(i, i + piece, std::memory_order_relaxed)) continue;
      for (int j = i; j < i + piece; ++j) each(j);
      i = next_.load(std::memory_order_relaxed);
    }
  }
  void next_phase() {
    team->barrier([this] { restart(); });
  }

  BufferSizes sizes_;
  std::byte* pack_ = nullptr;
  float* partials_ = nullptr;
  float* temporary_ = nullptr;
  std::vector<Member> members_;
  std::vector<RopeTable> ropes_;
  alignas(64) std::atomic<int> next_{0};
};

}  // namespace rf
