// Program: what a model computes, recorded once at load: a flat list of coarse steps over activation slots,
// weights and states. Immutable after the Builder hands it over; nothing in it depends on a batch.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace rf {

// Indices into Program::slots, weights, caches, states; none means the step has no such operand.
using SlotId = int;
using WeightId = int;
using CacheId = int;
using StateId = int;
inline constexpr int none = -1;

// The vocabulary. x is the step's input slot, out its output; all activations are f32 [rows, width].
// n stands for norm(x[r]); every W has its bias added where it has one. [ a | b ] stands side by side in a
// row.
enum class Op : std::uint8_t {
  embed,   // out[r] = norm(table[token[r]] * scale + positions[position[r]] + types[t]), W0, W1, W2 being the
           // tables; the last two are optional, and so is the norm; the type t
           // of a row: see Program::separator
  qkv,     // out[r] = [ W0 n | W1 n | W2 n ], cut off at +-clamp where that is not 0; W1 and W2 are optional
  index,   // out[r] = numbers of the blocks of positions that row r's attention sees (see Selection)
  attend,  // out[r] = attention of row r's query heads over its sequence's cache (see Attention)
  matmul,  // out[r] = (post(activation(W0 n)) * mul[r] * scale + add[r]) * out_scale
  row,     // out[r] = what is to be done with whole rows (see Row)
  gate_up,       // out[r] = activation(W0 n) * (W1 n), the factors cut to at most clamp and to +-clamp where
                 // that is not 0
  heads,         // out[r][h] = [ W0[h] x[r][h][0 .. columns) | the rest of x[r][h] ] for each head, no norm
  route,         // out[r] = [ numbers of the experts used | their weights ] (see Routing)
  experts_up,    // out[r][k] = activation(W0[e] n) * (W1[e] n) for the k-th expert e of routes[r], the second
                 // factor being optional; cut as those of gate_up
  experts_down,  // out[r] = (post(sum over k of weight[r][k] * W0[e] x[r][k]) * scale + add[r]) * out_scale
  conv,          // out[r] = each channel's convolution over the last rows of r's sequence (see Conv)
  shift,         // out[r] = n mixed with that of the row before it in its sequence (see Shift)
  scan,          // out[r] = what the recurrence of r's sequence gives at row r (see Scan)
  logits,  // out[i] = softcap(W0 norm(x[wanted[i]]) * scale) for the wanted rows only; without W0 the norm
           // itself is the result: a model that embeds
};
const char* op_name(Op op);
int linear_count(Op op);  // how many of Step::linear it can use, from the first on

// rms: y = x * weight / sqrt(mean(x^2) + eps); layer: y = (x - mean(x)) * weight / sqrt(var(x) + eps) + bias.
// Weight and bias are optional.
struct Norm {
  enum class Kind : std::uint8_t { off, rms, layer };
  Kind kind = Kind::off;
  WeightId weight = none, bias = none;
  float eps = 0;
};

struct Linear {
  WeightId weight = none;  // [columns = input width, rows = output width], of experts and heads one for each
  WeightId bias = none;    // f32 [rows], of experts [rows, experts]
  // f32, a number for each matrix that its products are multiplied with before the bias is added
  WeightId factors = none;
};

enum class Activation : std::uint8_t {
  identity,
  silu,       // x sigmoid(x)
  gelu_tanh,  // the tanh form of GELU (arXiv:1606.08415)
  gelu,       // with the error function
  relu,
  relu_squared,
  sigmoid,
  tanh,
  softplus,  // ln(1 + e^x)
  // gate and up are cut to at most 7 (up to at least -7 too): gate sigmoid(1.702 gate) (up + 1), as gpt-oss
  // has it
  swiglu_clamped,
  xielu,  // see Xielu; not of a gate
};

// xIELU (arXiv:2411.13010): linear x + (x > 0 ? positive x^2 : negative (e^x - 1 - x)).
struct Xielu {
  float positive = 0, negative = 0, linear = 0;
};

