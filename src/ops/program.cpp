#include "ops/program.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "tensor/decode.h"

namespace rf {
namespace {

// How many of Step::linear each op uses, and whether it reads a slot.
struct Form {
  const char* name;
  int linears;
  bool input;  // reads a slot
};

constexpr std::array<Form, 14> forms{{
    {"embed", 3, false},
    {"qkv", 3, true},
    {"attend", 0, true},
    {"matmul", 1, true},
    {"row", 3, true},
    {"gate_up", 2, true},
    {"heads", 1, true},
    {"route", 1, true},
    {"experts_up", 2, true},
    {"experts_down", 1, true},
    {"conv", 0, true},
    {"shift", 0, true},
    {"scan", 0, true},
    {"logits", 1, true},
}};  // in Op's order

const Form& form_of(Op op) {
  return forms[static_cast<std::size_t>(op)];
}

// Checks one step; `written` says which slots earlier steps have filled.
class Checker {
 public:
  Checker(const Program& program, std::size_t index)
      : program_(program), step_(program.steps[index]), form_(form_of(step_.op)) {
    where_ = fmt::format("step {} ({}", index, form_.name);
    where_ += step_.layer == none ? ")" : fmt::format(", layer {})", step_.layer);
  }

  void run(std::vector<bool>& written) const {
    slots(written);
    if (step_.activation == Activation::xielu && step_.op != Op::matmul)
      fail("{}: its activation is xIELU, which follows a product alone", where_);
    switch (step_.op) {
      case Op::embed:
        embed();
        break;
      case Op::qkv:
        norm(step_.norm, width(step_.x));
        rows_equal_output(linear(0, step_.x) + optional_linear(1) + optional_linear(2));
        break;
      case Op::attend:
        attention();
        break;
      case Op::matmul:
        matmul();
        break;
      case Op::row:
        row();
        break;
      case Op::gate_up:
        norm(step_.norm, width(step_.x));
        linear(0, step_.x, width(step_.out));
        linear(1, step_.x, width(step_.out));
        break;
      case Op::heads:
        heads();
        break;
      case Op::route:
      case Op::experts_up:
      case Op::experts_down:
        experts();
        break;
      case Op::conv:
        conv();
        break;
      case Op::shift:
        shift();
        break;
      case Op::scan:
        scan();
        break;
      case Op::logits:
        norm(step_.norm, width(step_.x));
        if (step_.linear[0].weight != none) linear(0, step_.x, program_.vocab);
        rows_equal_output(step_.linear[0].weight != none ? program_.vocab : width(step_.x));
        break;
    }
    written[static_cast<std::size_t>(step_.out)] = true;
  }

 private:
  std::int64_t written_width() const {
    if (step_.columns == 0) return width(step_.out);
    if (step_.add != none || step_.mul != none || step_.first_column < 0 ||
        step_.first_column + step_.columns > width(step_.out))
      fail("{}: it writes {} columns from {} on of a slot of width {}", where_, step_.columns,
           step_.first_column, width(step_.out));
    return step_.columns;
  }
  const Slot& slot(SlotId id) const { return program_.slots[static_cast<std::size_t>(id)]; }
  std::int64_t width(SlotId id) const { return slot(id).width; }

