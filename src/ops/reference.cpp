#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <numeric>

#include "base/clock.h"
#include "ops/backend.h"
#include "ops/reference_cache.h"
#include "ops/rope.h"
#include "tensor/decode.h"

namespace rf {
namespace {

// Rows of doubles, [rows, width].
struct Matrix {
  Matrix(std::size_t row_count, std::int64_t row_width)
      : width(static_cast<std::size_t>(row_width)), values(row_count * width) {}
  double* row(std::size_t r) { return values.data() + r * width; }
  const double* row(std::size_t r) const { return values.data() + r * width; }
  std::size_t rows() const { return values.size() / width; }

  std::size_t width;
  std::vector<double> values;
};

// An f32 vector of weights, or nullptr for none.
const float* floats(const Program& program, WeightId id) {
  return id == none ? nullptr : reinterpret_cast<const float*>(program.tensor(id).data);
}

void rms_norm(double* x, std::size_t n, const float* weight, float eps) {
  double squares = 0;
  for (std::size_t k = 0; k < n; ++k) squares += x[k] * x[k];
  const double scale = 1 / std::sqrt(squares / static_cast<double>(n) + eps);
  for (std::size_t k = 0; k < n; ++k) x[k] *= weight[k] * scale;
}

// W in + bias for every row of `in`.
Matrix product(const Program& program, const Linear& linear, const Matrix& in) {
  const Tensor& tensor = program.tensor(linear.weight);
  const float* bias = floats(program, linear.bias);
  Matrix out(in.rows(), tensor.rows());
  std::vector<float> weights(in.width);
  for (std::int64_t o = 0; o < tensor.rows(); ++o) {
    decode_row(tensor.type, tensor.row(o), tensor.columns(), weights.data());
    for (std::size_t r = 0; r < in.rows(); ++r) {
      const double start = bias == nullptr ? 0.0 : bias[o];
      out.row(r)[o] = std::inner_product(weights.begin(), weights.end(), in.row(r), start);
    }
  }
  return out;
}

double activate(Activation activation, double x) {
  if (activation == Activation::silu) return x / (1 + std::exp(-x));
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

void rotate(const Rope& rope, const std::vector<float>& frequencies, int position, double* head) {
  const int half = rope.dims / 2;
  for (int i = 0; i < half; ++i) {
    const double angle = static_cast<double>(position) * frequencies[static_cast<std::size_t>(i)];
    const double c = std::cos(angle) * rope.magnitude, s = std::sin(angle) * rope.magnitude;
    double& a = head[rope.pairs == Rope::Pairs::adjacent ? 2 * i : i];
    double& b = head[rope.pairs == Rope::Pairs::adjacent ? 2 * i + 1 : i + half];
    const double turned = a * c - b * s;
    b = a * s + b * c;
    a = turned;
  }
}

// Replaces scores by their softmax.
void softmax(std::vector<double>& scores) {
  const double largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - largest);
  for (double& score : scores) score /= sum;
}

class Reference : public Backend {
 public:
  std::string name() const override { return "reference"; }
  bool can(const Program&, const Step&, std::string*) const override { return true; }
  MemoryNeed need(const Program& program, std::span<const int> steps, const RunLimits& limits) const override;
  void load(const Program& program, std::span<const int> steps, const RunLimits& limits,
            void (*progress)(void*, std::size_t, std::size_t), void* context) override;
  std::unique_ptr<Run> prepare(int first, int last) override;
  void run(Run& run, const Batch& batch, std::span<Stat> stats) override;
  void read(SlotId slot, int rows, float* out) override;
  void write(SlotId slot, int rows, const float* in) override;
  const float* host(SlotId slot) const override { return slots_[static_cast<std::size_t>(slot)].data(); }
  std::size_t page_bytes() const override;
  void read_page(int page, std::byte* out) override;
  void write_page(int page, const std::byte* in) override;

 private:
  struct Range : Run {
    Range(int first_step, int last_step) : first(first_step), last(last_step) {}
    int first, last;
  };

