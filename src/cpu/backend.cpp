// The CPU back end: weights in tiles, one team that walks the steps of a run with barriers between them.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/team.h"
#include "cpu/cpu.h"
#include "cpu/isa.h"
#include "cpu/memory.h"
#include "cpu/work.h"
#include "ops/rope.h"
#include "tensor/decode.h"

namespace rf {
namespace {

struct CpuRun : Run {
  CpuRun(int first_step, int last_step) : first(first_step), last(last_step) {}
  int first, last;
};

// How many of step.linear are kept in tiles; an embedding table is only looked up.
int multiplied_count(const Step& step) {
  return step.op == Op::embed || step.op == Op::row ? 0 : linear_count(step.op);
}

class Cpu : public Backend {
 public:
  explicit Cpu(const CpuOptions& options)
      : kernels_(choose_kernels(options.isa)),
        team_(options.threads > 0 ? options.threads : default_threads()),
        compact_(options.compact) {}

  std::string name() const override { return std::string("cpu/") + kernels_.name; }
  bool can(const Program& program, const Step& step, std::string* why) const override;
  MemoryNeed need(const Program& program, std::span<const int> steps,
                  const RunLimits& limits) const override {
    return need_in(room_for(program, steps, limits), program, steps, limits);
  }
  void load(const Program& program, std::span<const int> steps, const RunLimits& limits,
            void (*progress)(void*, std::size_t, std::size_t), void* context) override;
  double measure_bandwidth() override { return measure_read_bandwidth(team_.size()); }
  std::unique_ptr<Run> prepare(int first, int last) override { return std::make_unique<CpuRun>(first, last); }
  void run(Run& run, const Batch& batch, std::span<Stat> stats) override;

  void read(SlotId slot, int rows, float* out) override {
    std::memcpy(out, slot_data(slot), slot_bytes(slot, rows));
  }
  void write(SlotId slot, int rows, const float* in) override {
    std::memcpy(slot_data(slot), in, slot_bytes(slot, rows));
  }
  const float* host(SlotId slot) const override { return work_->slots[static_cast<std::size_t>(slot)]; }

  std::size_t page_bytes() const override {
    std::size_t total = 0;
    for (const CacheLayout& layout : work_->layouts) total += layout.page_bytes;
    return total;
  }
  void read_page(int page, std::byte* out) override {
    each_page(page, [&](std::byte* at, std::size_t bytes) { std::memcpy(out, at, bytes), out += bytes; });
  }
  void write_page(int page, const std::byte* in) override {
    each_page(page, [&](std::byte* at, std::size_t bytes) { std::memcpy(at, in, bytes), in += bytes; });
  }

  std::size_t state_bytes() const override {
    std::size_t floats = 0;
    for (const std::size_t width : work_->state_widths) floats += width;
    return floats * sizeof(float);
  }
  void copy_state(int from, int to) override {
    each_state(from, [&](float* state, std::size_t n) {
      std::memcpy(state + (to - from) * static_cast<std::ptrdiff_t>(n), state, n * sizeof(float));
    });
  }
  void read_state(int slot, std::byte* out) override {
    each_state(slot, [&](const float* state, std::size_t n) {
      std::memcpy(out, state, n * sizeof(float));
      out += n * sizeof(float);
    });
  }
  void write_state(int slot, const std::byte* in) override {
    each_state(slot, [&](float* state, std::size_t n) {
      std::memcpy(state, in, n * sizeof(float));
      in += n * sizeof(float);
    });
  }