  void slots(const std::vector<bool>& written) const {
    const auto bad = [&](SlotId id) { return id < 0 || static_cast<std::size_t>(id) >= written.size(); };
    const auto readable = [&](SlotId id, const char* role) {
      if (bad(id)) fail("{}: its {} slot is {}, of {} slots", where_, role, id, written.size());
      if (!written[static_cast<std::size_t>(id)])
        fail("{}: its {} slot {} is read before any step writes it", where_, role, id);
      if (slot(id).wanted_rows) fail("{}: its {} slot {} holds the wanted rows only", where_, role, id);
    };
    if (form_.input) readable(step_.x, "input");
    if (bad(step_.out)) fail("{}: its output slot is {}, of {} slots", where_, step_.out, written.size());
    if (form_.input && step_.out == step_.x) fail("{}: it writes its input slot {}", where_, step_.x);
    if (slot(step_.out).wanted_rows != (step_.op == Op::logits))
      fail("{}: only logits has an output slot of the wanted rows", where_);
    const bool routed = step_.op == Op::experts_up || step_.op == Op::experts_down;
    if (routed) {
      readable(step_.routes, "routes");
      if (width(step_.routes) != 2 * std::int64_t{step_.routing.used})
        fail("{}: its routes have width {}, expected {}", where_, width(step_.routes),
             2 * step_.routing.used);
    }
    if (step_.side != none) readable(step_.side, "side");
    if (step_.op == Op::row) return;  // row() looks at the others
    if (step_.add != none && step_.op != Op::matmul && step_.op != Op::experts_down)
      fail("{}: only matmul and experts_down add a slot", where_);
    if (step_.mul != none && step_.op != Op::matmul) fail("{}: only matmul multiplies by a slot", where_);
    for (const SlotId id : {step_.add, step_.mul}) {
      if (id == none) continue;
      readable(id, id == step_.add ? "added" : "multiplying");
      if (width(id) != width(step_.out))
        fail("{}: it adds or multiplies by a slot of width {}, expected {}", where_, width(id),
             width(step_.out));
    }
  }

  void row() const {
    const Row& r = step_.row;
    const std::int64_t n = width(step_.x), others = (r.streams - 1) * n;
    const auto sized = [&](SlotId id, std::int64_t elements, const char* role) {
      if (id < 0 || static_cast<std::size_t>(id) >= program_.slots.size() || width(id) != elements)
        fail("{}: its {} slot is not of width {}", where_, role, elements);
    };
    norm(step_.norm, n);
    const bool mixes = r.kind == Row::Kind::predict || r.kind == Row::Kind::correct;
    const bool several = mixes || r.kind == Row::Kind::match || r.kind == Row::Kind::merge;
    if ((several && r.streams < 2) || r.first < 0 || r.first > 1)
      fail("{}: {} streams from {} on", where_, r.streams, r.first);
    if (several && (r.kind != Row::Kind::correct || r.first == 1)) sized(step_.side, others, "side");
    if (r.kind == Row::Kind::gate &&
        (step_.side == none || width(step_.side) == 0 || n % width(step_.side) != 0))
      fail("{}: its gates do not divide {} columns", where_, n);
    const bool whole = r.kind == Row::Kind::match || (mixes && r.first == 1);
    sized(step_.out, whole ? others : n, "output");
    if (step_.add != none || r.kind == Row::Kind::correct) sized(step_.add, n, "added");
    if (step_.mul != none) sized(step_.mul, n, "multiplying");
    if (!mixes) return;
    no_factors();
    matrix(step_.linear[0], n, r.streams);
    matrix(step_.linear[1], r.streams, r.kind == Row::Kind::predict ? r.streams * r.streams : r.streams);
    vector(step_.linear[2].weight, n, "factors");
  }

  const Weight& weight(WeightId id, const char* role) const {
    if (id < 0 || static_cast<std::size_t>(id) >= program_.weights.size())
      fail("{}: {} is weight {}, of {} weights", where_, role, id, program_.weights.size());
    const Weight& weight = program_.weights[static_cast<std::size_t>(id)];
    const Tensor& tensor = weight.tensor;
    if (!holds_weights(tensor.type))
      fail("{}: tensor '{}' has type {}, which does not hold weights", where_, weight.name,
           type_info(tensor.type).name);
    if (tensor.data == nullptr || tensor.columns() % type_info(tensor.type).block_elements != 0 ||
        tensor.row_bytes < row_bytes(tensor.type, tensor.columns()))
      fail("{}: tensor '{}' has no data for its rows of {} elements", where_, weight.name, tensor.columns());
    return weight;
  }

  // An optional f32 tensor of `elements` in all.
  void vector(WeightId id, std::int64_t elements, const char* role) const {
    if (id == none) return;
    const Weight& found = weight(id, role);
    if (found.tensor.type != Type::f32 || found.tensor.columns() * found.tensor.rows() != elements)
      fail("{}: {} tensor '{}' is {} [{}, {}], expected F32 [{}]", where_, role, found.name,
           type_info(found.tensor.type).name, found.tensor.columns(), found.tensor.rows(), elements);
  }