  float* row(SlotId slot, std::size_t r) {
    return slots_[static_cast<std::size_t>(slot)].data() + r * width(slot);
  }
  std::size_t width(SlotId slot) const {
    return static_cast<std::size_t>(program_->slots[static_cast<std::size_t>(slot)].width);
  }
  ReferenceCache& pages(CacheId cache) { return *caches_[static_cast<std::size_t>(cache)]; }

  Matrix input(const Step& step, const Batch& batch);
  void put(const Matrix& values, SlotId slot, std::size_t column = 0);

  void execute(std::size_t index, const Batch& batch);
  void embed(const Step& step, const Batch& batch);
  void qkv(const Step& step, const Batch& batch);
  void matmul(const Step& step, const Batch& batch);
  void gate_up(const Step& step, const Batch& batch);
  void attend(std::size_t index, const Batch& batch);
  void attend_head(const Attention& a, const double* query, int kv_head, const std::int32_t* table,
                   int position, float* out);

  const Program* program_ = nullptr;
  RunLimits limits_;
  std::vector<std::vector<float>> slots_;                // those that the loaded steps touch
  std::vector<std::unique_ptr<ReferenceCache>> caches_;  // those of the loaded steps, others null
  std::vector<std::vector<float>> frequencies_;          // of each attend step, else empty
};

// Which slots and caches a set of steps uses.
struct Used {
  Used(const Program& program, std::span<const int> steps)
      : slots(program.slots.size()), caches(program.caches.size()) {
    for (const int index : steps) {
      const Step& step = program.steps[static_cast<std::size_t>(index)];
      for (const SlotId slot : {step.x, step.add, step.out})
        if (slot != none) slots[static_cast<std::size_t>(slot)] = true;
      if (step.op == Op::attend) caches[static_cast<std::size_t>(step.attention.cache)] = true;
    }
  }
  std::vector<bool> slots, caches;
};

std::size_t slot_floats(const Slot& slot, const RunLimits& limits) {
  const int rows = slot.wanted_rows ? limits.batch.wanted : limits.batch.rows;
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(slot.width);
}

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
                    static_cast<std::size_t>(cache.key_dim + cache.value_dim) * sizeof(float);
  }
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
    const Cost cost =
        cost_of(*program_, program_->steps[i], batch.rows(), batch.wanted(), batch.context(), sizeof(float));
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

// The step's input rows (of logits: the wanted ones), normalised.
Matrix Reference::input(const Step& step, const Batch& batch) {
  const bool wanted = step.op == Op::logits;
  const float* weight = floats(*program_, step.norm.weight);
  Matrix in(static_cast<std::size_t>(wanted ? batch.wanted() : batch.rows()),
            static_cast<std::int64_t>(width(step.x)));
  for (std::size_t r = 0; r < in.rows(); ++r) {
    const auto from = wanted ? static_cast<std::size_t>(batch.wanted_row(static_cast<int>(r))) : r;
    std::copy_n(row(step.x, from), in.width, in.row(r));
    if (weight != nullptr) rms_norm(in.row(r), in.width, weight, step.norm.eps);
  }
  return in;
}

// Rounds to f32 into the slot's rows, from `column` on.
void Reference::put(const Matrix& values, SlotId slot, std::size_t column) {
  for (std::size_t r = 0; r < values.rows(); ++r)
    std::transform(values.row(r), values.row(r) + values.width, row(slot, r) + column,
                   [](double x) { return static_cast<float>(x); });
}

void Reference::execute(std::size_t index, const Batch& batch) {
  const Step& step = program_->steps[index];
  switch (step.op) {
    case Op::embed:
      return embed(step, batch);
    case Op::qkv:
      return qkv(step, batch);
    case Op::attend:
      return attend(index, batch);
    case Op::matmul:
    case Op::logits:
      return matmul(step, batch);
    case Op::gate_up:
      return gate_up(step, batch);
  }
}

void Reference::embed(const Step& step, const Batch& batch) {
  const Tensor& table = program_->tensor(step.linear[0].weight);
  for (int r = 0; r < batch.rows(); ++r) {
    float* out = row(step.out, static_cast<std::size_t>(r));
    decode_row(table.type, table.row(batch.token(r)), table.columns(), out);
    for (std::size_t k = 0; k < width(step.out); ++k) out[k] *= step.scale;
  }
}

void Reference::qkv(const Step& step, const Batch& batch) {
  const Matrix in = input(step, batch);
  std::size_t column = 0;
  for (const Linear& linear : step.linear) {
    const Matrix out = product(*program_, linear, in);
    put(out, step.out, column);
    column += out.width;
  }
}

void Reference::matmul(const Step& step, const Batch& batch) {
  Matrix out = product(*program_, step.linear[0], input(step, batch));
  if (step.add != none)
    for (std::size_t r = 0; r < out.rows(); ++r)
      for (std::size_t k = 0; k < out.width; ++k) out.row(r)[k] += row(step.add, r)[k];
  put(out, step.out);
}

void Reference::gate_up(const Step& step, const Batch& batch) {
  const Matrix in = input(step, batch);
  Matrix out = product(*program_, step.linear[0], in);
  const Matrix up = product(*program_, step.linear[1], in);
  for (std::size_t k = 0; k < out.values.size(); ++k)
    out.values[k] = activate(step.activation, out.values[k]) * up.values[k];
  put(out, step.out);
}

void Reference::attend(std::size_t index, const Batch& batch) {
  const Step& step = program_->steps[index];
  const Attention& a = step.attention;
  const auto key_dim = static_cast<std::size_t>(a.key_dim);
  const int turned = a.heads + a.kv_heads;  // heads that are normed and rotated: queries, then keys
  for (int r = 0; r < batch.rows(); ++r) {
    const float* in = row(step.x, static_cast<std::size_t>(r));
    const std::int32_t* table = batch.pages(batch.sequence(r));
    Matrix heads(static_cast<std::size_t>(turned), a.key_dim);
    std::copy_n(in, heads.values.size(), heads.values.begin());
    for (int h = 0; h < turned; ++h) {
      double* head = heads.row(static_cast<std::size_t>(h));
      const float* weight = floats(*program_, h < a.heads ? a.q_norm : a.k_norm);
      if (weight != nullptr) rms_norm(head, key_dim, weight, a.norm_eps);
      rotate(a.rope, frequencies_[index], batch.position(r), head);
    }
    const std::vector<float> keys(heads.row(static_cast<std::size_t>(a.heads)),
                                  heads.values.data() + heads.values.size());
    pages(a.cache).store(table, batch.position(r), keys.data(), in + heads.values.size());
    for (int h = 0; h < a.heads; ++h)
      attend_head(a, heads.row(static_cast<std::size_t>(h)), h / (a.heads / a.kv_heads), table,
                  batch.position(r), row(step.out, static_cast<std::size_t>(r)) + h * a.value_dim);
  }
}

void Reference::attend_head(const Attention& a, const double* query, int kv_head, const std::int32_t* table,
                            int position, float* out) {
  const int first = a.window > 0 ? std::max(0, position - a.window + 1) : 0;
  ReferenceCache& cache = pages(a.cache);
  std::vector<double> scores;
  for (int p = first; p <= position; ++p) {
    const float* key = cache.at(table, p) + kv_head * a.key_dim;
    scores.push_back(a.scale * std::inner_product(key, key + a.key_dim, query, 0.0));
  }
  softmax(scores);
  for (int d = 0; d < a.value_dim; ++d) {
    double sum = 0;
    for (int p = first; p <= position; ++p)
      sum += scores[static_cast<std::size_t>(p - first)] *
             cache.at(table, p)[a.kv_heads * a.key_dim + kv_head * a.value_dim + d];
    out[d] = static_cast<float>(sum);
  }
}

}  // namespace

std::unique_ptr<Backend> make_reference() {
  return std::make_unique<Reference>();
}

}  // namespace rf