// Rotary position embedding of `dims` elements of every query and key head, from `offset` on.
// angle(p, i) = p * scale * base^(-2 i / dims) / factor[i]; yarn blends as in arXiv:2309.00071.
struct Rope {
  enum class Pairs : std::uint8_t { adjacent, halves };  // (2i, 2i+1), or (i, i + dims/2)
  Pairs pairs = Pairs::adjacent;
  int dims = 0;  // 0: no rotation
  int offset = 0;
  float base = 10000;
  float scale = 1;          // of positions: 1 / linear scaling factor
  WeightId factors = none;  // f32 [dims / 2]
  float yarn_factor = 0;    // 0: no yarn, else the context extension factor
  float yarn_original = 0;  // trained context length
  float yarn_beta_fast = 32, yarn_beta_slow = 1;
  float magnitude = 1;  // cos and sin are multiplied by it (yarn's attention factor, resolved)
  bool operator==(const Rope&) const = default;
};

// Input row: query heads, then key heads, then value heads. Per row: queries and keys are normed and rotated,
// the row's K and V stored at its position, then softmax over the positions p that a row at position r sees,
// of
//   softcap(scale * q k[p]) - slope * (r - p), and one more score, the head's sink, that has no value.
// A row sees positions 0..r, the last `window` of them, or those of r's own chunk of `window`; where it is
// not causal, all of the sequence, whose rows must then lie in one batch.
struct Attention {
  enum class Sees : std::uint8_t { past, chunk, all };
  enum class NormOver : std::uint8_t { head, row };  // each head by itself, or all heads of a row together
  int heads = 0, kv_heads = 0;
  int key_dim = 0, value_dim = 0;
  float scale = 0;
  Sees sees = Sees::past;
  int window = 0;         // positions; 0: no limit
  float softcap = 0;      // softcap(s) = softcap * tanh(s / softcap); 0: none
  float alibi = 0;        // largest ALiBi bias: slopes of arXiv:2108.12409, 2^(-alibi * i / heads); 0: none
  WeightId sinks = none;  // f32 [heads]
  // Weights for one head, that serve all, or for all heads one after the other.
  Norm q_norm{}, k_norm{}, v_norm{};
  NormOver norm_over = NormOver::head;
  int key_normed = 0;  // of a key's elements, from the first on; 0: all
  bool norm_after_rope = false;
  Rope rope{};
  // Queries at position p are multiplied by 1 + temperature * ln(1 + floor((p + offset) / length)).
  float temperature = 0, temperature_length = 1;
  int temperature_offset = 0;
  bool gated = false;  // each query head is followed by a gate; its output is multiplied by sigmoid(gate)
  bool key_is_value = false;  // a value is the first elements of the stored key; the row has no value heads
  bool stores = true;         // else the row has query heads alone, and the cache is that of an earlier step
  CacheId cache = none;

  int query_width() const { return heads * key_dim * (gated ? 2 : 1); }
  int row_width() const {
    return query_width() + (stores ? kv_heads * (key_dim + (key_is_value ? 0 : value_dim)) : 0);
  }
};

// Which positions a row sees, of all those up to its own: those of at most `blocks` blocks of `block`
// positions. An index step chooses them as DeepSeek's indexer does (arXiv:2512.02556), or MiniMax M3's; an
// attend step whose side slot is the choice sees no others.
// Input row of index: query heads, one key head (Step::attention has their shape, norms, rotation and
// cache), and where it is `weighted` a weight w for each query head. The key is stored at its position. Each
// of `groups` groups of query heads chooses for itself. The score of a position p is
//   sum over the heads h of a group of q_h k[p], or where it is weighted of w[h] * max(q_h k[p], 0),
// and that of a block the largest one of its positions. The last `local` blocks, the row's own among them,
// belong in any case, then those of the best scores, ties going to the lower number.
// out[r] = for each group the numbers of its blocks, ascending, then -1 in the places that are left.
// Positive factors of all scores change no choice, nor does an orthogonal rotation of queries and keys (the
// Hadamard rotation before a quantisation to 8 bits): the published ones are left out.
struct Selection {
  int blocks = 0, block = 1;
  int local = 0;
  int groups = 1;  // attend: its KV heads, or 1 where all of them see the same
  bool weighted = false;

  bool sees_all(int position) const { return position / block < blocks; }
  std::int64_t width() const { return std::int64_t{groups} * blocks; }
};