  void norm(const Norm& n, std::int64_t elements) const {
    if (n.kind == Norm::Kind::off && (n.weight != none || n.bias != none))
      fail("{}: a norm of no kind has weights", where_);
    vector(n.weight, elements, "norm");
    vector(n.bias, elements, "norm's bias");
  }

  // Checks a matrix, one or `matrices` of them, of `columns` columns and `rows` rows (0: any number). Returns
  // its rows.
  std::int64_t matrix(const Linear& linear, std::int64_t columns, std::int64_t rows,
                      std::int64_t matrices = 1) const {
    const Weight& found = weight(linear.weight, "matrix");
    const Tensor& tensor = found.tensor;
    const std::int64_t found_rows = tensor.rows() / matrices;
    if (tensor.columns() != columns || (rows != 0 && found_rows != rows) ||
        found_rows * matrices != tensor.rows())
      fail("{}: tensor '{}' is [{}, {}], expected [{}, {}] {} times", where_, found.name, tensor.columns(),
           tensor.rows(), columns, rows == 0 ? "any" : fmt::format("{}", rows), matrices);
    vector(linear.bias, tensor.rows(), "bias");
    vector(linear.factors, matrices, "factors");
    return found_rows;
  }

  // Checks linear `i`, from slot `in` to `rows` (0: any number of them). Returns its rows.
  std::int64_t linear(int i, SlotId in, std::int64_t rows = 0) const {
    return matrix(step_.linear[i], width(in), rows);
  }
  std::int64_t optional_linear(int i) const {
    return step_.linear[i].weight == none ? 0 : linear(i, step_.x);
  }

  void no_factors() const {
    for (const Linear& each : step_.linear)
      if (each.factors != none)
        fail("{}: tensor '{}': factors of matrices are not supported here", where_,
             weight(each.factors, "factors").name);
  }

  void matmul() const {
    const std::int64_t columns = step_.x_columns == 0 ? width(step_.x) : step_.x_columns;
    if (step_.x_column < 0 || columns < 1 || step_.x_column + columns > width(step_.x))
      fail("{}: it reads {} columns from {} on of a slot of width {}", where_, columns, step_.x_column,
           width(step_.x));
    norm(step_.norm, columns);
    norm(step_.post, written_width());
    matrix(step_.linear[0], columns, written_width());
  }

  void embed() const {
    no_factors();
    linear(0, step_.out, program_.vocab);
    if (step_.linear[1].weight != none) linear(1, step_.out);
    if (step_.linear[2].weight != none) {
      linear(2, step_.out);
      const std::int64_t types = program_.tensor(step_.linear[2].weight).rows();
      if (program_.separator != none && (types < 2 || program_.causal))
        fail("{}: a separator of two types, where there are {} or sequences are read in pieces", where_,
             types);
    }
    norm(step_.norm, width(step_.out));
  }

  void heads() const {
    const std::int64_t count = step_.heads;
    if (count < 1 || width(step_.x) % count != 0 || written_width() % count != 0)
      fail("{}: {} heads from {} to {} columns", where_, count, width(step_.x), written_width());
    const std::int64_t in = width(step_.x) / count, out = written_width() / count;
    const std::int64_t columns = weight(step_.linear[0].weight, "matrix").tensor.columns();
    if (columns > in) fail("{}: matrices of {} columns for heads of {}", where_, columns, in);
    matrix(step_.linear[0], columns, out - (in - columns), count);
  }

