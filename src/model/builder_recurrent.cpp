// Steps with a state.
#include <algorithm>

#include "model/builder.h"

namespace rf {

StateId Builder::new_state(const Layer& layer, std::int64_t elements) {
  program_.states.push_back({layer.index, elements});
  return static_cast<StateId>(program_.states.size()) - 1;
}

SlotId Builder::conv(SlotId x, const Layer& layer, std::string_view name, const ConvOptions& options) {
  const std::string tensor = layer[name];
  const std::int64_t channels = rows_of(tensor), kernel = tensor_of(tensor + ".weight").columns();
  Step& step = record(Op::conv, &layer, x, slot("conv", channels));
  step.activation = options.activation;
  step.conv = {.kernel = static_cast<int>(kernel),
               .channels = static_cast<int>(channels),
               .first_column = options.first_column,
               .weight = vector(tensor + ".weight", kernel * channels),
               .gated = options.gated,
               .state = new_state(layer, (kernel - 1) * channels)};
  if (find(tensor + ".bias") != nullptr) step.conv.bias = vector(tensor + ".bias", channels);
  return step.out;
}

SlotId Builder::shift(SlotId x, const Layer& layer, std::string_view norm_name, std::span<const WeightId> mix,
                      SlotId side) {
  const auto count = static_cast<std::int64_t>(mix.size());
  Step& step = record(Op::shift, &layer, x, slot("shift", count * width(x)));
  step.norm = norm(layer[norm_name], width(x));
  step.side = side;
  step.shift.count = static_cast<int>(count);
  std::copy(mix.begin(), mix.end(), step.shift.mix);
  step.shift.state = new_state(layer, width(x));
  return step.out;
}

SlotId Builder::scan(SlotId x, SlotId side, const Layer& layer, Scan scan) {
  scan.state = new_state(layer, scan.values() * scan.key_dim);
  Step& step = record(Op::scan, &layer, x, slot("scan", scan.values()));
  step.side = side;
  step.scan = scan;
  return step.out;
}

}  // namespace rf
