#include "model/recurrent.h"

#include <algorithm>

#include "base/error.h"

namespace rf {
namespace {

// What Mamba 2 and delta nets say of themselves.
struct Sizes {
  explicit Sizes(const Builder& b)
      : inner(b.size("ssm.inner_size")),
        state(b.size("ssm.state_size")),
        heads(b.size("ssm.time_step_rank")),
        groups(b.size("ssm.group_count", 1)) {
    if (inner % heads != 0)
      b.bad_key("ssm.time_step_rank", fmt::format("a divisor of ssm.inner_size, {}, found {}", inner, heads));
    if (heads % groups != 0)
      b.bad_key("ssm.group_count",
                fmt::format("a divisor of ssm.time_step_rank, {}, found {}", heads, groups));
  }
  int inner, state, heads, groups;
};

}  // namespace

SlotId mamba_block(Builder& b, SlotId x, const Layer& w, const MixerOptions& options) {
  const std::int64_t inner = b.size("ssm.inner_size"), state = b.size("ssm.state_size"),
                     rank = b.size("ssm.time_step_rank");
  const bool normed = b.flag("ssm.dt_b_c_rms", false);
  const SlotId side = b.slot("scan side", 3 * inner + 2 * state);  // [ u z t B C ]
  b.matmul(x, w, "ssm_in", {.out = side, .norm = "attn_norm", .first_column = 0});
  const SlotId u = b.conv(side, w, "ssm_conv1d", {.activation = Activation::silu});
  const std::int64_t all = rank + 2 * state;
  const SlotId step = b.matmul(
      u, w, "ssm_x", {.out = b.slot("time step", rank), .first_row = 0, .rows = rank, .all_rows = all});
  b.matmul(u, w, "ssm_x",
           {.out = side, .first_column = 3 * inner, .first_row = rank, .rows = 2 * state, .all_rows = all});
  b.matmul(step, w, "ssm_dt",
           {.out = side, .first_column = 2 * inner, .given = b.norm_if(w["ssm_dt_norm"], rank, normed)});
  const SlotId y = b.scan(u, side, w,
                          {.kind = Scan::Kind::mamba,
                           .key_dim = static_cast<int>(state),
                           .value_dim = static_cast<int>(inner),
                           .decay = b.numbers(w["ssm_a"], state * inner),
                           .bonus = b.numbers(w["ssm_d"], inner),
                           .key_norm = b.norm_if(w["ssm_b_norm"], state, normed),
                           .query_norm = b.norm_if(w["ssm_c_norm"], state, normed)});
  return b.matmul(y, w, "ssm_out",
                  {.add = options.add != none ? options.add : x, .scale = options.residual_scale});
}

SlotId mamba2_block(Builder& b, SlotId x, const Layer& w, const MixerOptions& options) {
  const auto [inner, state, heads, groups] = Sizes(b);
  const std::int64_t width = std::int64_t{2} * inner + std::int64_t{2} * groups * state + heads;
  const SlotId side = b.matmul(x, w, "ssm_in", {.out = b.slot("scan side", width), .norm = "attn_norm"});
  const SlotId u = b.conv(side, w, "ssm_conv1d", {.first_column = inner, .activation = Activation::silu});
  const SlotId y = b.scan(u, side, w,
                          {.kind = Scan::Kind::mamba2,
                           .heads = heads,
                           .groups = groups,
                           .key_dim = state,
                           .value_dim = inner / heads,
                           .decay = b.numbers(w["ssm_a"], heads),
                           .bonus = b.numbers(w["ssm_d"], heads),
                           .step_bias = b.numbers(w["ssm_dt.bias"], heads),
                           .norm = b.norm_if(w["ssm_norm"], inner, false)});
  return b.matmul(y, w, "ssm_out",
                  {.add = options.add != none ? options.add : x, .scale = options.residual_scale});
}

SlotId delta_block(Builder& b, SlotId x, const Layer& w, bool tiled) {
  const auto [inner, state, heads, groups] = Sizes(b);
  const bool joined = b.has(w["ssm_ba"]);
  const std::int64_t mixed = std::int64_t{2} * groups * state + inner;
  const SlotId side = b.slot("scan side", mixed + inner + std::int64_t{2} * heads);
  const auto project = [&](const char* name, std::int64_t column) {
    b.matmul(x, w, name, {.out = side, .norm = "attn_norm", .first_column = column});
  };
  project("attn_qkv", 0);
  project("attn_gate", mixed);
  if (joined) {
    project("ssm_ba", mixed + inner);
  } else {
    project("ssm_beta", mixed + inner);
    project("ssm_alpha", mixed + inner + heads);
  }
  const SlotId u = b.conv(side, w, "ssm_conv1d", {.activation = Activation::silu});
  const SlotId y = b.scan(u, side, w,
                          {.kind = Scan::Kind::delta,
                           .heads = heads,
                           .groups = groups,
                           .key_dim = state,
                           .value_dim = inner / heads,
                           .tiled = tiled,
                           .block = joined ? heads / groups : heads,
                           .decay = b.numbers(w["ssm_a"], heads),
                           .step_bias = b.numbers(w["ssm_dt.bias"], heads),
                           .norm = b.norm(w["ssm_norm"], inner / heads)});
  return b.matmul(y, w, "ssm_out", {.add = x});
}

SlotId kda_block(Builder& b, SlotId x, const Layer& w) {
  const int dim = b.size("kda.head_dim"), heads = w->heads;
  if (heads < 1) b.bad_key("attention.head_count", "at least 1");
  const std::int64_t inner = std::int64_t{heads} * dim;
  const SlotId side = b.slot("scan side", 5 * inner + heads);  // [ q k v | z | b | a ]
  const auto project = [&](const char* name, std::int64_t column) {
    b.matmul(x, w, name, {.out = side, .norm = "attn_norm", .first_column = column});
  };
  const auto low_rank = [&](const char* first, const char* second, std::int64_t column) {
    const SlotId low =
        b.matmul(x, w, first, {.out = b.slot("low rank", b.rows_of(w[first])), .norm = "attn_norm"});
    b.matmul(low, w, second, {.out = side, .first_column = column});
  };
  project("attn_q", 0);
  project("attn_k", inner);
  project("attn_v", 2 * inner);
  low_rank("ssm_g_a", "ssm_g_b", 3 * inner);
  project("ssm_beta", 4 * inner);
  low_rank("ssm_f_a", "ssm_f_b", 4 * inner + heads);
  // One convolution over what the file has as three.
  std::vector<float> kernels;
  for (const char* name : {"ssm_conv1d_q.weight", "ssm_conv1d_k.weight", "ssm_conv1d_v.weight"}) {
    const std::vector<float> one = b.decoded(w[name]);
    kernels.insert(kernels.end(), one.begin(), one.end());
  }
  const std::int64_t kernel = b.tensor_of(w["ssm_conv1d_q.weight"]).columns();
  b.make_numbers(w["ssm_conv1d.weight"], kernels,
                 {kernel, static_cast<std::int64_t>(kernels.size()) / kernel, 1, 1});
  const SlotId u = b.conv(side, w, "ssm_conv1d", {.activation = Activation::silu});
  const SlotId y = b.scan(u, side, w,
                          {.kind = Scan::Kind::kda,
                           .heads = heads,
                           .groups = heads,
                           .key_dim = dim,
                           .value_dim = dim,
                           .decay = b.numbers(w["ssm_a"], heads),
                           .step_bias = b.numbers(w["ssm_dt.bias"], inner),
                           .norm = b.norm(w["ssm_norm"], dim)});
  return b.matmul(y, w, "attn_output", {.add = x});
}

SlotId plamo_mamba_block(Builder& b, SlotId x, const Layer& w) {
  const std::int64_t inner = b.size("ssm.inner_size"), state = b.size("ssm.state_size"),
                     heads = b.size("ssm.time_step_rank"), dim = inner / heads;
  if (inner % heads != 0)
    b.bad_key("ssm.time_step_rank", fmt::format("a divisor of ssm.inner_size, {}, found {}", inner, heads));
  // The file has z and u of each head side by side, and one number for all channels of a head.
  std::vector<std::int64_t> z_rows, u_rows, head_rows;
  std::vector<float> decay, bonus, bias;
  const std::vector<float> decays = b.decoded(w["ssm_a"]), factors = b.decoded(w["ssm_d"]),
                           biases = b.decoded(w["ssm_dt.bias"]);
  const std::int64_t all = b.rows_of(w["ssm_x"]), rank = all - 2 * state;
  if (rank < 1)
    fail("{}: tensor '{}.weight' has {} rows, expected more than {}", b.path(), w["ssm_x"], all, 2 * state);
  if (std::min({decays.size(), factors.size(), biases.size()}) < static_cast<std::size_t>(heads) ||
      b.tensor_of(w["ssm_x.weight"]).columns() != inner || b.rows_of(w["ssm_in"]) != 2 * inner ||
      b.rows_of(w["ssm_dt"]) != heads)
    fail("{}: tensors of 'blk.{}.ssm_...' are not of {} heads of {}", b.path(), w.index, heads, dim);
  for (std::int64_t c = 0; c < inner; ++c) {
    const std::int64_t h = c / dim;
    z_rows.push_back(2 * dim * h + c % dim);
    u_rows.push_back(2 * dim * h + dim + c % dim);
    head_rows.push_back(h);
    decay.insert(decay.end(), static_cast<std::size_t>(state), decays[static_cast<std::size_t>(h)]);
    bonus.push_back(factors[static_cast<std::size_t>(h)]);
    bias.push_back(biases[static_cast<std::size_t>(h)]);
  }
  b.make_rows(w["ssm_in_z.weight"], w["ssm_in.weight"], z_rows);
  b.make_rows(w["ssm_in_u.weight"], w["ssm_in.weight"], u_rows);
  b.make_rows(w["ssm_dt_channels.weight"], w["ssm_dt.weight"], head_rows);
  b.make_numbers(w["ssm_dt_channels.bias"], bias, {inner, 1, 1, 1});
  b.make_numbers(w["ssm_a_channels"], decay, {state, inner, 1, 1});
  b.make_numbers(w["ssm_d_channels"], bonus, {inner, 1, 1, 1});

  const SlotId side = b.slot("scan side", 3 * inner + 2 * state);  // [ u z t B C ]
  b.matmul(x, w, "ssm_in_u", {.out = side, .norm = "attn_norm", .first_column = 0});
  b.matmul(x, w, "ssm_in_z", {.out = side, .norm = "attn_norm", .first_column = inner});
  const SlotId u = b.conv(side, w, "ssm_conv1d", {.activation = Activation::silu});
  b.matmul(u, w, "ssm_x",
           {.out = side, .first_column = 3 * inner, .first_row = 0, .rows = 2 * state, .all_rows = all});
  const SlotId step =
      b.matmul(u, w, "ssm_x",
               {.out = b.slot("time step", rank), .first_row = 2 * state, .rows = rank, .all_rows = all});
  b.matmul(step, w, "ssm_dt_channels",
           {.out = side, .first_column = 2 * inner, .given = b.norm(w["ssm_dt_norm"], rank)});
  const SlotId y = b.scan(u, side, w,
                          {.kind = Scan::Kind::mamba,
                           .key_dim = static_cast<int>(state),
                           .value_dim = static_cast<int>(inner),
                           .decay = b.numbers(w["ssm_a_channels"], state * inner),
                           .bonus = b.numbers(w["ssm_d_channels"], inner),
                           .key_norm = b.norm(w["ssm_b_norm"], state),
                           .query_norm = b.norm(w["ssm_c_norm"], state)});
  return b.matmul(y, w, "ssm_out", {.add = x, .post = "post_attention_norm"});
}

SlotId short_conv_block(Builder& b, SlotId x, const Layer& w) {
  const SlotId in =
      b.matmul(x, w, "shortconv.in_proj",
               {.out = b.slot("short conv", b.rows_of(w["shortconv.in_proj"])), .norm = "attn_norm"});
  return b.matmul(b.conv(in, w, "shortconv.conv", {.gated = true}), w, "shortconv.out_proj", {.add = x});
}

}  // namespace rf
