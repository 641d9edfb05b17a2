// The single argument of each kernel: plain structs, the same for host and device. Pointers are device
// addresses; strides and offsets count elements unless they say bytes.
//
// A kernel whose grid is larger than a batch needs reads what the batch holds from BatchView::counts, so that
// one captured launch serves every batch of its bucket.
#pragma once
#include <cstdint>

namespace rf::gpu {

// A batch on the device: counts = {rows, wanted, sequences, positions of the longest sequence, 0 ...}.
struct BatchView {
  const std::int32_t* counts;
  const std::int32_t* tokens;      // [rows]
  const std::int32_t* positions;   // [rows]
  const std::int32_t* sequences;   // [rows]
  const std::int32_t* wanted;      // rows whose logits are wanted
  const std::int32_t* first_rows;  // [sequences + 1]
  const std::int32_t* states;      // [sequences]: the slot where each one's recurrent states lie
  const std::int32_t* pages;       // [sequences][page_stride]
  std::int32_t page_stride;
};
// How many rows a launch has: counts[which], or `rows` where counts is null.
struct RowCount {
  const std::int32_t* counts;
  std::int32_t which;  // 0: rows, 1: wanted
  std::int32_t rows;   // the most there are: what the grid is made for
};

// Matrices [columns, rows] in tiles of 16 rows (tensor/tiles.h), one after the other.
struct Matrix {
  const std::uint8_t* data;
  const float* bias;     // [matrices][rows], or null
  const float* factors;  // [matrices], or null
  std::uint64_t tile_bytes;
  std::uint32_t field_at[5];
  std::int32_t columns, rows, tiles;  // of one matrix
  std::int32_t out_column;            // where its products begin in a row of the output
};

enum class NormKind : std::int32_t { off, rms, layer };  // as rf::Norm::Kind
struct NormView {
  const float* weight;  // or null, as bias
  const float* bias;
  NormKind kind;
  float eps;
};

// Activation rows ready for dots. Blocks of 32 columns are quantised: scale = largest / 127, codes rounded to
// nearest; sums holds the sum of codes 0..15 in its low half and of codes 16..31 in its high half, signed.
// `padded` columns: a multiple of 32, zero beyond the row's own.
struct Packed {
  std::int8_t* codes;  // or null
  float* scales;       // a block's: at its codes' place / 32, as its sums
  std::int32_t* sums;
  float* values;  // [rows][padded], or null: for float weights, not quantised
  std::int32_t padded;
  // Between the codes of rows, and of blocks: padded and 32, [rows][padded], or for rf_matmul_16_FORMAT and
  // rf_matmul_32_FORMAT 32 and 32 * 32, [padded / 32][matmul_few_rows][32].
  std::int32_t row_stride, block_stride;
};

// Those of rf::Activation.
enum class ActivationKind : std::int32_t {
  identity,
  silu,
  gelu_tanh,
  gelu,
  relu,
  relu_squared,
  tanh,
  sigmoid,
  swiglu_clamped,
  xielu
};

// Those of rf::Xielu.
struct XieluParams {
  float positive, negative, linear;
};

// What becomes of a product v: (activation(v + bias), cut off at +-clamp unless that is 0, * mul * scale,
// capped,
// + add) * out_scale.
struct Epilogue {
  const float* add;  // or null, as mul
  const float* mul;
  std::int64_t add_stride, mul_stride;
  ActivationKind activation;
  float clamp, scale, softcap, out_scale;
  XieluParams xielu;
};

// rf_embed_FORMAT, grid (ceil(columns / 256), rows), block 64: out[r] (+)= table[index] * scale.
struct EmbedParams {
  Matrix table;
  const std::int32_t* index;  // [rows], or null: row 0
  RowCount count;
  float* out;  // [rows][table.columns]
  float scale;
  std::int32_t accumulate;  // adds to what is there
};

// A row without a norm may be packed in several parts of whole blocks of 32 columns, as if each were a row.
// rf_pack, grid (parts, rows), block 512: norms rows of x and fills what `out` has; with `normed`, stores
// them. Row r, part p is read at x + from(r) * x_stride + p * part_stride and becomes row r * parts + p of
// `out`.
struct PackParams {
  const float* x;
  std::int64_t x_stride, part_stride;
  std::int32_t columns, parts;
  const std::int32_t* from;  // rows to take, or null: r itself
  RowCount count;
  NormView norm;
  const float* routes;  // with it, what is normed is multiplied by the weight of route `part` of the row
  Packed out;
  float* normed;  // or null; [rows][parts] at normed_stride apart
  std::int64_t normed_stride;
};

// rf_matvec_FORMAT: one row for each grid.y, block 256, grid.x any (tiles are shared out), dynamic LDS
// matvec_lds(columns): in.codes null: x is normed and quantised by every block.
// rf_matvec_rows_FORMAT, of float formats: 8 rows for each grid.y (with routes or parts: one row and part),
// block 256, from in.values. rf_matmul_16_FORMAT, block 256, and rf_matmul_32_FORMAT, block 512, of quantised
// formats: up to so many rows, from `in`, without routes or parts.
//
// gated: matrix[0] and matrix[1] are gate and up: out = activation(gate) * up. Otherwise `matrices` of them
// side by side in the output.
// With routes or parts > 1 (grid.y = rows * parts): row y / parts, part y % parts goes through matrix number
// routes[2 * parts * row + part], or `part` where routes is null.
struct MatvecParams {
  Matrix matrix[3];
  std::int32_t matrices, gated;
  const float* x;
  std::int64_t x_stride;
  const std::int32_t* from;  // rows of x to take, or null
  NormView norm;
  Packed in;
  RowCount count;
  std::int32_t parts;
  std::int32_t in_parts;  // rows of `in` for each row: parts, or 1 when all parts share it
  const float* routes;
  std::int32_t weigh;  // products are multiplied by the weight of their route
  Epilogue epilogue;
  float* out;
  std::int64_t out_stride, part_stride;  // from row to row, from part to part
  Packed packed;                         // rf_matvec_FORMAT, one matrix (or gate and up): with packed.codes
                                         // the output's rows are also quantised there, as rf_pack does it
  std::int32_t blocks;                   // grid.x
  std::int32_t beside;  // needs nothing of the launch before it, which does not write what it reads
};

// Bytes of dynamic LDS of rf_matvec_FORMAT.
constexpr std::uint32_t matvec_lds(std::int32_t columns) {
  return static_cast<std::uint32_t>((columns + 31) / 32 * 40);
}
// The widest row that it takes within 48 KB of LDS; wider ones go through rf_pack and products of several
// rows.
inline constexpr std::int32_t matvec_columns = 30720;
inline constexpr std::int32_t matvec_rows = 8;         // that a block of rf_matvec_rows_FORMAT takes
inline constexpr std::int32_t matmul_few_rows = 32;    // the most of rf_matmul_32_FORMAT
inline constexpr std::int32_t matmul_fewer_rows = 16;  // the most of rf_matmul_16_FORMAT

// rf_matmul_FORMAT, block 256, grid (ceil(rows / matmul_rows), sum over matrices of ceil(tiles /
// matmul_tiles), or float_matmul_tiles; gated: of the first's ceil(tiles / half as many), groups): rows of
// `in` through the same matrices as MatvecParams; the same results to the bit. groups = 1: all rows. With
// parts > 1, group g is one matrix: of heads (order null), part g of all rows; of experts, the pairs
// order[starts[g]] .. order[starts[g + 1]], each a row times parts plus a part.
struct MatmulParams {
  Matrix matrix[3];
  std::int32_t matrices, gated;
  Packed in;
  RowCount count;
  std::int32_t parts, in_parts;
  const std::int32_t *order, *starts;
  const float* routes;
  std::int32_t weigh;
  Epilogue epilogue;
  float* out;
  std::int64_t out_stride, part_stride;
};
inline constexpr int matmul_rows = 64, matmul_tiles = 4, float_matmul_tiles = 8;

// rf_finish, grid (rows), block 256: out[r] = (post(sum over t of x[r][t]) * mul[r] * scale + add[r]) *
// out_scale, the norm last with post_last. Gated steps whose matrices differ in format: x = gate, up = up.
struct FinishParams {
  const float* x;
  const float* up;                     // or null; out = activation(x) * up
  std::int64_t x_stride, term_stride;  // from row to row, from term to term
  std::int32_t columns, terms;
  RowCount count;
  NormView post;
  std::int32_t post_last;
  Epilogue epilogue;
  float* out;
  std::int64_t out_stride;
};

// rf_rope, grid (ceil(pairs / 64), rows), block 64: table[r][i] = {cos, sin} of position * frequency[i],
// times magnitude; the angle in double.
struct RopeParams {
  const float* frequencies;
  BatchView batch;
  float* table;  // [rows][pairs][2]
  std::int32_t pairs;
  float magnitude;
};

enum class KvKind : std::int32_t { f32, f16, q8_0, q4_0 };  // as rf::KvType

// A page of a layer's cache holds for each KV head its K, then its V. K lies in groups of 16 positions, in
// each [key_units][16] units of 16 bytes: 4 (f32), 8 (f16), 16 (q8_0) or 32 (q4_0) elements of one position.
// V lies position by position, in units likewise. Quantised types keep an f16 scale for 32 elements:
// [ceil(dim / 32)][16] after a group of K, [ceil(dim / 32)] after a row of V. q4_0: byte j of a unit holds
// element j in its low nibble and j + 16 in its high one, plus 8.
struct CacheView {
  std::uint8_t* data;
  std::uint64_t page_bytes, head_bytes, values_at;
  std::uint32_t group_bytes, group_scales;  // group_scales, value_scales: offsets of the scales
  std::uint32_t value_bytes, value_scales;
  std::int32_t kv_heads, key_dim, value_dim, page;
  std::int32_t page_bits;  // page = 1 << page_bits, which spares divisions, or -1
  std::int32_t key_is_value;
};
constexpr std::uint32_t kv_units(KvKind kind, int dim) {
  const int per = kind == KvKind::f32 ? 4 : kind == KvKind::f16 ? 8 : kind == KvKind::q8_0 ? 16 : 32;
  return static_cast<std::uint32_t>((dim + per - 1) / per);
}
// All of CacheView but data.
constexpr CacheView cache_view(KvKind kind, int kv_heads, int key_dim, int value_dim, bool key_is_value,
                               int page) {
  CacheView v{};
  const bool quantised = kind == KvKind::q8_0 || kind == KvKind::q4_0;
  const auto scales = [quantised](int dim) {
    return quantised ? static_cast<std::uint32_t>(dim + 31) / 32 : 0;
  };
  v.kv_heads = kv_heads, v.key_dim = key_dim, v.value_dim = value_dim, v.page = page;
  const auto size = static_cast<std::uint32_t>(page);
  v.page_bits = (size & (size - 1)) == 0 ? 31 - __builtin_clz(size) : -1;
  v.key_is_value = key_is_value ? 1 : 0;
  v.group_scales = 256 * kv_units(kind, key_dim);
  v.group_bytes = v.group_scales + 32 * scales(key_dim);
  if (!key_is_value) {
    v.value_scales = 16 * kv_units(kind, value_dim);
    v.value_bytes = (v.value_scales + 2 * scales(value_dim) + 15) / 16 * 16;
  }
  v.values_at = static_cast<std::uint64_t>((page + 15) / 16) * v.group_bytes;
  v.head_bytes = v.values_at + static_cast<std::uint64_t>(page) * v.value_bytes;
  v.page_bytes = static_cast<std::uint64_t>(kv_heads) * v.head_bytes;
  return v;
}

// What rf::Attention says, resolved.
struct AttentionView {
  std::int32_t heads, kv_heads, key_dim, value_dim;  // up to 576; value_dim a multiple of 4
  float scale;
  std::int32_t sees;  // 0 past, 1 chunk, 2 all
  std::int32_t window;
  float softcap;
  const float* slopes;  // ALiBi's [heads], or null
  const float* sinks;   // [heads], or null
  NormView q_norm, k_norm, v_norm;
  std::int32_t q_shared, k_shared, v_shared;  // one head's weights serve all
  std::int32_t norm_over_row;
  std::int32_t key_normed;  // > 0
  std::int32_t norm_after_rope;
  const float* rope;  // of rf_rope, or null
  std::int32_t rope_pairs, rope_offset, rope_halves;
  float temperature, temperature_length;
  std::int32_t temperature_offset;
  std::int32_t gated, key_is_value, stores;
};

// A query that is ready for attention: f32; or for the unit of halves, times a power of two, round32(key_dim)
// halves and as many that hold what these leave, then an f32 that undoes the power.
constexpr int query_floats(int key_dim) {
  return (key_dim + 31) / 32 * 32 + 4;
}

// rf_attend_prepare, grid (ceil((heads + 2 * kv_heads) / 4), rows), block 128: norms and rotates queries into
// `queries`, and keys, and stores keys and values. Norms over a whole row come before the rotation.
struct PrepareParams {
  AttentionView attention;
  KvKind kv;
  CacheView cache;
  BatchView batch;
  const float* x;
  std::int64_t x_stride;
  float* queries;  // [rows][heads][query_floats(key_dim)]
};

// Attention, block 256: attend_queries(SIZE) queries of one KV head and one sequence at most, that is rows
// times query heads, of which there are attend_heads(SIZE) at most; attend_row_heads of one row. Positions
// are taken in chunks of attend_chunk, each by itself, and the chunks' results are added up in their order:
// whoever does it, a query's result is the same. Grid (kv_heads * head_splits, y, sequences); a block has
// heads_a_block = ceil(group / head_splits) heads. rf_attend_KV_SIZE, after rf_attend_prepare: sequences of
// several rows; y = row blocks of rows_a_block rows, each with all its chunks; rows_a_block times a block's
// heads fits. rf_attend_row_KV_SIZE, with rf_attend_prepare's part: sequences of one row; block y < splits
// has chunks y, y + splits,
// ... of those that the row sees, and the last block to be done adds them up.
struct AttendParams {
  AttentionView attention;
  CacheView cache;
  BatchView batch;
  const float* x;  // for gates, and what rf_attend_row_KV_SIZE prepares
  std::int64_t x_stride;
  const float* queries;
  float* out;
  std::int64_t out_stride;
  float* partials;        // [sequences][heads][max_chunks][2 + value_dim]: largest, weight, values
  std::int32_t* arrived;  // [sequences][kv_heads * head_splits]: blocks that are done; zeros between launches
  std::int32_t max_chunks;
  std::int32_t head_splits, rows_a_block, splits;
  std::int32_t group, heads_a_block;  // heads / kv_heads, and the most that a block has
  std::int32_t one_row_each;          // row s is the only one of sequence s, and no sequence is missing
  Packed packed;  // rf_attend_row_KV_SIZE: with packed.codes rows of `out` are also quantised there
};
// The SIZE that serves heads of these dims.
constexpr int attend_size(int key_dim, int value_dim) {
  const int dim = key_dim > value_dim ? key_dim : value_dim;
  return dim <= 64 ? 64 : dim <= 128 ? 128 : dim <= 256 ? 256 : 576;
}
// Likewise of rf_attend_row_KV_SIZE.
constexpr int attend_row_size(int key_dim, int value_dim) {
  const int size = attend_size(key_dim, value_dim);
  return size < 128 ? 128 : size;
}
constexpr int attend_queries(int size) {
  return size <= 128 ? 128 : size <= 256 ? 16 : 8;
}
constexpr int attend_heads(int size) {
  return size <= 128 ? 32 : size <= 256 ? 16 : 8;
}
inline constexpr int attend_chunk = 64;
inline constexpr int attend_row_heads = 8;  // that a block of rf_attend_row_KV_SIZE takes

// As rf::Candidate.
struct Best {
  float logit;
  std::int32_t token;  // -1: there are no more
};
inline constexpr int best_count = 64, best_block = 4096;
// The best_count highest of each row. rf_best_of_part, grid (parts, rows): of best_block columns each, as
// keys; rf_best, grid (rows): of at most best_block keys of all parts.
struct BestParams {
  const float* logits;
  std::int64_t stride;
  std::int32_t columns, parts;
  RowCount count;
  std::uint64_t* found;  // [rows][parts][best_count]
  Best* best;            // [rows][best_count]
};

// rf_route, grid (rows), block 32: from logits [rows][experts] to rows of routes (rf::Routing).
inline constexpr int most_experts = 1024;
struct RouteParams {
  const float* logits;
  const float* bias;     // or null
  const float* factors;  // or null
  float* routes;         // [rows][2 * used]
  RowCount count;
  std::int32_t experts, used, gating, groups, groups_used, normalise;
  float logit_scale, scale;
};

// rf_group, grid 1, block 256: sorts the pairs of all rows by expert, stably: order and starts of
// MatmulParams.
struct GroupParams {
  const float* routes;
  std::int32_t *order, *starts;  // [rows * used], [experts + 1]
  RowCount count;
  std::int32_t experts, used;
};

// rf_heads_rest, grid (rows), block 256: copies what heads leaves alone: out[r][h][made ...) =
// x[r][h][columns ...).
struct HeadsRestParams {
  const float* x;
  float* out;
  std::int64_t x_stride, out_stride;
  std::int32_t heads, columns, made, rest;
  RowCount count;
};

// One recurrent state, an f32 array for each sequence: that of slot s begins at data + s * slot_stride.
struct StateView {
  float* data;
  std::int64_t slot_stride;
};
// A sequence's rows are shared out to no more than one block for the same part of its state, so that a block
// reads what is there, and writes what is left when it has done its rows.
inline constexpr int state_columns = 32;  // of a block of 256 or 128

// rf_conv, grid (ceil(channels / 32), sequences), block 256: rf::Conv. State: [kernel - 1][channels], oldest
// first.
struct ConvParams {
  BatchView batch;
  StateView state;
  const float* x;
  std::int64_t x_stride;
  const float* weight;  // [channels][kernel]
  const float* bias;    // or null
  float* out;           // [rows][channels]
  std::int32_t channels, kernel, gated;
  ActivationKind activation;
};

// rf_shift, grid (ceil(width / 32), sequences), block 256: rf::Shift of rows that are normed already.
// State: [width].
struct ShiftParams {
  BatchView batch;
  StateView state;
  const float* x;       // [rows][width]
  const float* side;    // [rows][count][width] at side_stride apart, or null
  const float* mix[6];  // [width] each
  float* out;           // [rows][count][width]
  std::int64_t side_stride;
  std::int32_t count, width;
};

// rf_scan_KIND, grid (heads * ceil(value_dim / 32), sequences), block 128, dynamic LDS scan_lds(key_dim):
// what the recurrence of rf::Scan gives before its norm over heads. A block takes 32 values of one head
// through the rows of its sequence, their part of the state in LDS. State: [heads][key_dim][value_dim].
// rf_scan_finish, grid (parts, rows), block 128: the norm over each part of a row and what follows it, in
// place: parts are mamba2's groups and the heads of the others.
enum class ScanKind : std::int32_t { mamba, mamba2, delta, rwkv6, rwkv7 };  // as rf::Scan::Kind
struct ScanParams {
  BatchView batch;
  StateView state;
  ScanKind kind;
  std::int32_t heads, groups, key_dim, value_dim;
  std::int32_t tiled, block;
  const float *x, *side;
  std::int64_t x_stride, side_stride;
  const float *decay, *bonus, *step_bias, *key_scale, *key_mix;
  NormView norm, key_norm, query_norm;
  float* out;
  std::int64_t out_stride;
};
inline constexpr int most_scan_keys = 256;  // of a head
constexpr std::uint32_t scan_lds(std::int32_t key_dim) {
  return static_cast<std::uint32_t>(key_dim) * state_columns * 4;
}

// rf_row, grid (rows), block 256: rf::Row, but for Row::Kind::norm, which rf_finish does.
inline constexpr int most_streams = 8;
struct RowParams {
  std::int32_t kind;  // rf::Row::Kind
  std::int32_t streams, first, columns;
  const float *x, *add, *mul;  // [rows][columns]
  const float* side;           // [rows][streams - 1][columns]
  RowCount count;
  NormView norm;
  ActivationKind activation;
  float scale;
  const float *mixer, *mixer_bias;                // [streams][columns], [streams] or null
  const float *coefficients, *coefficients_bias;  // [what there are][streams], or null
  const float* factors;                           // [columns], or null
  float* out;
  std::int64_t out_stride;
};

}  // namespace rf::gpu