  void experts() const {
    const Routing& r = step_.routing;
    if (r.experts < 1 || r.used < 1 || r.used > r.experts || r.groups < 1 || r.experts % r.groups != 0 ||
        r.groups_used < 1 || r.groups_used > r.groups || r.groups_used * (r.experts / r.groups) < r.used)
      fail("{}: {} of {} experts out of {} of {} groups", where_, r.used, r.experts, r.groups_used, r.groups);
    norm(step_.norm, width(step_.x));
    if (step_.op == Op::route) {
      vector(r.bias, r.experts, "choice bias");
      vector(r.factors, r.experts, "weight factors");
      matrix(step_.linear[0], width(step_.x), r.experts);
      return rows_equal_output(2 * std::int64_t{r.used});
    }
    const bool up = step_.op == Op::experts_up;
    const std::int64_t in = up ? width(step_.x) : width(step_.x) / r.used;
    const std::int64_t out = up ? width(step_.out) / r.used : width(step_.out);
    if (in * (up ? 1 : r.used) != width(step_.x) || out * (up ? r.used : 1) != width(step_.out))
      fail("{}: slots of widths {} and {} for {} experts a row", where_, width(step_.x), width(step_.out),
           r.used);
    matrix(step_.linear[0], in, out, r.experts);
    if (up && step_.linear[1].weight != none) matrix(step_.linear[1], in, out, r.experts);
    norm(step_.post, width(step_.out));
  }

  void widths(std::int64_t in, std::int64_t side, std::int64_t out) const {
    const std::int64_t found = step_.side == none ? 0 : width(step_.side);
    if (width(step_.x) != in || found < side || width(step_.out) != out)
      fail("{}: slots of widths {}, {} and {}, expected {}, {} and {}", where_, width(step_.x), found,
           width(step_.out), in, side, out);
  }

  // Its state has `elements`, and no other step has it.
  void state(std::int64_t elements) const {
    const StateId id = state_of(step_);
    if (id < 0 || static_cast<std::size_t>(id) >= program_.states.size())
      fail("{}: its state is {}, of {} states", where_, id, program_.states.size());
    if (const std::int64_t found = program_.states[static_cast<std::size_t>(id)].width; found != elements)
      fail("{}: state {} has {} elements, expected {}", where_, id, found, elements);
    if (std::count_if(program_.steps.begin(), program_.steps.end(),
                      [id](const Step& step) { return state_of(step) == id; }) != 1)
      fail("{}: state {} is another step's too", where_, id);
  }

  void conv() const {
    const Conv& c = step_.conv;
    const std::int64_t read = std::int64_t{c.channels} * (c.gated ? 3 : 1);
    if (c.kernel < 1 || c.channels < 1 || c.first_column < 0 || c.first_column + read > width(step_.x) ||
        width(step_.out) != c.channels)
      fail("{}: {} rows of {} channels from column {} on, of a slot of width {} to one of {}", where_,
           c.kernel, read, c.first_column, width(step_.x), width(step_.out));
    if (step_.activation != Activation::identity && step_.activation != Activation::silu)
      fail("{}: its activation is neither silu nor none", where_);
    needed(c.weight, std::int64_t{c.kernel} * c.channels, "kernel");
    if (program_.tensor(c.weight).columns() != c.kernel)
      fail("{}: its kernel has {} columns, expected {}", where_, program_.tensor(c.weight).columns(),
           c.kernel);
    vector(c.bias, c.channels, "bias");
    state(std::int64_t{c.kernel - 1} * c.channels);
  }

  void shift() const {
    const Shift& s = step_.shift;
    if (s.count < 1 || s.count > Shift::most)
      fail("{}: {} mixtures, expected 1 to {}", where_, s.count, Shift::most);
    widths(width(step_.x), step_.side == none ? 0 : s.count * width(step_.x), s.count * width(step_.x));
    norm(step_.norm, width(step_.x));
    for (int i = 0; i < s.count; ++i) needed(s.mix[i], width(step_.x), "mixture");
    state(width(step_.x));
  }