 private:
  float* slot_data(SlotId slot) { return work_->slots[static_cast<std::size_t>(slot)]; }
  std::size_t slot_bytes(SlotId slot, int rows) const {
    return sizeof(float) * static_cast<std::size_t>(program_->slots[static_cast<std::size_t>(slot)].width) *
           static_cast<std::size_t>(rows);
  }
  template <class Each>
  void each_page(int page, Each each) {
    for (std::size_t c = 0; c < work_->layouts.size(); ++c)
      if (const std::size_t bytes = work_->layouts[c].page_bytes; bytes > 0)
        each(work_->caches[c] + static_cast<std::size_t>(page) * bytes, bytes);
  }
  template <class Each>
  void each_state(int slot, Each each) {
    for (std::size_t i = 0; i < work_->states.size(); ++i)
      if (const std::size_t n = work_->state_widths[i]; n > 0)
        each(work_->states[i] + static_cast<std::size_t>(slot) * n, n);
  }
  MemoryNeed need_in(Room room, const Program& program, std::span<const int> steps,
                     const RunLimits& limits) const;
  Room room_for(const Program& program, std::span<const int> steps, const RunLimits& limits) const;
  void take_weights(const std::vector<WeightId>& wanted, Room room,
                    void (*progress)(void*, std::size_t, std::size_t), void*);
  void lay_out_activations(std::span<const int> steps, const RunLimits& limits, Room room);

