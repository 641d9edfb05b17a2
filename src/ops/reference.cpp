#include "ops/reference.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/clock.h"
#include "ops/rope.h"
#include "ops/row.h"
#include "tensor/decode.h"

namespace rf {

using oracle::floats;
using oracle::Matrix;

namespace {

// Which slots, caches and states a set of steps uses.
struct Used {
  Used(const Program& program, std::span<const int> steps)
      : slots(program.slots.size()), caches(program.caches.size()), states(program.states.size()) {
    for (const int index : steps) {
      const Step& step = program.steps[static_cast<std::size_t>(index)];
      for (const SlotId slot : inputs(step))
        if (slot != none) slots[static_cast<std::size_t>(slot)] = true;
      slots[static_cast<std::size_t>(step.out)] = true;
      if (const CacheId cache = cache_of(step); cache != none) caches[static_cast<std::size_t>(cache)] = true;
      if (const StateId state = state_of(step); state != none) states[static_cast<std::size_t>(state)] = true;
    }
  }
  std::vector<bool> slots, caches, states;
};

std::size_t state_elements(const State& state, const RunLimits& limits) {
  return static_cast<std::size_t>(limits.state_slots) * static_cast<std::size_t>(state.width);
}

std::size_t slot_floats(const Slot& slot, const RunLimits& limits) {
  const int rows = slot.wanted_rows ? limits.batch.wanted : limits.batch.rows;
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(slot.width);
}

}  // namespace

MemoryNeed Reference::need(const Program& program, std::span<const int> steps,
                           const RunLimits& limits) const {
  const Used used(program, steps);
  MemoryNeed need;  // weights are read where the file lies
  for (std::size_t i = 0; i < program.slots.size(); ++i)
    if (used.slots[i]) need.activations += slot_floats(program.slots[i], limits) * sizeof(float);
  for (std::size_t i = 0; i < program.caches.size(); ++i) {
    const Cache& cache = program.caches[i];
    if (used.caches[i])
      need.cache += static_cast<std::size_t>(limits.cache_pages) *
                    static_cast<std::size_t>(limits.page_tokens) * static_cast<std::size_t>(cache.kv_heads) *
                    static_cast<std::size_t>(cache.key_dim + cache.stored_value_dim()) * sizeof(float);
  }
  for (std::size_t i = 0; i < program.states.size(); ++i)
    if (used.states[i]) need.cache += state_elements(program.states[i], limits) * sizeof(double);
  return need;
}

void Reference::load(const Program& program, std::span<const int> steps, const RunLimits& limits,
                     void (*progress)(void*, std::size_t, std::size_t), void* context) {
  program_ = &program;
  limits_ = limits;
  const Used used(program, steps);
  slots_.assign(program.slots.size(), {});
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (used.slots[i]) slots_[i].resize(slot_floats(program.slots[i], limits));
  caches_.clear();
  for (std::size_t i = 0; i < program.caches.size(); ++i)
    caches_.push_back(used.caches[i] ? std::make_unique<ReferenceCache>(program.caches[i], limits) : nullptr);
  states_.assign(program.states.size(), {});
  for (std::size_t i = 0; i < states_.size(); ++i)
    if (used.states[i]) states_[i].resize(state_elements(program.states[i], limits));
  frequencies_.assign(program.steps.size(), {});
  for (const int index : steps) {
    const Rope& rope = program.steps[static_cast<std::size_t>(index)].attention.rope;
    frequencies_[static_cast<std::size_t>(index)] = rope_frequencies(rope, floats(program, rope.factors));
  }
  if (progress != nullptr) progress(context, 0, 0);
}

std::unique_ptr<Run> Reference::prepare(int first, int last) {
  return std::make_unique<Range>(first, last);
}

void Reference::run(Run& run, const Batch& batch, std::span<Stat> stats) {
  const Range& range = static_cast<Range&>(run);
  for (auto i = static_cast<std::size_t>(range.first); i < static_cast<std::size_t>(range.last); ++i) {
    const std::int64_t start = stats.empty() ? 0 : now_ns();
    execute(i, batch);
    if (stats.empty()) continue;
    const Cost cost = cost_of(*program_, program_->steps[i], batch.rows(), batch.wanted(), batch.context(),
                              sizeof(float), batch.sequences());
    stats[i].calls += 1;
    stats[i].ns += now_ns() - start;
    stats[i].bytes += cost.bytes;
    stats[i].flops += cost.flops;
  }
}

void Reference::read(SlotId slot, int rows, float* out) {
  std::copy_n(row(slot, 0), static_cast<std::size_t>(rows) * width(slot), out);
}

void Reference::write(SlotId slot, int rows, const float* in) {
  std::copy_n(in, static_cast<std::size_t>(rows) * width(slot), row(slot, 0));
}

std::size_t Reference::page_bytes() const {
  std::size_t floats_of_page = 0;
  for (const auto& cache : caches_)
    if (cache != nullptr) floats_of_page += cache->page_floats();
  return floats_of_page * sizeof(float);
}

void Reference::read_page(int page, std::byte* out) {
  for (const auto& cache : caches_) {
    if (cache == nullptr) continue;
    std::memcpy(out, cache->page(page), cache->page_floats() * sizeof(float));
    out += cache->page_floats() * sizeof(float);
  }
}

void Reference::write_page(int page, const std::byte* in) {
  for (const auto& cache : caches_) {
    if (cache == nullptr) continue;
    std::memcpy(cache->page(page), in, cache->page_floats() * sizeof(float));
    in += cache->page_floats() * sizeof(float);
  }
}

template <class Each>
void Reference::each_state(int slot, Each each) {
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const auto n = static_cast<std::size_t>(program_->states[i].width);
    if (!states_[i].empty()) each(states_[i].data() + static_cast<std::size_t>(slot) * n, n);
  }
}

