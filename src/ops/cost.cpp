// What a step reads and computes.
#include <algorithm>

#include "ops/program.h"

namespace rf {
namespace {

double bytes_of(const Program& program, WeightId id) {
  return id == none ? 0.0 : static_cast<double>(program.tensor(id).bytes());
}

Cost recurrent_cost(const Program& program, const Step& step, int rows, int sequences) {
  const auto state = static_cast<double>(program.states[static_cast<std::size_t>(state_of(step))].width);
  Cost cost{2 * sequences * state * sizeof(float), 0};
  const Scan& scan = step.scan;
  for (const WeightId id : {step.norm.weight, step.conv.weight, step.conv.bias, scan.decay, scan.bonus,
                            scan.step_bias, scan.key_scale, scan.key_mix, scan.norm.weight})
    cost.bytes += bytes_of(program, id);
  for (const WeightId id : step.shift.mix) cost.bytes += bytes_of(program, id);
  if (step.op == Op::conv) cost.flops = 2.0 * rows * step.conv.kernel * step.conv.channels;
  if (step.op == Op::shift) cost.flops = 3.0 * rows * step.shift.count * state;
  // Decaying, adding a product, and a sum for each element; what delta and rwkv7 take away costs a sum more.
  const bool corrects =
      scan.kind == Scan::Kind::delta || scan.kind == Scan::Kind::rwkv7 || scan.kind == Scan::Kind::kda;
  if (step.op == Op::scan) cost.flops = (corrects ? 7.0 : 5.0) * rows * state;
  return cost;
}

}  // namespace

Cost cost_of(const Program& program, const Step& step, int rows, int wanted, double context,
             double kv_element_bytes, int sequences) {
  if (const StateId id = state_of(step); id != none) return recurrent_cost(program, step, rows, sequences);
  if (step.op == Op::attend || step.op == Op::index) {
    const Attention& a = step.attention;
    if (a.window > 0) context = std::min(context, static_cast<double>(rows) * a.window);
    if (step.side != none)
      context = std::min(context, static_cast<double>(rows) * step.selection.blocks * step.selection.block);
    const double dims = a.key_dim + a.value_dim;
    return {context * a.kv_heads * (a.key_is_value ? a.key_dim : dims) * kv_element_bytes,
            2 * context * a.heads * dims};
  }
  if (step.op == Op::embed)
    return {static_cast<double>(rows) * static_cast<double>(program.tensor(step.linear[0].weight).row_bytes),
            0};
  const int computed = step.op == Op::logits ? wanted : rows;
  if (computed == 0) return {};
  // Each row goes through `used` of the experts; together the rows read at most all of them.
  const bool routed = step.op == Op::experts_up || step.op == Op::experts_down;
  const double experts = routed ? step.routing.experts : 1, used = routed ? step.routing.used : 1;
  const double read = std::min(1.0, computed * used / experts);
  Cost cost{bytes_of(program, step.norm.weight), 0};
  for (int i = 0; i < linear_count(step.op); ++i) {
    if (step.linear[i].weight == none) continue;
    const Tensor& tensor = program.tensor(step.linear[i].weight);
    cost.bytes += read * static_cast<double>(tensor.bytes()) + bytes_of(program, step.linear[i].bias) +
                  bytes_of(program, step.linear[i].factors);
    cost.flops += 2.0 * computed * used / experts * static_cast<double>(tensor.columns()) *
                  static_cast<double>(tensor.rows());
  }
  return cost;
}

}  // namespace rf