  void scan() const {
    const Scan& s = step_.scan;
    if (s.heads < 1 || s.groups < 1 || s.heads % s.groups != 0 || s.key_dim < 1 || s.value_dim < 1 ||
        s.block < 1 || s.heads % s.block != 0)
      fail("{}: {} heads of {} and {}, {} groups, blocks of {}", where_, s.heads, s.key_dim, s.value_dim,
           s.groups, s.block);
    const std::int64_t keys = s.keys(), values = s.values(), heads = s.heads, key_dim = s.key_dim;
    const bool rwkv = s.kind == Scan::Kind::rwkv6 || s.kind == Scan::Kind::rwkv7;
    if ((rwkv || s.kind == Scan::Kind::mamba || s.kind == Scan::Kind::kda) && s.groups != s.heads)
      fail("{}: {} heads in {} groups", where_, heads, s.groups);
    switch (s.kind) {
      case Scan::Kind::mamba:
        if (heads != 1) fail("{}: {} heads, expected 1", where_, heads);
        widths(values, 3 * values + 2 * key_dim, values);
        needed(s.decay, key_dim * values, "decay");
        needed(s.bonus, values, "bonus");
        norm(s.key_norm, key_dim);
        norm(s.query_norm, key_dim);
        break;
      case Scan::Kind::mamba2:
        widths(values + 2 * keys, 2 * values + 2 * keys + heads, values);
        needed(s.bonus, heads, "bonus");
        norm(s.norm, values);
        break;
      case Scan::Kind::delta:
        widths(values + 2 * keys, 2 * values + 2 * keys + 2 * heads, values);
        norm(s.norm, s.value_dim);
        break;
      case Scan::Kind::rwkv6:
      case Scan::Kind::rwkv7:
        if (s.value_dim != s.key_dim) fail("{}: keys of {} and values of {}", where_, s.key_dim, s.value_dim);
        if (s.kind == Scan::Kind::rwkv6)
          widths(5 * values, 0, values);
        else
          widths((step_.side == none ? 6 : 7) * values, step_.side == none ? 0 : values, values);
        needed(s.bonus, keys, "bonus");
        norm(s.norm, values);
        break;
      case Scan::Kind::kda:
        widths(values + 2 * keys, 2 * values + 3 * keys + heads, values);
        needed(s.decay, heads, "decay");
        needed(s.step_bias, keys, "step bias");
        norm(s.norm, s.value_dim);
        break;
      case Scan::Kind::gla:
        if (s.value_dim != s.key_dim) fail("{}: keys of {} and values of {}", where_, s.key_dim, s.value_dim);
        widths(3 * values + 2 * keys, 0, values);
        break;
    }
    if (s.kind == Scan::Kind::mamba2 || s.kind == Scan::Kind::delta) {
      needed(s.decay, heads, "decay");
      needed(s.step_bias, heads, "step bias");
    }
    if (s.kind == Scan::Kind::rwkv7) {
      needed(s.key_scale, keys, "key scale");
      needed(s.key_mix, keys, "key mixture");
    }
    state(key_dim * values);
  }

  void needed(WeightId id, std::int64_t elements, const char* role) const {
    if (id == none) fail("{}: it has no {}", where_, role);
    vector(id, elements, role);
  }

  void rows_equal_output(std::int64_t rows) const {
    if (rows != width(step_.out))
      fail("{}: its matrices have {} rows, its output slot has width {}", where_, rows, width(step_.out));
  }

