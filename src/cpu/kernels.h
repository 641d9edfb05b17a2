// The table of kernels that each instruction set exports. Kernels see plain pointers and run on one thread.
#pragma once
#include <cstdint>

#include "cpu/layout.h"
#include "tensor/tiles.h"

namespace rf {

// Activation rows made ready for dots, in blocks of 32 columns, block after block, in each block row after
// row: quantised (d = largest / 127, codes rounded to nearest) and, for float weights, as they are. Zero
// beyond `columns`.
struct PackedRows {
  int rows = 0;                  // capacity and stride
  int blocks = 0;                // columns / 32, rounded up
  std::int8_t* codes = nullptr;  // [blocks][rows][32]
  float* scale = nullptr;        // [blocks][rows]
  std::int32_t* sums = nullptr;  // [blocks][2][rows]: of codes 0..15 and 16..31
  float* values = nullptr;       // [blocks][rows][32], or null when no weight needs them
};

struct NormView {
  Norm::Kind kind = Norm::Kind::off;
  const float* weight = nullptr;  // as long as what is normed, or null; so is bias
  const float* bias = nullptr;
  float eps = 0;
};

struct PackOptions {
  NormView norm;
  bool quantise = false, keep = false;  // fill codes, scale and sums; fill values
};

struct HeadTile {  // queries that share one KV head: `rows` rows of a sequence, `heads` query heads each
  const float* q = nullptr;   // first row's first head, already rotated
  std::int64_t q_stride = 0;  // floats from row to row
  int head_stride = 0;        // floats from head to head
  int rows = 0, heads = 0;
  int position = 0;  // of the first row
  const std::int32_t* pages = nullptr;
  const std::byte* cache = nullptr;  // the layer's cache, page 0
  int kv_head = 0;
  float scale = 0;
  Attention::Sees sees = Attention::Sees::past;
  int window = 0;
  int length = 0;  // positions that the sequence has in all
  float softcap = 0;
  const float* slopes = nullptr;  // ALiBi's, of the `heads` query heads, or null
};

// Partial result of one query over one chunk of positions: sum of exp(score - largest), and the weighted
// values.
struct Partial {
  float largest, weight;
  float* values;  // [value_padded]
};

inline constexpr int attention_chunk = 256;  // positions that one Partial covers
inline constexpr int max_queries = 64;       // rows * heads of a HeadTile

// What becomes of a product v: (activation(v + bias), cut off at +-clamp unless that is 0, * scale, capped, +
// add)
// * out_scale.
struct Epilogue {
  const float* bias = nullptr;  // [count], or null
  Activation activation = Activation::identity;
  float clamp = 0, scale = 1, softcap = 0;
  const float* add = nullptr;  // with out's stride, or null
  float out_scale = 1;
};

struct Kernels {
  const char* name;
  // Packs x[0 .. columns) as row `row` of `out`.
  void (*pack)(const float* x, int columns, const PackOptions& options, int row, const PackedRows& out);
  // out[r][16] = tile `t` of `w` times rows 0 .. rows of `in`; scratch holds scratch_bytes(w).
  void (*tile_matmul)(const TiledWeight& w, int t, const PackedRows& in, int rows, std::uint8_t* scratch,
                      float* out);
  std::size_t (*scratch_bytes)(const TiledWeight& w);
  // Takes tile[r][i] for i < count through `epilogue` to out[r * stride + i].
  void (*store)(const float* tile, int rows, int count, const Epilogue& epilogue, float* out,
                std::int64_t stride);
  // out[0 .. n) = norm(x), which may be out itself.
  void (*normalise)(const NormView& norm, const float* x, int n, float* out);
  // activation(gate + gate_bias) * (up + up_bias) likewise.
  void (*store_gated)(Activation activation, const float* gate, const float* up, int rows, int count,
                      const float* gate_bias, const float* up_bias, float* out, std::int64_t stride);
  // Rotation of one head by cos/sin [dims / 2].
  void (*rotate)(float* head, Rope::Pairs pairs, int dims, const float* cosines, const float* sines);
  // Writes one position's key and value of one head.
  void (*store_kv)(const CacheLayout& layout, std::byte* cache, const std::int32_t* pages, int position,
                   int kv_head, const float* key, const float* value);
  // The partial result of every query of `tile` over chunk `chunk`; partials[row * heads + head].
  // scratch: attention_scratch floats.
  void (*attend_chunk)(const CacheLayout& layout, const HeadTile& tile, int chunk, float* scratch,
                       Partial* partials);
  // into = the two partial results together, in that order.
  void (*merge)(Partial& into, const Partial& next, int count);
  // out[i] = p.values[i] / (p.weight + that of one more score, `sink`), times sigmoid(gate[i]) unless that is
  // null.
  void (*finish)(const Partial& p, int count, float sink, const float* gate, float* out);
};

inline constexpr int attention_scratch = 8 * (attention_chunk + 16);

}  // namespace rf