// Which experts a row goes to. Probabilities p come from W n by softmax or the logistic function; the `used`
// best of p + bias are chosen (only out of the best `groups_used` of `groups` groups, a group counting by its
// best two, or its best one where there is no bias), in that order, ties going to the lower number.
struct Routing {
  // sparse_mixer (arXiv:2409.12136): one expert after the other, each weighed by the softmax over those left
  // whose score comes within 2% of the best one's.
  enum class Gating : std::uint8_t { softmax, sigmoid, softmax_of_chosen, sparse_mixer };
  int experts = 0, used = 0;
  Gating gating = Gating::softmax;
  float logit_scale = 1;    // of what the router gives; not of sparse_mixer
  WeightId bias = none;     // f32 [experts], for the choice alone
  WeightId factors = none;  // f32 [experts], which the weights of the chosen are multiplied with last
  int groups = 1, groups_used = 1;
  bool normalise = false;  // the chosen weights are divided by their sum
  float scale = 1;
  bool weigh_input = false;  // experts_up multiplies its input by the weight, and experts_down no longer does
};

// Work on whole rows, small beside the products. Several streams of activations, of which the first goes
// through the layers, are AltUp's (arXiv:2301.13310): x is the first one, side the others side by side, and
// c = W1 tanh(W0 n * scale). `first`, 0 or 1, says whether out is the first one or the others. |v| is the
// root of the mean of squares.
//   norm: out = (n + add) * scale
//   gate: out[k] = x[k] * activation(side[k * (width of side) / (width of x)]), as head gates are
//   sparsify: out = activation(max(x - mean(x) - scale * (standard deviation of x), 0))
//   match: out_i = side_i * |x| / max(|side_i|, sqrt(1e-5))
//   predict: out_i = h_i + sum over j of c[i * streams + j] * h_j, h being [ x | side ]
//   correct: out_i = (p_i + (c[i] + 1) * (x - add)) * W2 + mul, p being [ add | side ], W2 a vector or absent
//   merge: out = (x + the sum of what match makes of side) / streams
struct Row {
  enum class Kind : std::uint8_t { norm, sparsify, match, predict, correct, merge, gate };
  Kind kind = Kind::norm;
  int streams = 0, first = 0;
};

// Rows of one sequence come in the order of their positions, whichever batches they lie in. A sequence's
// state is what earlier rows of it left; at position 0 it is zero, whatever the state's memory holds. A row's
// result depends on its sequence's rows alone, and is the same to the last bit however they are cut into
// batches.

// A causal convolution, each channel by itself, over the last `kernel` rows:
//   out[r][c] = activation(bias[c] + sum over j < kernel of W[c][j] * in[r - (kernel - 1) + j][c])
// with in[r] = x[r] from first_column on, and 0 before the sequence's first row. Gated: x[r] is [ b | g | v ]
// of `channels` each, in[r] = b * v, and out is multiplied by g. State: the kernel - 1 last rows of `in`.
struct Conv {
  int kernel = 0, channels = 0;
  std::int64_t first_column = 0;
  WeightId weight = none;  // f32 [kernel, channels]
  WeightId bias = none;    // f32 [channels]
  bool gated = false;
  StateId state = none;
};

// out[r] = [ n + (p - n) * (mix[i] + side[r]_i) for each i < count ], p being the normed row before (0 at
// first). side, where the step has it, is [ side_0 | side_1 | ... ], each as wide as x. State: the last n.
struct Shift {
  static constexpr int most = 6;
  int count = 0;
  WeightId mix[most] = {none, none, none, none, none, none};  // f32 [width of x] each
  StateId state = none;
};