  void attention() const {
    const Attention& a = step_.attention;
    if (a.heads <= 0 || a.kv_heads <= 0 || a.heads % a.kv_heads != 0 || a.key_dim <= 0 || a.value_dim <= 0 ||
        (a.key_is_value && a.value_dim > a.key_dim))
      fail("{}: {} query heads of {} over {} key heads, values of {}", where_, a.heads, a.key_dim, a.kv_heads,
           a.value_dim);
    const std::int64_t out = std::int64_t{a.heads} * a.value_dim;
    if (width(step_.x) != a.row_width() || width(step_.out) != out)
      fail("{}: slots of widths {} and {}, expected {} and {}", where_, width(step_.x), width(step_.out),
           a.row_width(), out);
    if (a.rope.dims < 0 || a.rope.dims % 2 != 0 || a.rope.offset < 0 ||
        a.rope.dims + a.rope.offset > a.key_dim)
      fail("{}: {} rotated dimensions of a head of {}, from {} on", where_, a.rope.dims, a.key_dim,
           a.rope.offset);
    if (a.key_normed < 0 || a.key_normed > a.key_dim || (a.sees == Attention::Sees::chunk && a.window < 1))
      fail("{}: {} normed elements of a key of {}, window {}", where_, a.key_normed, a.key_dim, a.window);
    head_norm(a.q_norm, a.key_dim, a.heads, "query norm");
    head_norm(a.k_norm, a.key_normed > 0 ? a.key_normed : a.key_dim, a.kv_heads, "key norm");
    head_norm(a.v_norm, a.value_dim, a.kv_heads, "value norm");
    vector(a.rope.factors, a.rope.dims / 2, "rotary factors");
    vector(a.sinks, a.heads, "attention sinks");
    if (a.cache < 0 || static_cast<std::size_t>(a.cache) >= program_.caches.size())
      fail("{}: its cache is {}, of {} caches", where_, a.cache, program_.caches.size());
    const Cache& cache = program_.caches[static_cast<std::size_t>(a.cache)];
    if (cache.kv_heads != a.kv_heads || cache.key_dim != a.key_dim || cache.value_dim != a.value_dim ||
        cache.key_is_value != a.key_is_value)
      fail("{}: cache {} holds {} heads of {} and {}, expected {} of {} and {}", where_, a.cache,
           cache.kv_heads, cache.key_dim, cache.value_dim, a.kv_heads, a.key_dim, a.value_dim);
  }

  // Weights of one head, or of all.
  void head_norm(const Norm& n, std::int64_t dim, std::int64_t heads, const char* role) const {
    for (const WeightId id : {n.weight, n.bias}) {
      if (id == none) continue;
      const bool all = step_.attention.norm_over == Attention::NormOver::row ||
                       weight(id, role).tensor.columns() * weight(id, role).tensor.rows() != dim;
      vector(id, all ? dim * heads : dim, role);
    }
  }

  const Program& program_;
  const Step& step_;
  const Form& form_;
  std::string where_;
};

// Throws Error where a layer's operands do not fit what it is fed with.
void check_head(const Program& program, const Head& head, std::int64_t elements) {
  const auto vector = [&](WeightId id, std::int64_t count) {
    if (id == none) return;
    const Weight& weight = program.weights[static_cast<std::size_t>(id)];
    if (weight.tensor.type != Type::f32 || weight.tensor.columns() * weight.tensor.rows() != count)
      fail("head: tensor '{}' is not F32 [{}]", weight.name, count);
  };
  for (const HeadLayer& layer : head.layers) {
    if (layer.linear.factors != none)
      fail("head: tensor '{}': factors of matrices are not supported here",
           program.weights[static_cast<std::size_t>(layer.linear.factors)].name);
    if (layer.linear.weight != none) {
      const Weight& weight = program.weights[static_cast<std::size_t>(layer.linear.weight)];
      if (weight.tensor.columns() != elements)
        fail("head: tensor '{}' has {} columns, expected {}", weight.name, weight.tensor.columns(), elements);
      elements = weight.tensor.rows();
    }
    vector(layer.linear.bias, elements);
    vector(layer.norm.weight, elements);
    vector(layer.norm.bias, elements);
  }
}

}  // namespace

const char* op_name(Op op) {
  return form_of(op).name;
}

int linear_count(Op op) {
  return form_of(op).linears;
}

void check(const Program& program) {
  std::vector<bool> written(program.slots.size(), false);
  for (std::size_t i = 0; i < program.steps.size(); ++i) Checker(program, i).run(written);
  if (program.logits < 0 || static_cast<std::size_t>(program.logits) >= written.size() ||
      !written[static_cast<std::size_t>(program.logits)])
    fail("program: no step writes its logits slot {}", program.logits);
  if (!program.embedding) return;
  const std::int64_t hidden = program.slots[static_cast<std::size_t>(program.logits)].width;
  check_head(program, program.embedding->projection, hidden);
  check_head(program, program.embedding->classifier, hidden);
}

}  // namespace rf