  const Kernels& kernels_;
  Team team_;
  bool compact_;
  const Program* program_ = nullptr;
  KvType kv_ = KvType::f16;
  Arena weights_, cache_, activations_;
  std::optional<Work> work_;
};

bool Cpu::can(const Program& program, const Step& step, std::string* why) const {
  for (int i = 0; i < multiplied_count(step); ++i) {
    if (step.linear[i].weight == none) continue;
    const Weight& weight = program.weights[static_cast<std::size_t>(step.linear[i].weight)];
    if (can_tile(weight.tensor.type)) continue;
    if (why != nullptr)
      *why = fmt::format("{}: no CPU kernel for {}", weight.name, type_info(weight.tensor.type).name);
    return false;
  }
  if (step.op == Op::conv && step.conv.kernel > max_kernel) {
    if (why != nullptr) *why = fmt::format("a convolution over more than {} rows", max_kernel);
    return false;
  }
  const int value_dim = step.scan.kind == Scan::Kind::mamba ? 1 : step.scan.value_dim;
  if (step.op == Op::scan && std::max(step.scan.key_dim, value_dim) > max_scan_dim) {
    if (why != nullptr) *why = fmt::format("a recurrence with heads of more than {}", max_scan_dim);
    return false;
  }
  return true;
}

void add_multiplied(const Step& step, std::vector<WeightId>& ids) {
  for (int i = 0; i < multiplied_count(step); ++i)
    if (step.linear[i].weight != none) ids.push_back(step.linear[i].weight);
}

// Weights that are kept in tiles, once each: matrices, and what has a row for each channel.
std::vector<WeightId> tiled_weights(const Program& program, std::span<const int> steps) {
  std::vector<WeightId> ids;
  for (const int s : steps) {
    const Step& step = program.steps[static_cast<std::size_t>(s)];
    add_multiplied(step, ids);
    if (step.op == Op::conv) ids.push_back(step.conv.weight);
    if (step.op == Op::scan && step.scan.kind == Scan::Kind::mamba) ids.push_back(step.scan.decay);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::vector<CacheLayout> cache_layouts(const Program& program, std::span<const int> steps,
                                       const RunLimits& limits) {
  std::vector<CacheLayout> layouts(program.caches.size());
  for (const int s : steps) {
    const Step& step = program.steps[static_cast<std::size_t>(s)];
    if (cache_of(step) == none) continue;
    const auto c = static_cast<std::size_t>(cache_of(step));
    layouts[c] = CacheLayout(program.caches[c], limits.kv, limits.page_tokens);
  }
  return layouts;
}

// Of chosen positions, a chunk of which is attended to like a page of one KV head.
CacheLayout gathered_layout(Cache cache, const RunLimits& limits) {
  cache.kv_heads = 1;
  return CacheLayout(cache, limits.kv, attention_chunk);
}

// Floats of one slot of each state, 0 for those of other steps.
std::vector<std::size_t> state_widths(const Program& program, std::span<const int> steps) {
  std::vector<std::size_t> widths(program.states.size());
  for (const int s : steps) {
    const Step& step = program.steps[static_cast<std::size_t>(s)];
    const StateId id = state_of(step);
    if (id == none) continue;
    const auto width = static_cast<std::size_t>(program.states[static_cast<std::size_t>(id)].width);
    widths[static_cast<std::size_t>(id)] = step.op == Op::shift ? width : state_floats(step);
  }
  return widths;
}

std::size_t state_size(std::size_t width, const RunLimits& limits) {
  return aligned(sizeof(float) * width * static_cast<std::size_t>(limits.state_slots));
}

std::int64_t slot_rows(const Slot& slot, const RunLimits& limits) {
  return slot.wanted_rows ? limits.batch.wanted : limits.batch.rows;
}

// What one step that multiplies or embeds asks for.
void add_step(const Program& program, const Step& step, Room room, BufferSizes& need) {
  const auto rows = static_cast<std::size_t>(need.rows);
  const auto width = [&](SlotId slot) {
    return static_cast<std::size_t>(program.slots[static_cast<std::size_t>(slot)].width);
  };
  if (step.op == Op::embed) {
    for (const Linear& table : step.linear)
      if (table.weight != none) {
        const TiledWeight stored = tiled(program.tensor(table.weight), room);
        need.embedding_row = std::max(need.embedding_row, row_bytes(stored.type, stored.columns));
      }
    if (step.linear[1].weight != none || step.linear[2].weight != none)
      need.embedding = std::max(need.embedding, width(step.out));
    return;
  }
  if (step.op == Op::shift)
    need.temporary =
        std::max(need.temporary, (rows + static_cast<std::size_t>(need.sequences)) * width(step.x));
  if (step.op == Op::scan && step.scan.kind == Scan::Kind::mamba)
    need.temporary = std::max(need.temporary, rows * 2 * static_cast<std::size_t>(step.scan.key_dim));
  if (multiplied_count(step) == 0 || step.linear[0].weight == none) return;
  const Tensor& first = program.tensor(step.linear[0].weight);
  const auto used = static_cast<std::size_t>(std::max(step.routing.used, 1));
  const bool routed = step.op == Op::experts_up || step.op == Op::experts_down;
  const std::size_t packed = rows * (routed                 ? used
                                     : step.op == Op::heads ? static_cast<std::size_t>(step.heads)
                                                            : 1);
  need.cells = std::max(need.cells, static_cast<std::size_t>((first.columns() + 31) / 32) * packed);
  std::size_t temporary = 0;
  if (step.op == Op::route) temporary = rows * static_cast<std::size_t>(step.routing.experts);
  if (step.op == Op::matmul && step.post.kind != Norm::Kind::off)
    temporary = rows * static_cast<std::size_t>(first.rows());
  if (step.op == Op::experts_up && step.routing.weigh_input) temporary = packed * width(step.x);
  if (step.op == Op::experts_down) temporary = packed * width(step.out);
  need.temporary = std::max(need.temporary, temporary);
}

// What steps share: packed rows, partial attention results, and each member's scratch.
BufferSizes buffer_sizes(const Program& program, std::span<const int> steps, const RunLimits& limits,
                         const Kernels& kernels, Room room) {
  BufferSizes need;
  need.rows = limits.batch.rows;
  need.sequences = limits.batch.sequences;
  std::vector<WeightId> matrices;
  for (const int s : steps) add_multiplied(program.steps[static_cast<std::size_t>(s)], matrices);
  for (const WeightId id : matrices) {
    const TiledWeight layout = tiled(program.tensor(id), room);
    need.widest = std::max(need.widest, layout.columns);
    (type_info(layout.type).block_elements > 1 ? need.quantised : need.kept) = true;
    need.tile_scratch = std::max(need.tile_scratch, kernels.scratch_bytes(layout));
  }
  const auto positions =
      static_cast<std::size_t>(limits.batch.pages) * static_cast<std::size_t>(limits.page_tokens);
  need.chunks = static_cast<int>((positions + attention_chunk - 1) / attention_chunk);
  for (const int s : steps) {
    const Step& step = program.steps[static_cast<std::size_t>(s)];
    add_step(program, step, room, need);
    if (step.op == Op::index) {
      need.choosing = true;
      const auto at_once = static_cast<std::size_t>(std::max(Work::choosing_at_once, step.selection.groups));
      need.temporary = std::max(need.temporary, at_once * need.scores());
    }
    if (step.op != Op::attend) continue;
    if (step.side != none) {
      const Cache& cache = program.caches[static_cast<std::size_t>(step.attention.cache)];
      need.gathered = std::max(need.gathered, gathered_layout(cache, limits).page_bytes);
    }
    need.value_padded = std::max(need.value_padded, (step.attention.value_dim + 15) / 16 * 16);
    need.heads = std::max(need.heads, step.attention.heads);
  }
  return need;
}

MemoryNeed Cpu::need_in(Room room, const Program& program, std::span<const int> steps,
                        const RunLimits& limits) const {
  MemoryNeed need;
  for (const WeightId id : tiled_weights(program, steps))
    need.weights += aligned(tiled(program.tensor(id), room).bytes());
  for (const CacheLayout& layout : cache_layouts(program, steps, limits))
    need.cache += layout.page_bytes * static_cast<std::size_t>(limits.cache_pages);
  for (const std::size_t width : state_widths(program, steps)) need.cache += state_size(width, limits);
  for (const Slot& slot : program.slots)
    need.activations +=
        aligned(sizeof(float) * static_cast<std::size_t>(slot.width * slot_rows(slot, limits)));
  need.activations += buffer_sizes(program, steps, limits, kernels_, room).total(team_.size());
  return need;
}

// Spread where all fits in memory so.
Room Cpu::room_for(const Program& program, std::span<const int> steps, const RunLimits& limits) const {
  if (compact_) return Room::file;
  const Memory memory = machine_memory();
  const bool fits =
      memory.available == 0 || need_in(Room::spread, program, steps, limits).total() <= memory.available;
  return fits ? Room::spread : Room::file;
}

void Cpu::load(const Program& program, std::span<const int> steps, const RunLimits& limits,
               void (*progress)(void*, std::size_t, std::size_t), void* context) {
  program_ = &program;
  kv_ = limits.kv;
  work_.emplace();
  work_->program = &program;
  work_->kernels = &kernels_;
  work_->team = &team_;
  work_->weights.resize(program.weights.size());
  work_->slots.resize(program.slots.size());
  work_->layouts = cache_layouts(program, steps, limits);
  for (const Cache& cache : program.caches) work_->gathered_layouts.push_back(gathered_layout(cache, limits));
  work_->state_widths = state_widths(program, steps);

  const Room room = room_for(program, steps, limits);
  const MemoryNeed total = need_in(room, program, steps, limits);
  if (const Memory memory = machine_memory(); memory.available > 0 && total.total() > memory.available)
    fail(
        "not enough memory: {} MB wanted (weights {}, cache {}, activations {}), {} MB available; "
        "a shorter context, a smaller cache type or a smaller model would fit",
        total.total() >> 20, total.weights >> 20, total.cache >> 20, total.activations >> 20,
        memory.available >> 20);
  weights_ = Arena(total.weights);
  cache_ = Arena(total.cache);
  activations_ = Arena(total.activations);
  std::size_t at = 0;
  for (const CacheLayout& layout : work_->layouts) {
    work_->caches.push_back(cache_.data() + at);
    at += layout.page_bytes * static_cast<std::size_t>(limits.cache_pages);
  }
  for (const std::size_t width : work_->state_widths) {
    work_->states.push_back(reinterpret_cast<float*>(cache_.data() + at));
    at += state_size(width, limits);
  }
  lay_out_activations(steps, limits, room);
  take_weights(tiled_weights(program, steps), room, progress, context);
}

void Cpu::lay_out_activations(std::span<const int> steps, const RunLimits& limits, Room room) {
  std::byte* at = activations_.data();
  const auto take = [&at](std::size_t bytes) {
    std::byte* block = at;
    at += aligned(bytes);
    return block;
  };
  for (std::size_t s = 0; s < program_->slots.size(); ++s) {
    const Slot& slot = program_->slots[s];
    work_->slots[s] = reinterpret_cast<float*>(
        take(sizeof(float) * static_cast<std::size_t>(slot.width * slot_rows(slot, limits))));
  }
  work_->lay_out(buffer_sizes(*program_, steps, limits, kernels_, room), at);
  for (const int s : steps) {
    const Step& step = program_->steps[static_cast<std::size_t>(s)];
    if (cache_of(step) != none) work_->add_rope(step.attention.rope, limits.batch.rows);
  }
}

void Cpu::take_weights(const std::vector<WeightId>& wanted, Room room,
                       void (*progress)(void*, std::size_t, std::size_t), void* context) {
  std::size_t at = 0, done = 0;
  for (const WeightId id : wanted) {
    const Tensor& tensor = program_->tensor(id);
    TiledWeight weight = tiled(tensor, room);
    std::uint8_t* to = reinterpret_cast<std::uint8_t*>(weights_.data()) + at;
    weight.data = to;
    std::atomic<int> next{0};
    constexpr int piece = 8;
    team_.run([&](int) {
      for (int t = next.fetch_add(piece); t < weight.tiles(); t = next.fetch_add(piece)) {
        const int last = std::min(t + piece, weight.tiles());
        for (int i = t; i < last; ++i)
          write_tile(tensor, weight, i, to + static_cast<std::size_t>(i) * weight.tile_bytes);
        const std::int64_t first_row = weight.first_row(t),
                           end = weight.first_row(last - 1) + weight.rows_in(last - 1);
        tensor.release(first_row, end);
      }
    });
    // Reading a piece maps pages around it, those of pieces already let go among them.
    tensor.release(0, tensor.rows());
    work_->weights[static_cast<std::size_t>(id)] = weight;
    at += aligned(weight.bytes());
    done += weight.bytes();
    if (progress != nullptr) progress(context, done, weights_.size());
  }
}

void Cpu::run(Run& run, const Batch& batch, std::span<Stat> stats) {
  const auto& range = dynamic_cast<const CpuRun&>(run);
  work_->batch = &batch;
  work_->prepare_ropes(batch);
  std::vector<std::int64_t> times(stats.empty() ? 0 : static_cast<std::size_t>(range.last - range.first) + 1);
  team_.run([&](int member) {
    if (member == 0 && !times.empty()) times[0] = now_ns();
    for (int s = range.first; s < range.last; ++s) {
      work_->run_step(program_->steps[static_cast<std::size_t>(s)], member);
      team_.barrier([this] { work_->restart(); });
      if (member == 0 && !times.empty()) times[static_cast<std::size_t>(s - range.first) + 1] = now_ns();
    }
  });
  for (std::size_t i = 1; i < times.size(); ++i) {
    Stat& stat = stats[static_cast<std::size_t>(range.first) + i - 1];
    const Cost cost =
        cost_of(*program_, program_->steps[static_cast<std::size_t>(range.first) + i - 1], batch.rows(),
                batch.wanted(), batch.context(), kv_element_bytes(kv_), batch.sequences());
    ++stat.calls;
    stat.ns += times[i] - times[i - 1];
    stat.bytes += cost.bytes;
    stat.flops += cost.flops;
  }
}

}  // namespace

std::unique_ptr<Backend> make_cpu(const CpuOptions& options) {
  return std::make_unique<Cpu>(options);
}

}  // namespace rf