// A linear recurrence. Each of `heads` heads h has a state S, [key_dim][value_dim]; a row first changes the
// state and then reads it, but in rwkv6, where it reads before. i runs over key_dim, j over value_dim;
// '.' in a row is what the step does not read. G = groups: heads share the keys and queries of group h /
// (heads / G), or h % G where they are `tiled`. softplus(t) = ln(1 + e^t), unit(t) = t / sqrt(sum t^2 +
// 1e-6).
//
// mamba (arXiv:2312.00752): one head, its values being the channels j. x = u [value_dim],
//   side = [ . | z | t | B | C ], of widths value_dim thrice and key_dim twice; B and C go through key_norm
//   and query_norm.
//     d[j] = softplus(t[j])
//     S[i][j] = exp(d[j] * decay[j][i]) * S[i][j] + B[i] * d[j] * u[j]
//     out[j] = (sum over i of C[i] * S[i][j] + bonus[j] * u[j]) * silu(z[j])
// mamba2 (arXiv:2405.21060): x = [ u of each head | B of each group | C of each group ],
//   side = [ z of each head | . as wide as x | t, one a head ].
//     d = softplus(t + step_bias[h])
//     S[i][j] = exp(d * decay[h]) * S[i][j] + B[i] * d * u[j]
//     y[j] = (sum over i of C[i] * S[i][j] + bonus[h] * u[j]) * silu(z[j])
//   out = norm(y), of the heads of each group together.
// delta (arXiv:2412.06464): x = [ q of each group | k of each group | v of each head ],
//   side = [ . as wide as x | z of each head | b and a ]. b and a, one of each a head, come in blocks: b of
//   `block` heads, then a of the same heads.
//     q = unit(q) / sqrt(key_dim), k = unit(k), g = exp(decay[h] * softplus(a + step_bias[h]))
//     e[j] = sigmoid(b) * (v[j] - g * sum over i of k[i] * S[i][j])
//     S[i][j] = g * S[i][j] + k[i] * e[j]
//     out[j] = norm(y)[j] * silu(z[j]), y[j] = sum over i of q[i] * S[i][j]
// kda (arXiv:2510.26692), delta with a decay for each key: x = [ q | k | v ], each of all heads,
//   side = [ . as wide as x | z of each head | b, one a head | a of all keys ].
//     q = unit(q) / sqrt(key_dim), k = unit(k), g[i] = exp(decay[h] * softplus(a[i] + step_bias[h][i]))
//     e[j] = sigmoid(b) * (v[j] - sum over i of k[i] * g[i] * S[i][j])
//     S[i][j] = g[i] * S[i][j] + k[i] * e[j]
//     out[j] = norm(y)[j] * sigmoid(z[j]), y[j] = sum over i of q[i] * S[i][j]
// gla (arXiv:2312.06635, as RWKV 6 with Qwen 2's networks has it), value_dim = key_dim: x = [ r | w | k | v |
// g ],
//   k and v of each group, the others of each head.
//     d[i] = exp(-exp(w[i]))
//     S[i][j] = d[i] * S[i][j] + k[i] * (1 - d[i]) * v[j]
//     out[j] = g[j] * (sum over i of r[i] * S[i][j]) / sqrt(key_dim)
// rwkv6 (arXiv:2404.05892), value_dim = key_dim: x = [ r | w | k | v | g ], each of all heads.
//     y[j] = sum over i of r[i] * (bonus[h][i] * k[i] * v[j] + S[i][j])
//     S[i][j] = exp(-exp(w[i])) * S[i][j] + k[i] * v[j]
//     out[j] = norm(y)[j] * g[j]
// rwkv7 (arXiv:2503.14456), value_dim = key_dim: x = [ r | w | k | v | a | g ], and m after it where the step
//   has a side; side = the first layer's v.
//     v = v + (side - v) * m
//     c = k * key_scale[h], divided by max(sqrt(sum c^2), 1e-12)
//     k = k * (1 + (a - 1) * key_mix[h])
//     S[i][j] = exp(-exp(-1/2) * sigmoid(w[i])) * S[i][j] + k[i] * v[j] - a[i] * c[i] * (sum over l of c[l] *
//     S[l][j])
//       with the S before this row on the right
//     y[j] = sum over i of r[i] * S[i][j]
//     out[j] = (norm(y)[j] + v[j] * sum over i of r[i] * k[i] * bonus[h][i]) * g[j]
// Norms of delta, kda and rwkv run over one head; those of delta and kda serve all heads, others are those of
// all of them.
struct Scan {
  enum class Kind : std::uint8_t { mamba, mamba2, delta, rwkv6, rwkv7, kda, gla };
  Kind kind = Kind::mamba;
  int heads = 1, groups = 1;
  int key_dim = 0, value_dim = 0;
  bool tiled = false;
  int block = 1;
  WeightId decay = none;                      // f32: mamba [key_dim, value_dim], others [heads]
  WeightId bonus = none;                      // f32: mamba [value_dim], mamba2 [heads], rwkv [all keys]
  WeightId step_bias = none;                  // f32 [heads], kda [all keys]
  WeightId key_scale = none, key_mix = none;  // f32 [all keys]
  Norm norm{}, key_norm{}, query_norm{};
  StateId state = none;

  int group_of(int head) const { return tiled ? head % groups : head / (heads / groups); }
  std::int64_t keys() const { return std::int64_t{groups} * key_dim; }
  std::int64_t values() const { return std::int64_t{heads} * value_dim; }
};

