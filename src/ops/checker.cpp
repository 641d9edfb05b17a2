#include "ops/checker.h"

#include "base/error.h"
#include "tensor/decode.h"

namespace rf {

Checker::Checker(const Program& program, std::size_t index)
    : program_(program), step_(program.steps[index]), form_(form_of(step_.op)) {
  where_ = fmt::format("step {} ({}", index, form_.name);
  where_ += step_.layer == none ? ")" : fmt::format(", layer {})", step_.layer);
}

void Checker::run(std::vector<bool>& written) const {
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
    case Op::index:
      index();
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

std::int64_t Checker::written_width() const {
  if (step_.columns == 0) return width(step_.out);
  if (step_.add != none || step_.mul != none || step_.first_column < 0 ||
      step_.first_column + step_.columns > width(step_.out))
    fail("{}: it writes {} columns from {} on of a slot of width {}", where_, step_.columns,
         step_.first_column, width(step_.out));
  return step_.columns;
}

void Checker::slots(const std::vector<bool>& written) const {
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
      fail("{}: its routes have width {}, expected {}", where_, width(step_.routes), 2 * step_.routing.used);
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

void Checker::row() const {
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

const Weight& Checker::weight(WeightId id, const char* role) const {
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

void Checker::vector(WeightId id, std::int64_t elements, const char* role) const {
  if (id == none) return;
  const Weight& found = weight(id, role);
  if (found.tensor.type != Type::f32 || found.tensor.columns() * found.tensor.rows() != elements)
    fail("{}: {} tensor '{}' is {} [{}, {}], expected F32 [{}]", where_, role, found.name,
         type_info(found.tensor.type).name, found.tensor.columns(), found.tensor.rows(), elements);
}

void Checker::norm(const Norm& n, std::int64_t elements) const {
  if (n.kind == Norm::Kind::off && (n.weight != none || n.bias != none))
    fail("{}: a norm of no kind has weights", where_);
  vector(n.weight, elements, "norm");
  vector(n.bias, elements, "norm's bias");
}

std::int64_t Checker::matrix(const Linear& linear, std::int64_t columns, std::int64_t rows,
                             std::int64_t matrices) const {
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

std::int64_t Checker::linear(int i, SlotId in, std::int64_t rows) const {
  return matrix(step_.linear[i], width(in), rows);
}

std::int64_t Checker::optional_linear(int i) const {
  return step_.linear[i].weight == none ? 0 : linear(i, step_.x);
}

void Checker::no_factors() const {
  for (const Linear& each : step_.linear)
    if (each.factors != none)
      fail("{}: tensor '{}': factors of matrices are not supported here", where_,
           weight(each.factors, "factors").name);
}

void Checker::matmul() const {
  const std::int64_t columns = step_.x_columns == 0 ? width(step_.x) : step_.x_columns;
  if (step_.x_column < 0 || columns < 1 || step_.x_column + columns > width(step_.x))
    fail("{}: it reads {} columns from {} on of a slot of width {}", where_, columns, step_.x_column,
         width(step_.x));
  norm(step_.norm, columns);
  norm(step_.post, written_width());
  matrix(step_.linear[0], columns, written_width());
}

void Checker::embed() const {
  no_factors();
  linear(0, step_.out, program_.vocab);
  if (step_.linear[1].weight != none) linear(1, step_.out);
  if (step_.linear[2].weight != none) {
    linear(2, step_.out);
    const std::int64_t types = program_.tensor(step_.linear[2].weight).rows();
    if (program_.separator != none && (types < 2 || program_.causal))
      fail("{}: a separator of two types, where there are {} or sequences are read in pieces", where_, types);
  }
  norm(step_.norm, width(step_.out));
}

void Checker::heads() const {
  const std::int64_t count = step_.heads;
  if (count < 1 || width(step_.x) % count != 0 || written_width() % count != 0)
    fail("{}: {} heads from {} to {} columns", where_, count, width(step_.x), written_width());
  const std::int64_t in = width(step_.x) / count, out = written_width() / count;
  const std::int64_t columns = weight(step_.linear[0].weight, "matrix").tensor.columns();
  if (columns > in) fail("{}: matrices of {} columns for heads of {}", where_, columns, in);
  matrix(step_.linear[0], columns, out - (in - columns), count);
}

void Checker::experts() const {
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

void Checker::needed(WeightId id, std::int64_t elements, const char* role) const {
  if (id == none) fail("{}: it has no {}", where_, role);
  vector(id, elements, role);
}

void Checker::rows_equal_output(std::int64_t rows) const {
  if (rows != width(step_.out))
    fail("{}: its matrices have {} rows, its output slot has width {}", where_, rows, width(step_.out));
}

}  // namespace rf
