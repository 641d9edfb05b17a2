// Steps whose rows go through one matrix of many: experts, and heads with a matrix each. The rows are sorted
// by matrix and packed in that order, so that each matrix multiplies its own rows in one go.
#include <algorithm>

#include "cpu/work.h"
#include "ops/routing.h"

namespace rf {
namespace {

// Rows [first, ...) of `in`, with its stride.
PackedRows from_row(PackedRows in, int first) {
  if (in.values != nullptr) in.values += 32 * static_cast<std::ptrdiff_t>(first);
  in.codes += 32 * static_cast<std::ptrdiff_t>(first);
  in.scale += first;
  in.sums += first;
  in.eights += first;
  return in;
}

}  // namespace

void Work::route(const Step& step) {
  const auto experts = static_cast<std::size_t>(step.routing.experts);
  const std::int64_t width = program->slots[static_cast<std::size_t>(step.out)].width;
  const float *bias = vector_of(step.routing.bias), *factors = vector_of(step.routing.factors);
  share(batch->rows(), 4, [&](int r) {
    choose_experts(step.routing, {temporary_ + static_cast<std::size_t>(r) * experts, experts}, bias, factors,
                   slots[static_cast<std::size_t>(step.out)] + r * width);
  });
}

void Work::sort_routes(const Step& step, std::vector<Group>& groups, std::vector<int>& order) const {
  const int used = step.routing.used, rows = batch->rows();
  const float* routes = slots[static_cast<std::size_t>(step.routes)];
  std::vector<int> count(static_cast<std::size_t>(step.routing.experts) + 1);
  const auto expert = [&](int pair) {
    return static_cast<std::size_t>(routes[pair / used * 2 * used + pair % used]);
  };
  for (int pair = 0; pair < rows * used; ++pair) ++count[expert(pair) + 1];
  for (std::size_t e = 1; e < count.size(); ++e) {
    if (count[e] > 0) groups.push_back({static_cast<int>(e) - 1, count[e - 1], count[e]});
    count[e] += count[e - 1];
  }
  order.resize(static_cast<std::size_t>(rows * used));
  for (int pair = 0; pair < rows * used; ++pair)
    order[static_cast<std::size_t>(count[expert(pair)]++)] = pair;
}

template <class Store>
void Work::multiply_groups(const Step& step, const std::vector<Group>& groups, const PackedRows& in,
                           Member& member, Store store) {
  const int tiles = weights[static_cast<std::size_t>(step.linear[0].weight)].tiles_of_one();
  share_evenly(static_cast<int>(groups.size()) * tiles, [&](int i) {
    const Group& group = groups[static_cast<std::size_t>(i / tiles)];
    const int tile = i % tiles, at = group.matrix * tiles + tile;
    const PackedRows rows = from_row(in, group.first);
    for (int l = 0; l < 2; ++l)
      if (step.linear[l].weight != none)
        multiply(step.linear[l], group.matrix, at, rows, group.rows, member, member.tiles[l]);
    store(group, tile);
  });
}

void Work::experts_up(const Step& step, Member& member, int index) {
  const Routing& routing = step.routing;
  std::vector<Group> groups;
  std::vector<int> order;
  sort_routes(step, groups, order);
  const std::int64_t width = program->slots[static_cast<std::size_t>(step.x)].width;
  const int pairs = static_cast<int>(order.size()), columns = static_cast<int>(width);
  const PackOptions options = pack_options(step);
  const PackedRows in = packed(pack_, columns, pairs);
  for (int i = pairs * index / team->size(); i < pairs * (index + 1) / team->size(); ++i) {
    const int pair = order[static_cast<std::size_t>(i)], row = pair / routing.used;
    const float* x = slots[static_cast<std::size_t>(step.x)] + row * width;
    if (!routing.weigh_input) {
      kernels->pack(x, columns, options, i, in);
      continue;
    }
    // Weighing comes after the norm and before the product.
    float* weighed = temporary_ + static_cast<std::ptrdiff_t>(i) * columns;
    kernels->normalise(options.norm, x, columns, weighed);
    const float weight = slots[static_cast<std::size_t>(step.routes)]
                              [row * 2 * routing.used + routing.used + pair % routing.used];
    for (int c = 0; c < columns; ++c) weighed[c] *= weight;
    PackOptions plain = options;
    plain.norm = {};
    kernels->pack(weighed, columns, plain, i, in);
  }
  next_phase();

  const TiledWeight& gate = weights[static_cast<std::size_t>(step.linear[0].weight)];
  const bool gated = step.linear[1].weight != none;
  const auto ffn = static_cast<int>(gate.rows / routing.experts);
  multiply_groups(step, groups, in, member, [&](const Group& group, int tile) {
    const int first = 16 * tile, n = std::min(16, ffn - first);
    const auto bias = [&](int l) {
      const float* all = vector_of(step.linear[l].bias);
      return all != nullptr ? all + static_cast<std::ptrdiff_t>(group.matrix) * ffn + first : nullptr;
    };
    for (int r = 0; r < group.rows; ++r) {
      const int pair = order[static_cast<std::size_t>(group.first + r)];
      float* out =
          slots[static_cast<std::size_t>(step.out)] + static_cast<std::ptrdiff_t>(pair) * ffn + first;
      if (gated)
        kernels->store_gated(step.activation, step.clamp, member.tiles[0] + 16 * r, member.tiles[1] + 16 * r,
                             1, n, bias(0), bias(1), out, ffn);
      else
        kernels->store(member.tiles[0] + 16 * r, 1, n, {.bias = bias(0), .activation = step.activation}, out,
                       ffn);
    }
  });
}

void Work::experts_down(const Step& step, Member& member, int index) {
  const Routing& routing = step.routing;
  std::vector<Group> groups;
  std::vector<int> order;
  sort_routes(step, groups, order);
  const TiledWeight& down = weights[static_cast<std::size_t>(step.linear[0].weight)];
  const int pairs = static_cast<int>(order.size()), columns = static_cast<int>(down.columns),
            out = static_cast<int>(down.rows / routing.experts);
  const PackOptions options = pack_options(step);
  const PackedRows in = packed(pack_, columns, pairs);
  for (int i = pairs * index / team->size(); i < pairs * (index + 1) / team->size(); ++i)
    kernels->pack(slots[static_cast<std::size_t>(step.x)] +
                      static_cast<std::ptrdiff_t>(order[static_cast<std::size_t>(i)]) * columns,
                  columns, options, i, in);
  next_phase();

  const float* routes = slots[static_cast<std::size_t>(step.routes)];
  multiply_groups(step, groups, in, member, [&](const Group& group, int tile) {
    const int first = 16 * tile, n = std::min(16, out - first);
    const float* bias = vector_of(step.linear[0].bias);
    if (bias != nullptr) bias += static_cast<std::ptrdiff_t>(group.matrix) * out + first;
    for (int r = 0; r < group.rows; ++r) {
      const int pair = order[static_cast<std::size_t>(group.first + r)], used = routing.used;
      const float weight = routing.weigh_input ? 1 : routes[pair / used * 2 * used + used + pair % used];
      kernels->store(member.tiles[0] + 16 * r, 1, n, {.bias = bias, .scale = weight},
                     temporary_ + static_cast<std::ptrdiff_t>(pair) * out + first, out);
    }
  });
  next_phase();
  finish_rows(step, out, routing.used);
}

void Work::heads(const Step& step, Member& member, int index) {
  const TiledWeight& weight = weights[static_cast<std::size_t>(step.linear[0].weight)];
  const int rows = batch->rows(), count = step.heads, columns = static_cast<int>(weight.columns),
            made = static_cast<int>(weight.rows / count);
  const std::int64_t width = program->slots[static_cast<std::size_t>(step.x)].width,
                     out_width = program->slots[static_cast<std::size_t>(step.out)].width;
  const int in_head = static_cast<int>(width / count), rest = in_head - columns, out_head = made + rest;
  const PackOptions options = pack_options(step);
  const PackedRows in = packed(pack_, columns, rows * count);
  const auto out = [&](int row, int head) {
    return slots[static_cast<std::size_t>(step.out)] + row * out_width + step.first_column +
           static_cast<std::ptrdiff_t>(head) * out_head;
  };
  for (int i = rows * count * index / team->size(); i < rows * count * (index + 1) / team->size(); ++i) {
    const int head = i / rows, row = i % rows;
    const float* x =
        slots[static_cast<std::size_t>(step.x)] + row * width + static_cast<std::ptrdiff_t>(head) * in_head;
    kernels->pack(x, columns, options, i, in);
    std::copy_n(x + columns, rest, out(row, head) + made);
  }
  next_phase();

  std::vector<Group> groups;
  for (int h = 0; h < count; ++h) groups.push_back({h, h * rows, rows});
  multiply_groups(step, groups, in, member, [&](const Group& group, int tile) {
    const int first = 16 * tile;
    kernels->store(member.tiles[0], rows, std::min(16, made - first), {}, out(0, group.matrix) + first,
                   out_width);
  });
}

}  // namespace rf
