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
  // [blocks][2][rows]: the same in two halves of 16 bits, low that of the first eight codes.
  std::int32_t* eights = nullptr;
  float* values = nullptr;  // [blocks][rows][32], or null when no weight needs them
};

struct NormView {
  Norm::Kind kind = Norm::Kind::off;
  const float* weight = nullptr;  // as long as what is normed, or null; so is bias
  const float* bias = nullptr;
  float eps = 0;
};

struct PackOptions {
  NormView norm;
  bool quantise = false, keep = false;  // fill codes, scale, sums and eights; fill values
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

// What becomes of a product v: (activation(v + bias), cut off at +-clamp unless that is 0, * scale, capped,
// * mul, + add) * out_scale.
struct Epilogue {
  const float* bias = nullptr;  // [count], or null
  Activation activation = Activation::identity;
  Xielu xielu{};
  float clamp = 0, scale = 1, softcap = 0;
  const float* mul = nullptr;  // with out's stride, or null; so is add
  const float* add = nullptr;
  float out_scale = 1;
};

inline constexpr int max_kernel = 16;               // rows that a convolution sees
inline constexpr int max_scan_dim = 512;            // of a recurrent head's keys and values
inline constexpr float rwkv7_decay = -0.60653066f;  // -e^(-1/2)

// A tile of 16 channels (the last one may have fewer) of a convolution, for rows of one sequence.
struct ConvTile {
  const float* x = nullptr;  // the first row's first channel
  std::int64_t x_stride = 0;
  std::int64_t gates = 0, values = 0;  // gated: how far from x these parts lie
  bool gated = false, silu = false;
  int rows = 0, channels = 16, kernel = 0;
  const float* weights = nullptr;  // [kernel][16]
  const float* bias = nullptr;     // [channels], or null
  float* state = nullptr;          // [kernel - 1][16], the oldest row first
  float* out = nullptr;
  std::int64_t out_stride = 0;
};

// One head of a recurrence, or 16 channels of mamba's, for rows of one sequence.
struct ScanPart {
  const Scan* scan = nullptr;
  int part = 0;  // the head, or the tile of channels
  int rows = 0;
  const float* x = nullptr;  // the first row, whole; so are side and out
  const float* side = nullptr;
  float* out = nullptr;
  std::int64_t x_stride = 0, side_stride = 0, out_stride = 0;
  const float* keys = nullptr;  // mamba: [rows][ B | C ] after their norms
  std::int64_t keys_stride = 0;
  float* state = nullptr;  // [key_dim][value_dim rounded up to 16], mamba: [key_dim][16]
  // Whole vectors; mamba's decay is the tile, [key_dim][16].
  const float *decay = nullptr, *bonus = nullptr, *step_bias = nullptr, *key_scale = nullptr,
              *key_mix = nullptr;
  NormView norm;  // of the head's result: delta, rwkv
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
  void (*store_gated)(Activation activation, float clamp, const float* gate, const float* up, int rows,
                      int count, const float* gate_bias, const float* up_bias, float* out,
                      std::int64_t stride);
  // Rotation of one head by cos/sin [dims / 2].
  void (*rotate)(float* head, Rope::Pairs pairs, int dims, const float* cosines, const float* sines);
  // Writes one position's key and value of one head.
  void (*store_kv)(const CacheLayout& layout, std::byte* cache, const std::int32_t* pages, int position,
                   int kv_head, const float* key, const float* value);
  // The partial result of every query of `tile` over chunk `chunk`; partials[row * heads + head].
  // scratch: attention_scratch floats.
  void (*attend_chunk)(const CacheLayout& layout, const HeadTile& tile, int chunk, float* scratch,
                       Partial* partials);
  // scores[0 .. attention_chunk) of the chunk's positions up to the tile's one row's own: the sum over its
  // heads of weights[head] * max(q k, 0), or of q k where there are no weights. scratch: attention_scratch
  // floats.
  void (*score_chunk)(const CacheLayout& layout, const HeadTile& tile, const float* weights, int chunk,
                      float* scratch, float* scores);
  // into = the two partial results together, in that order.
  void (*merge)(Partial& into, const Partial& next, int count);
  // out[i] = p.values[i] / (p.weight + that of one more score, `sink`), times sigmoid(gate[i]) unless that is
  // null.
  void (*finish)(const Partial& p, int count, float sink, const float* gate, float* out);
  // Both take the state on from row to row.
  void (*conv)(const ConvTile& tile);
  void (*scan)(const ScanPart& part);
  // out[0 .. n) = now + (before - now) * (mix + side); side may be null.
  void (*shift)(const float* now, const float* before, const float* mix, const float* side, int n,
                float* out);
};

inline constexpr int attention_scratch = 8 * (attention_chunk + 16);

}  // namespace rf