struct Step {
  Op op = Op::embed;
  int layer = none;  // -1 outside the layers
  SlotId x = none, add = none, mul = none, routes = none, side = none, out = none;
  Norm norm, post;
  bool post_last = false;  // post is applied after the addition
  Linear linear[3];
  Activation activation = Activation::identity;
  Xielu xielu;
  Attention attention;  // of attend and index
  Selection selection;  // of index, and of attend where it has a side slot
  Routing routing;      // of route, experts_up and experts_down
  Row row;
  Conv conv;
  Shift shift;
  Scan scan;
  int heads = 0;  // of heads
  // What matmul reads of x's rows, and matmul and heads write of out's, when not the whole.
  std::int64_t x_column = 0, x_columns = 0;
  std::int64_t first_column = 0, columns = 0;
  float scale = 1;
  float out_scale = 1;
  float clamp = 0;
  float softcap = 0;
};

// The slots that a step reads, none in the place of absent ones.
inline std::array<SlotId, 5> inputs(const Step& step) {
  return {step.x, step.add, step.mul, step.routes, step.side};
}
// The cache that it stores to or reads, or none.
inline CacheId cache_of(const Step& step) {
  return step.op == Op::attend || step.op == Op::index ? step.attention.cache : none;
}
// The state that it keeps, or none.
inline StateId state_of(const Step& step) {
  return step.op == Op::conv    ? step.conv.state
         : step.op == Op::shift ? step.shift.state
         : step.op == Op::scan  ? step.scan.state
                                : none;
}

struct Slot {
  std::int64_t width = 0;
  bool wanted_rows = false;  // has a row for each wanted row of the batch, not for each of its rows
};

struct Weight {
  std::string name;  // the tensor's name in the file
  Tensor tensor;     // as it lies in the file
};

// One step's key/value cache, kept by pages. That of an index step has one key head and no values.
struct Cache {
  int layer = 0;
  int kv_heads = 0;
  int key_dim = 0, value_dim = 0;
  bool key_is_value = false;  // a value is the first elements of its key, and not stored again
  int stored_value_dim() const { return key_is_value ? 0 : value_dim; }
};

// What one recurrent step keeps of each sequence. A back end has room for a number of sequences' states, in
// slots that the batch names.
struct State {
  int layer = 0;
  std::int64_t width = 0;  // elements
};

// How the rows of a text become one embedding, numbered as in GGUF files (off: "none"). rank: what the
// classifier makes of them.
enum class Pooling : std::uint8_t { off, mean, cls, last, rank };

// What a pooled row goes through, in order: norm(activation(W x + b)), W being optional; then softmax where
// that is asked for.
struct HeadLayer {
  Linear linear{};
  Activation activation = Activation::identity;
  Norm norm{};
};
struct Head {
  std::vector<HeadLayer> layers;
  bool softmax = false;
};

// What a model that embeds does with its rows.
struct Embedding {
  Pooling pooling = Pooling::mean;  // where a request does not say
  Pooling ranked = Pooling::cls;    // the rows that the classifier reads: mean, cls or last
  Head projection, classifier;      // of pooled rows; of those for rank
};

struct Program {
  std::vector<Step> steps;
  std::vector<Slot> slots;
  std::vector<Weight> weights;
  std::vector<std::shared_ptr<const std::vector<std::byte>>> made;  // what weights view that no file holds
  std::vector<Cache> caches;
  std::vector<State> states;  // each that of one step
  std::int64_t vocab = 0;
  SlotId logits = none;  // the result: f32 [wanted rows, vocab], or the width of a model that embeds
  std::optional<Embedding> embedding;  // of a model that embeds
  bool causal = true;                  // else a sequence must lie in one batch as a whole
  // The token after the first of which a sequence's rows are of type 1, those before and itself being of type
  // 0, as BERT's are whose text is a pair; none: all are of type 0.
  std::int32_t separator = none;

  const Tensor& tensor(WeightId id) const { return weights[static_cast<std::size_t>(id)].tensor; }
};

// The work of `step` on a batch of `rows` rows (and `wanted` wanted rows), whose attention reads `context`
// cached positions in total (summed over rows), the rows being those of `sequences` sequences: what a timing
// is measured against.
struct Cost {
  double bytes = 0;  // weights and cache read, states read and written; activations not counted
  double flops = 0;
};
Cost cost_of(const Program& program, const Step& step, int rows, int wanted, double context,
             double kv_element_bytes, int sequences = 1);

// Checks every operand's presence, shape and type. Throws Error naming the step and the tensor.
void check(const Program& program);

}  // namespace rf
