#include "gpu/layout.h"

#include <algorithm>
#include <cstring>

#include "ops/attention.h"
#include "ops/rope.h"
#include "tensor/decode.h"

namespace rf::gpu {
namespace {

constexpr std::size_t piece = 256, page_unit = 4096;

std::size_t round_up(std::size_t n, std::size_t unit) {
  return (n + unit - 1) / unit * unit;
}

std::vector<float> decoded(const Tensor& tensor) {
  const auto columns = static_cast<std::size_t>(tensor.columns());
  std::vector<float> values(columns * static_cast<std::size_t>(tensor.rows()));
  for (std::int64_t r = 0; r < tensor.rows(); ++r)
    decode_row(tensor.type, tensor.row(r), tensor.columns(),
               values.data() + static_cast<std::size_t>(r) * columns);
  return values;
}

}  // namespace

Layout::Layout(const Program& program, std::span<const int> steps, const RunLimits& limits)
    : program_(&program),
      limits_(limits),
      matrix_of_(program.weights.size(), absent),
      vector_of_(program.weights.size(), absent),
      caches_(program.caches.size()),
      cache_at_(program.caches.size(), absent),
      slot_at_(program.slots.size(), absent),
      state_at_(program.states.size(), absent) {
  for (const int s : steps) {
    const Step& step = program.steps[static_cast<std::size_t>(s)];
    add_weights(step);
    if (step.op == Op::attend) add_attention(step.attention);
    add_state(step);
    measure(step);
    if (step.out == program.logits && !program.embedding) {
      const std::int64_t parts = (width(step.out) + best_block - 1) / best_block;
      best_parts_ = parts * best_count <= best_block ? static_cast<int>(parts) : 0;
    }
    slot_at_[static_cast<std::size_t>(step.out)] = 0;
    for (const SlotId slot : inputs(step))
      if (slot != none) slot_at_[static_cast<std::size_t>(slot)] = 0;
  }
  states_at_ = take(need_.cache, state_bytes_ * static_cast<std::size_t>(limits.state_slots));
  lay_out_activations();
}

std::size_t Layout::take(std::size_t& arena, std::size_t bytes) {
  const std::size_t at = arena;
  arena += round_up(bytes, piece);
  return at;
}

void Layout::add_matrix(WeightId id) {
  if (id == none || matrix_of_[static_cast<std::size_t>(id)] != absent) return;
  matrix_of_[static_cast<std::size_t>(id)] = tiles_.size();
  const TiledWeight layout = tiled(program_->tensor(id));
  tiles_.push_back({id, layout, take(need_.weights, layout.bytes())});
}

std::size_t Layout::add_values(WeightId id, std::vector<float> values) {
  const std::size_t at = take(need_.weights, values.size() * sizeof(float));
  vectors_.push_back({id, std::move(values), at});
  return vectors_.size() - 1;
}

void Layout::add_vector(WeightId id) {
  if (id == none || vector_of_[static_cast<std::size_t>(id)] != absent) return;
  vector_of_[static_cast<std::size_t>(id)] = add_values(id, decoded(program_->tensor(id)));
}

void Layout::add_weights(const Step& step) {
  for (int i = 0; i < linear_count(step.op); ++i) {
    // Those of row are small.
    step.op == Op::row ? add_vector(step.linear[i].weight) : add_matrix(step.linear[i].weight);
    add_vector(step.linear[i].bias);
    add_vector(step.linear[i].factors);
  }
  const Attention& a = step.attention;
  const Scan& s = step.scan;
  for (const Norm* norm :
       {&step.norm, &step.post, &a.q_norm, &a.k_norm, &a.v_norm, &s.norm, &s.key_norm, &s.query_norm}) {
    add_vector(norm->weight);
    add_vector(norm->bias);
  }
  for (const WeightId id : {step.routing.bias, step.routing.factors, a.sinks, step.conv.weight,
                            step.conv.bias, s.decay, s.bonus, s.step_bias, s.key_scale, s.key_mix})
    add_vector(id);
  for (const WeightId id : step.shift.mix) add_vector(id);
}

void Layout::add_state(const Step& step) {
  const StateId id = state_of(step);
  if (id == none) return;
  const auto width = static_cast<std::size_t>(program_->states[static_cast<std::size_t>(id)].width);
  state_at_[static_cast<std::size_t>(id)] = take(state_bytes_, width * sizeof(float));
}

void Layout::add_attention(const Attention& a) {
  if (a.rope.dims > 0 && std::ranges::find(ropes_, a.rope) == ropes_.end()) {
    std::vector<float> factors;
    if (a.rope.factors != none) factors = decoded(program_->tensor(a.rope.factors));
    ropes_.push_back(a.rope);
    frequencies_of_.push_back(
        add_values(none, rope_frequencies(a.rope, factors.empty() ? nullptr : factors.data())));
  }
  if (a.alibi > 0 && slopes(a) == nullptr) {
    std::vector<float> values;
    for (int h = 0; h < a.heads; ++h) values.push_back(static_cast<float>(alibi_slope(a, h)));
    slopes_.push_back({a.heads, a.alibi, add_values(none, std::move(values))});
  }
  const auto c = static_cast<std::size_t>(a.cache);
  if (cache_at_[c] != absent) return;
  const Cache& shape = program_->caches[c];
  caches_[c] = cache_view(static_cast<KvKind>(limits_.kv), shape.kv_heads, shape.key_dim, shape.value_dim,
                          shape.key_is_value, limits_.page_tokens);
  cache_at_[c] = take(need_.cache, caches_[c].page_bytes * static_cast<std::size_t>(limits_.cache_pages));
}

// The scratch that one step asks for.
void Layout::measure(const Step& step) {
  const auto rows = static_cast<std::size_t>(limits_.batch.rows),
             wanted = static_cast<std::size_t>(limits_.batch.wanted);
  // Few rows are laid out as if there were most of them.
  const auto at_least = [](std::size_t n) { return std::max<std::size_t>(n, matmul_few_rows); };
  const auto grow = [](std::size_t& size, std::size_t wants) { size = std::max(size, wants); };
  const auto used = static_cast<std::size_t>(std::max(step.routing.used, 1)),
             heads = static_cast<std::size_t>(std::max(step.heads, 1));
  const auto in = static_cast<std::size_t>(width(step.x)), out = static_cast<std::size_t>(width(step.out));
  switch (step.op) {
    case Op::embed:
    case Op::conv:
    case Op::scan:
    case Op::row:
      return;
    case Op::shift:
      return grow(temporary_, rows * in);
    case Op::attend: {
      const Attention& a = step.attention;
      const auto all = static_cast<std::size_t>(a.heads);
      grow(packed_columns_, round_up(out, 32));
      grow(queries_, rows * all * static_cast<std::size_t>(query_floats(a.key_dim)));
      grow(partials_, static_cast<std::size_t>(limits_.batch.sequences) * all *
                          static_cast<std::size_t>(max_chunks()) * static_cast<std::size_t>(a.value_dim + 2));
      grow(arrived_, static_cast<std::size_t>(limits_.batch.sequences) * all);
      return;
    }
    case Op::logits:
      return grow(packed_columns_, at_least(wanted) * round_up(in, 32));
    case Op::heads:
      return grow(packed_columns_, rows * heads * round_up(in / heads, 32));
    case Op::route:
      grow(packed_columns_, at_least(rows) * round_up(in, 32));
      grow(experts_, static_cast<std::size_t>(step.routing.experts));
      return grow(temporary_, rows * static_cast<std::size_t>(step.routing.experts));
    case Op::experts_up:
      grow(packed_columns_, rows * (step.routing.weigh_input ? used : 1) * round_up(in, 32));
      grow(pairs_, rows * used);
      grow(experts_, static_cast<std::size_t>(step.routing.experts));
      return grow(temporary_, rows * out);
    case Op::experts_down:
      grow(packed_columns_, rows * used * round_up(in / used, 32));
      grow(pairs_, rows * used);
      grow(experts_, static_cast<std::size_t>(step.routing.experts));
      return grow(temporary_, rows * used * out);
    default:
      grow(packed_columns_, at_least(rows) * round_up(in, 32));
      if (step.op == Op::gate_up || step.post.kind != Norm::Kind::off) grow(temporary_, rows * out);
  }
}

void Layout::lay_out_activations() {
  std::size_t& all = need_.activations;
  const auto rows = static_cast<std::size_t>(limits_.batch.rows);
  // Slots begin on pages and are whole pages, so that they can be read back that way.
  for (std::size_t s = 0; s < slot_at_.size(); ++s) {
    if (slot_at_[s] == absent) continue;
    slot_at_[s] = all;
    all += slot_bytes(static_cast<SlotId>(s));
  }
  if (best_parts_ > 0) {
    best_at_ = all;
    all += best_bytes();
    best_found_at_ =
        take(all, static_cast<std::size_t>(limits_.batch.wanted) * static_cast<std::size_t>(best_parts_) *
                      best_count * sizeof(std::uint64_t));
  }
  for (const Rope& rope : ropes_)
    rope_at_.push_back(take(all, rows * static_cast<std::size_t>(rope.dims) * sizeof(float)));
  packed_at_ = take(all, packed_columns_ > 0 ? packed_columns_ * 5 + packed_columns_ / 4 + 4 * piece : 0);
  for (std::size_t& at : temporary_at_) at = take(all, temporary_ * sizeof(float));
  queries_at_ = take(all, queries_ * sizeof(float));
  partials_at_ = take(all, partials_ * sizeof(float));
  arrived_at_ = take(all, arrived_bytes());
  order_at_ = take(all, pairs_ * sizeof(std::int32_t));
  starts_at_ = take(all, experts_ > 0 ? (experts_ + 1) * sizeof(std::int32_t) : 0);
  const auto sequences = static_cast<std::size_t>(limits_.batch.sequences);
  types_at_ = 8 + 3 * rows + static_cast<std::size_t>(limits_.batch.wanted) + 2 * sequences + 1 +
              sequences * static_cast<std::size_t>(limits_.batch.pages);
  batch_words_ = types_at_ + (program_->separator != none ? rows : 0);
  batch_at_ = take(all, batch_bytes());
}

// Codes, scales and sums, then values, of as many rows as there are columns for.
Packed Layout::packed(std::int64_t columns, bool quantised, bool kept, bool few) const {
  const Address codes = activations + packed_at_, scales = codes + round_up(packed_columns_, piece),
                sums = scales + round_up(packed_columns_ / 8, piece),
                values = sums + round_up(packed_columns_ / 8, piece);
  return {.codes = quantised ? at<std::int8_t>(codes) : nullptr,
          .scales = quantised ? at<float>(scales) : nullptr,
          .sums = quantised ? at<std::int32_t>(sums) : nullptr,
          .values = kept ? at<float>(values) : nullptr,
          .padded = static_cast<std::int32_t>((columns + 31) / 32 * 32),
          .row_stride = few ? 32 : static_cast<std::int32_t>((columns + 31) / 32 * 32),
          .block_stride = few ? 32 * matmul_few_rows : 32};
}

rf::gpu::Matrix Layout::matrix(const Linear& linear) const {
  const Tiles& tiles = tiles_[matrix_of_[static_cast<std::size_t>(linear.weight)]];
  const TiledWeight& t = tiles.tiled;
  Matrix m{};
  m.data = at<const std::uint8_t>(weights + tiles.at);
  m.bias = vector(linear.bias);
  m.factors = vector(linear.factors);
  m.tile_bytes = t.tile_bytes;
  for (std::size_t f = 0; f < 5; ++f) m.field_at[f] = static_cast<std::uint32_t>(t.field_at[f]);
  m.columns = static_cast<std::int32_t>(t.columns);
  m.rows = static_cast<std::int32_t>(t.rows / t.matrices);
  m.tiles = t.tiles_of_one();
  return m;
}

const float* Layout::vector(WeightId id) const {
  return id == none ? nullptr
                    : at<const float>(weights + vectors_[vector_of_[static_cast<std::size_t>(id)]].at);
}

NormView Layout::norm(const Norm& norm) const {
  return {.weight = vector(norm.weight),
          .bias = vector(norm.bias),
          .kind = static_cast<NormKind>(norm.kind),
          .eps = norm.eps};
}

float* Layout::slot(SlotId id) const {
  return id == none ? nullptr : at<float>(activations + slot_at_[static_cast<std::size_t>(id)]);
}

std::size_t Layout::slot_bytes(SlotId id) const {
  const Slot& slot = program_->slots[static_cast<std::size_t>(id)];
  const int rows = slot.wanted_rows ? limits_.batch.wanted : limits_.batch.rows;
  return round_up(static_cast<std::size_t>(slot.width) * static_cast<std::size_t>(rows) * sizeof(float),
                  page_unit);
}

std::size_t Layout::best_bytes() const {
  return round_up(static_cast<std::size_t>(limits_.batch.wanted) * best_count * sizeof(Best), page_unit);
}

CacheView Layout::cache_of(CacheId id) const {
  CacheView view = caches_[static_cast<std::size_t>(id)];
  view.data = at<std::uint8_t>(cache_at(id));
  return view;
}

StateView Layout::state(StateId id) const {
  return {.data = at<float>(state_slot(0) + state_at_[static_cast<std::size_t>(id)]),
          .slot_stride = static_cast<std::int64_t>(state_bytes_ / sizeof(float))};
}

std::size_t Layout::page_bytes() const {
  std::size_t bytes = 0;
  for (const CacheView& view : caches_) bytes += view.page_bytes;
  return bytes;
}

const float* Layout::frequencies(const Rope& rope) const {
  const auto i = static_cast<std::size_t>(std::ranges::find(ropes_, rope) - ropes_.begin());
  return at<const float>(weights + vectors_[frequencies_of_[i]].at);
}

float* Layout::rope_table(const Rope& rope) const {
  if (rope.dims == 0) return nullptr;
  const auto i = static_cast<std::size_t>(std::ranges::find(ropes_, rope) - ropes_.begin());
  return at<float>(activations + rope_at_[i]);
}

const float* Layout::slopes(const Attention& a) const {
  for (const Slopes& each : slopes_)
    if (each.heads == a.heads && each.alibi == a.alibi)
      return at<const float>(weights + vectors_[each.vector].at);
  return nullptr;
}

int Layout::max_chunks() const {
  const std::int64_t positions = std::int64_t{limits_.batch.pages} * limits_.page_tokens;
  return static_cast<int>((positions + attend_chunk - 1) / attend_chunk);
}

BatchView Layout::batch() const {
  const auto* block = at<const std::int32_t>(batch_at());
  BatchView view{};
  view.counts = block;
  view.tokens = block + 8;
  view.positions = view.tokens + limits_.batch.rows;
  view.sequences = view.positions + limits_.batch.rows;
  view.wanted = view.sequences + limits_.batch.rows;
  view.first_rows = view.wanted + limits_.batch.wanted;
  view.states = view.first_rows + limits_.batch.sequences + 1;
  view.pages = view.states + limits_.batch.sequences;
  view.page_stride = limits_.batch.pages;
  return view;
}

const std::int32_t* Layout::row_types() const {
  return program_->separator == none ? nullptr : at<const std::int32_t>(batch_at()) + types_at_;
}

void Layout::write_batch(const Batch& batch, std::int32_t* block) const {
  std::int32_t longest = 0;
  std::int32_t* tokens = block + 8;
  std::int32_t* positions = tokens + limits_.batch.rows;
  std::int32_t* sequences = positions + limits_.batch.rows;
  std::int32_t* wanted = sequences + limits_.batch.rows;
  std::int32_t* first_rows = wanted + limits_.batch.wanted;
  std::int32_t* states = first_rows + limits_.batch.sequences + 1;
  std::int32_t* pages = states + limits_.batch.sequences;
  std::int32_t* types = block + types_at_;
  for (int r = 0; r < batch.rows(); ++r) {
    tokens[r] = batch.token(r);
    positions[r] = batch.position(r);
    sequences[r] = batch.sequence(r);
    longest = std::max(longest, batch.position(r) + 1);
  }
  for (int i = 0; i < batch.wanted(); ++i) wanted[i] = batch.wanted_row(i);
  const auto stride = static_cast<std::size_t>(limits_.batch.pages);
  for (int s = 0; s < batch.sequences(); ++s) {
    first_rows[s] = batch.first_row(s);
    states[s] = batch.state(s);
    std::memcpy(pages + static_cast<std::size_t>(s) * stride, batch.pages(s), stride * sizeof *pages);
    if (program_->separator == none) continue;
    const int second = batch.first_row_after(s, program_->separator);
    for (int i = 0, r = first_rows[s]; i < batch.row_count(s); ++i, ++r) types[r] = r >= second;
  }
  first_rows[batch.sequences()] = batch.rows();
  const std::int32_t counts[8] = {batch.rows(), batch.wanted(), batch.sequences(), longest};
  std::memcpy(block, counts, sizeof counts);
}

}  // namespace rf::gpu