std::size_t Reference::state_bytes() const {
  std::size_t elements = 0;
  for (std::size_t i = 0; i < states_.size(); ++i)
    if (!states_[i].empty()) elements += static_cast<std::size_t>(program_->states[i].width);
  return elements * sizeof(double);
}

void Reference::copy_state(int from, int to) {
  each_state(from, [&](double* state, std::size_t n) {
    std::copy_n(state, n, state + (to - from) * static_cast<std::ptrdiff_t>(n));
  });
}

void Reference::read_state(int slot, std::byte* out) {
  each_state(slot, [&](const double* state, std::size_t n) {
    std::memcpy(out, state, n * sizeof(double));
    out += n * sizeof(double);
  });
}

void Reference::write_state(int slot, const std::byte* in) {
  each_state(slot, [&](double* state, std::size_t n) {
    std::memcpy(state, in, n * sizeof(double));
    in += n * sizeof(double);
  });
}

Matrix Reference::input(const Step& step, const Batch& batch) {
  const bool wanted = step.op == Op::logits;
  Matrix in(static_cast<std::size_t>(wanted ? batch.wanted() : batch.rows()),
            step.x_columns != 0 ? step.x_columns : static_cast<std::int64_t>(width(step.x)));
  for (std::size_t r = 0; r < in.rows(); ++r) {
    const auto from = wanted ? static_cast<std::size_t>(batch.wanted_row(static_cast<int>(r))) : r;
    std::copy_n(row(step.x, from) + step.x_column, in.width, in.row(r));
    oracle::normalise(*program_, step.norm, in.row(r), in.width);
  }
  return in;
}

void Reference::put(const Matrix& values, SlotId slot, std::size_t column) {
  for (std::size_t r = 0; r < values.rows(); ++r)
    std::transform(values.row(r), values.row(r) + values.width, row(slot, r) + column,
                   [](double x) { return static_cast<float>(x); });
}

void Reference::put_sum(const Step& step, Matrix& values) {
  for (std::size_t r = 0; r < values.rows(); ++r) {
    if (!step.post_last) oracle::normalise(*program_, step.post, values.row(r), values.width);
    for (std::size_t k = 0; k < values.width; ++k) {
      double& x = values.row(r)[k];
      if (step.mul != none) x *= row(step.mul, r)[k];
      x *= step.scale;
      if (step.add != none) x += row(step.add, r)[k];
      x *= step.out_scale;
    }
    if (step.post_last) oracle::normalise(*program_, step.post, values.row(r), values.width);
  }
  put(values, step.out, static_cast<std::size_t>(step.first_column));
}

void Reference::execute(std::size_t index, const Batch& batch) {
  const Step& step = program_->steps[index];
  switch (step.op) {
    case Op::embed:
      return embed(step, batch);
    case Op::qkv:
      return qkv(step, batch);
    case Op::index:
      return choose(index, batch);
    case Op::attend:
      return attend(index, batch);
    case Op::matmul:
      return matmul(step, batch);
    case Op::row:
      return rows(step, batch);
    case Op::gate_up:
      return gate_up(step, batch);
    case Op::heads:
      return heads(step, batch);
    case Op::route:
      return route(step, batch);
    case Op::experts_up:
      return experts_up(step, batch);
    case Op::experts_down:
      return experts_down(step, batch);
    case Op::conv:
      return conv(step, batch);
    case Op::shift:
      return shift(step, batch);
    case Op::scan:
      return scan(step, batch);
    case Op::logits:
      return logits(step, batch);
  }
}

