// Program: what a model computes, recorded once at load: a flat list of coarse steps over activation slots,
// weights and states. Immutable after the Builder hands it over; nothing in it depends on a batch.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace rf {

// Indices into Program::slots, weights, caches; none means the step has no such operand.
using SlotId = int;
using WeightId = int;
using CacheId = int;
inline constexpr int none = -1;

// The vocabulary. x is the step's input slot, out its output; all activations are f32 [rows, width].
enum class Op : std::uint8_t {
  embed,    // out[r] = table[token[r]] * scale
  qkv,      // out[r] = [ W0 n | W1 n | W2 n ] with n = norm(x[r]), each plus its bias
  attend,   // out[r] = attention of row r's query heads over its sequence's cache (see Attention)
  matmul,   // out[r] = W0 norm(x[r]) + bias + add[r]
  gate_up,  // out[r] = activation(W0 n + b0) * (W1 n + b1) with n = norm(x[r])
  logits,   // out[i] = W0 norm(x[wanted[i]]) + bias, for the wanted rows only
};
const char* op_name(Op op);
int linear_count(Op op);  // how many of Step::linear it uses, from the first on

// y = x * weight / sqrt(mean(x^2) + eps); weight none: no norm at all (y = x).
struct Norm {
  WeightId weight = none;
  float eps = 0;
};

struct Linear {
  WeightId weight = none;  // [columns = input width, rows = output width]
  WeightId bias = none;    // f32 [rows]
};

enum class Activation : std::uint8_t { silu, gelu_tanh };

// Rotary position embedding of the first `dims` elements of every query and key head.
// angle(p, i) = p * scale * base^(-2 i / dims) / factor[i]; yarn blends as in arXiv:2309.00071.
struct Rope {
  enum class Pairs : std::uint8_t { adjacent, halves };  // (2i, 2i+1), or (i, i + dims/2)
  Pairs pairs = Pairs::adjacent;
  int dims = 0;  // 0: no rotation
  float base = 10000;
  float scale = 1;          // of positions: 1 / linear scaling factor
  WeightId factors = none;  // f32 [dims / 2]
  float yarn_factor = 0;    // 0: no yarn, else the context extension factor
  float yarn_original = 0;  // trained context length
  float yarn_beta_fast = 32, yarn_beta_slow = 1;
  float magnitude = 1;  // cos and sin are multiplied by it (yarn's attention factor, resolved)
  bool operator==(const Rope&) const = default;
};

// Input row: query heads, then key heads, then value heads. Per row: RMS norm of each query and key head
// where a weight is given, rotation, the row's K and V stored at its position, then softmax(scale * q k^T) v
// over positions 0..p of the sequence (the last `window` of them if window > 0).
struct Attention {
  int heads = 0, kv_heads = 0;
  int key_dim = 0, value_dim = 0;
  float scale = 0;
  int window = 0;
  WeightId q_norm = none, k_norm = none;
  float norm_eps = 0;
  Rope rope;
  CacheId cache = none;
};

struct Step {
  Op op = Op::embed;
  int layer = none;  // -1 outside the layers
  SlotId x = none, add = none, out = none;
  Norm norm;
  Linear linear[3];
  Activation activation = Activation::silu;
  Attention attention;
  float scale = 1;  // embed
};

struct Slot {
  std::int64_t width = 0;
  bool wanted_rows = false;  // has a row for each wanted row of the batch, not for each of its rows
};

struct Weight {
  std::string name;  // the tensor's name in the file
  Tensor tensor;     // as it lies in the file
};

// One layer's key/value cache, kept by pages.
struct Cache {
  int layer = 0;
  int kv_heads = 0;
  int key_dim = 0, value_dim = 0;
};

struct Program {
  std::vector<Step> steps;
  std::vector<Slot> slots;
  std::vector<Weight> weights;
  std::vector<Cache> caches;
  std::int64_t vocab = 0;
  SlotId logits = none;  // the result: f32 [wanted rows, vocab]

  const Tensor& tensor(WeightId id) const { return weights[static_cast<std::size_t>(id)].tensor; }
};

// The work of `step` on a batch of `rows` rows (and `wanted` wanted rows), whose attention reads `context`
// cached positions in total (summed over rows): what a timing is measured against.
struct Cost {
  double bytes = 0;  // weights and cache read, activations not counted
  double flops = 0;
};
Cost cost_of(const Program& program, const Step& step, int rows, int wanted, double context,
             double kv_element_bytes);

// Checks every operand's presence, shape and type. Throws Error naming the step and the tensor.
void check(const Program& program);

}  // namespace rf
