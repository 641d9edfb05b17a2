#include "model/recurrent.h"

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

SlotId short_conv_block(Builder& b, SlotId x, const Layer& w) {
  const SlotId in =
      b.matmul(x, w, "shortconv.in_proj",
               {.out = b.slot("short conv", b.rows_of(w["shortconv.in_proj"])), .norm = "attn_norm"});
  return b.matmul(b.conv(in, w, "shortconv.conv", {.gated = true}), w, "shortconv.out_proj", {.add = x});
}

}  // namespace rf