void Reference::embed(const Step& step, const Batch& batch) {
  const auto add_row = [&](const Linear& linear, std::int64_t which, double scale, Matrix& out) {
    if (linear.weight == none) return;
    const Tensor& table = program_->tensor(linear.weight);
    std::vector<float> values(out.width);
    decode_row(table.type, table.row(which), table.columns(), values.data());
    for (std::size_t k = 0; k < out.width; ++k) out.values[k] += values[k] * scale;
  };
  for (int r = 0; r < batch.rows(); ++r) {
    Matrix out(1, static_cast<std::int64_t>(width(step.out)));
    add_row(step.linear[0], batch.token(r), step.scale, out);
    add_row(step.linear[1], batch.position(r), 1, out);
    add_row(step.linear[2], r >= batch.first_row_after(batch.sequence(r), program_->separator), 1, out);
    oracle::normalise(*program_, step.norm, out.row(0), out.width);
    std::copy(out.values.begin(), out.values.end(), row(step.out, static_cast<std::size_t>(r)));
  }
}

void Reference::qkv(const Step& step, const Batch& batch) {
  const Matrix in = input(step, batch);
  std::size_t column = 0;
  for (const Linear& linear : step.linear) {
    if (linear.weight == none) continue;
    Matrix out = oracle::product(*program_, linear, in);
    if (step.clamp > 0)
      for (double& x : out.values) x = std::clamp<double>(x, -step.clamp, step.clamp);
    put(out, step.out, column);
    column += out.width;
  }
}

void Reference::matmul(const Step& step, const Batch& batch) {
  Matrix out = oracle::product(*program_, step.linear[0], input(step, batch));
  for (double& x : out.values) x = oracle::activate(step.activation, x, step.xielu);
  put_sum(step, out);
}

void Reference::gate_up(const Step& step, const Batch& batch) {
  const Matrix in = input(step, batch);
  Matrix out = oracle::product(*program_, step.linear[0], in);
  const Matrix up = oracle::product(*program_, step.linear[1], in);
  for (std::size_t k = 0; k < out.values.size(); ++k)
    out.values[k] =
        oracle::gated(step.activation, out.values[k], up.values[k], static_cast<double>(step.clamp));
  put(out, step.out);
}

void Reference::rows(const Step& step, const Batch& batch) {
  for (int i = 0; i < batch.rows(); ++i) {
    const auto r = static_cast<std::size_t>(i);
    const auto of = [&](SlotId id) { return id == none ? nullptr : row(id, r); };
    row_work(*program_, step,
             {.x = of(step.x), .add = of(step.add), .mul = of(step.mul), .side = of(step.side)},
             row(step.out, r));
  }
}

void Reference::heads(const Step& step, const Batch& batch) {
  const auto count = static_cast<std::size_t>(step.heads);
  const Matrix in = input(step, batch);
  const std::size_t all = step.columns != 0 ? static_cast<std::size_t>(step.columns) : width(step.out);
  const std::size_t in_width = in.width / count, out_width = all / count;
  const auto columns = static_cast<std::size_t>(program_->tensor(step.linear[0].weight).columns());
  for (std::size_t h = 0; h < count; ++h) {
    Matrix part(in.rows(), static_cast<std::int64_t>(columns));
    Matrix rest(in.rows(), static_cast<std::int64_t>(in_width - columns));
    for (std::size_t r = 0; r < in.rows(); ++r) {
      const double* head = in.row(r) + h * in_width;
      std::copy_n(head, columns, part.row(r));
      std::copy(head + columns, head + in_width, rest.row(r));
    }
    const Matrix out =
        oracle::product(*program_, step.linear[0], part, static_cast<std::int64_t>(h), step.heads);
    const std::size_t at = static_cast<std::size_t>(step.first_column) + h * out_width;
    put(out, step.out, at);
    if (rest.width > 0) put(rest, step.out, at + out.width);
  }
}

void Reference::logits(const Step& step, const Batch& batch) {
  const Matrix in = input(step, batch);
  Matrix out = step.linear[0].weight == none ? in : oracle::product(*program_, step.linear[0], in);
  for (double& x : out.values) {
    x *= step.scale;
    if (step.softcap > 0) x = step.softcap * std::tanh(x / step.softcap);
  }
  put(out, step.out);
}

std::unique_ptr<Backend> make_reference() {
  return std::make_unique<Reference>();
}

}  // namespace rf
