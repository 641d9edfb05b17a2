#include "gpu/lower.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "gpu/kernel_names.h"
#include "gpu/kernels/list.h"

namespace rf::gpu {
namespace {

bool is_float(Type type) {
  return type_info(type).block_elements == 1;
}

// Up to 8 rows exactly, then powers of two.
int bucket_rows(int rows, int most) {
  if (rows <= matvec_rows) return std::max(rows, 1);
  return std::min(static_cast<int>(std::bit_ceil(static_cast<unsigned>(rows))), most);
}

}  // namespace

bool one_of_many(Op op) {
  return op == Op::heads || op == Op::experts_up || op == Op::experts_down;
}

ActivationKind kind_of(Activation activation) {
  switch (activation) {
    case Activation::silu:
      return ActivationKind::silu;
    case Activation::gelu_tanh:
      return ActivationKind::gelu_tanh;
    case Activation::gelu:
      return ActivationKind::gelu;
    case Activation::relu:
      return ActivationKind::relu;
    case Activation::relu_squared:
      return ActivationKind::relu_squared;
    case Activation::sigmoid:
      return ActivationKind::sigmoid;
    case Activation::tanh:
      return ActivationKind::tanh;
    case Activation::swiglu_clamped:
      return ActivationKind::swiglu_clamped;
    case Activation::xielu:
      return ActivationKind::xielu;
    case Activation::identity:
    case Activation::softplus:
      break;
  }
  return ActivationKind::identity;
}

Bucket bucket_of(const Batch& batch) {
  Bucket bucket{.rows = bucket_rows(batch.rows(), batch.limits().rows),
                .wanted = bucket_rows(batch.wanted(), std::max(batch.limits().wanted, 1)),
                .single = false,
                .several = false,
                .best = batch.best_only()};
  for (int s = 0; s < batch.sequences(); ++s)
    (batch.row_count(s) == 1 ? bucket.single : bucket.several) = true;
  return bucket;
}

void Lowering::add_launch(std::string_view kernel, std::span<const std::byte> params, std::int64_t x,
                          std::int64_t y, std::int64_t z, std::uint32_t lds) {
  const KernelInfo* info = find_kernel(kernel);
  launches_.push_back({.kernel = kernel,
                       .grid = {static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z)},
                       .threads = info != nullptr ? info->threads : 0,
                       .lds = lds,
                       .params = {params.begin(), params.end()}});
}

void Lowering::step(const Step& step) {
  packed_before_ = std::exchange(packed_, none);
  switch (step.op) {
    case Op::embed:
      return embed(step);
    case Op::qkv:
      return qkv(step);
    case Op::index:
      return;  // has no kernel
    case Op::attend:
      return attend(step);
    case Op::matmul:
      return matmul(step);
    case Op::gate_up:
      return gate_up(step);
    case Op::heads:
      return heads(step);
    case Op::route:
      return route(step);
    case Op::experts_up:
      return experts_up(step);
    case Op::experts_down:
      return experts_down(step);
    case Op::conv:
      return conv(step);
    case Op::shift:
      return shift(step);
    case Op::scan:
      return scan(step);
    case Op::row:
      return row(step);
    case Op::logits:
      return logits(step);
  }
}

void Lowering::embed(const Step& step) {
  const BatchView batch = layout_.batch();
  const std::int32_t* index[] = {batch.tokens, batch.positions, layout_.row_types()};
  for (int i = 0; i < 3; ++i) {
    if (step.linear[i].weight == none) continue;
    EmbedParams p{};
    p.table = layout_.matrix(step.linear[i]);
    p.index = index[i];
    p.count = rows();
    p.out = layout_.slot(step.out);
    p.scale = i == 0 ? step.scale : 1;
    p.accumulate = i > 0;
    const auto& tensor = layout_.program().tensor(step.linear[i].weight);
    add(kernel_of("embed", tiled(tensor).type), p, divided(p.table.columns, 2048), bucket_.rows);
  }
  if (step.norm.kind == Norm::Kind::off) return;
  PackParams p{};
  p.x = p.normed = layout_.slot(step.out);
  p.x_stride = p.normed_stride = layout_.width(step.out);
  p.columns = static_cast<std::int32_t>(layout_.width(step.out));
  p.parts = 1;
  p.count = rows();
  p.norm = layout_.norm(step.norm);
  add("rf_pack", p, 1, bucket_.rows);
}

Lowering::Product Lowering::product(const Step& step, std::initializer_list<int> linears) const {
  Product product;
  std::int32_t column = 0;
  for (const int i : linears) {
    if (step.linear[i].weight == none) continue;
    product.matrices.push_back(layout_.matrix(step.linear[i]));
    product.matrices.back().out_column = column;
    if (!one_of_many(step.op)) {  // all matrices of a tensor are one, whose tiles follow each other
      const TiledWeight whole = tiled(layout_.program().tensor(step.linear[i].weight));
      product.matrices.back().rows = static_cast<std::int32_t>(whole.rows);
      product.matrices.back().tiles = whole.tiles();
    }
    column += product.matrices.back().rows;
    product.types.push_back(tiled(layout_.program().tensor(step.linear[i].weight)).type);
  }
  product.x = layout_.slot(step.x) + step.x_column;
  product.x_stride = layout_.width(step.x);
  product.norm = layout_.norm(step.norm);
  product.count = rows();
  product.epilogue = plain();
  product.out = layout_.slot(step.out);
  product.out_stride = layout_.width(step.out);
  return product;
}

void Lowering::qkv(const Step& step) {
  Product all = product(step, {0, 1, 2});
  all.epilogue.clamp = step.clamp;
  multiply(std::move(all));
}

void Lowering::matmul(const Step& step) {
  Product one = product(step, {0});
  one.epilogue.activation = kind_of(step.activation);
  one.epilogue.xielu = {step.xielu.positive, step.xielu.negative, step.xielu.linear};
  if (step.post.kind == Norm::Kind::off) {
    one.out += step.first_column;
    one.epilogue.scale = step.scale;
    one.epilogue.out_scale = step.out_scale;
    one.epilogue.add = layout_.slot(step.add);
    one.epilogue.add_stride = layout_.width(step.add);
    one.epilogue.mul = layout_.slot(step.mul);
    one.epilogue.mul_stride = layout_.width(step.mul);
    return multiply(std::move(one));
  }
  const std::int64_t columns = one.matrices[0].rows;
  one.out = layout_.temporary(0);
  one.out_stride = columns;
  multiply(std::move(one));
  finish(step, layout_.temporary(0), columns, 1);
}

// The end of matmul and experts_down: x[row][terms][columns] to the step's output.
void Lowering::finish(const Step& step, const float* x, std::int64_t columns, int terms) {
  FinishParams p{};
  p.x = x;
  p.x_stride = columns * terms;
  p.term_stride = columns;
  p.columns = static_cast<std::int32_t>(columns);
  p.terms = terms;
  p.count = rows();
  p.post = layout_.norm(step.post);
  p.post_last = step.post_last ? 1 : 0;
  p.epilogue.add = layout_.slot(step.add);
  p.epilogue.add_stride = layout_.width(step.add);
  p.epilogue.mul = layout_.slot(step.mul);
  p.epilogue.mul_stride = layout_.width(step.mul);
  p.epilogue.scale = step.scale;
  p.epilogue.out_scale = step.out_scale;
  p.out = layout_.slot(step.out) + step.first_column;
  p.out_stride = layout_.width(step.out);
  add("rf_finish", p, bucket_.rows);
}

void Lowering::gate_up(const Step& step) {
  Product both = product(step, {0, 1});
  both.gated = true;
  both.matrices[1].out_column = 0;
  both.epilogue.activation = kind_of(step.activation);
  both.packs = step.out;
  multiply(std::move(both));
}

void Lowering::heads(const Step& step) {
  Product one = product(step, {0});
  const std::int64_t in = layout_.width(step.x) / step.heads,
                     all = step.columns != 0 ? step.columns : layout_.width(step.out), out = all / step.heads;
  const std::int32_t columns = one.matrices[0].columns, made = one.matrices[0].rows;
  one.parts = one.in_parts = step.heads;
  one.x_part_stride = in;
  one.out += step.first_column;
  one.part_stride = out;
  const float* x = one.x;
  float* to = one.out;
  // The kernel knows one matrix of many by its number: all lie one after the other.
  one.matrices[0].rows = made;
  multiply(std::move(one));
  if (in == columns) return;
  HeadsRestParams p{};
  p.x = x;
  p.out = to;
  p.x_stride = layout_.width(step.x);
  p.out_stride = layout_.width(step.out);
  p.heads = step.heads;
  p.columns = columns;
  p.made = made;
  p.rest = static_cast<std::int32_t>(in) - columns;
  p.count = rows();
  add("rf_heads_rest", p, bucket_.rows);
}

void Lowering::logits(const Step& step) {
  const BatchView batch = layout_.batch();
  if (step.linear[0].weight == none) {
    PackParams p{};
    p.x = layout_.slot(step.x);
    p.normed = layout_.slot(step.out);
    p.x_stride = layout_.width(step.x);
    p.normed_stride = layout_.width(step.out);
    p.columns = static_cast<std::int32_t>(layout_.width(step.out));
    p.parts = 1;
    p.from = batch.wanted;
    p.count = wanted();
    p.norm = layout_.norm(step.norm);
    return add("rf_pack", p, 1, bucket_.wanted);
  }
  Product one = product(step, {0});
  one.from = batch.wanted;
  one.count = wanted();
  one.epilogue.scale = step.scale;
  one.epilogue.softcap = step.softcap;
  multiply(std::move(one));
}

void Lowering::best() {
  const SlotId logits = layout_.program().logits;
  BestParams p{};
  p.logits = layout_.slot(logits);
  p.stride = layout_.width(logits);
  p.columns = static_cast<std::int32_t>(p.stride);
  p.parts = layout_.best_parts();
  p.count = wanted();
  p.found = layout_.best_found();
  p.best = layout_.best();
  add("rf_best_of_part", p, p.parts, bucket_.wanted);
  add("rf_best", p, bucket_.wanted);
}

void Lowering::route(const Step& step) {
  Product one = product(step, {0});
  const Routing& routing = step.routing;
  one.out = layout_.temporary(0);
  one.out_stride = routing.experts;
  multiply(std::move(one));
  RouteParams p{};
  p.logits = layout_.temporary(0);
  p.bias = layout_.vector(routing.bias);
  p.factors = layout_.vector(routing.factors);
  p.routes = layout_.slot(step.out);
  p.count = rows();
  p.experts = routing.experts;
  p.used = routing.used;
  p.gating = static_cast<std::int32_t>(routing.gating);
  p.groups = routing.groups;
  p.groups_used = routing.groups_used;
  p.normalise = routing.normalise ? 1 : 0;
  p.logit_scale = routing.logit_scale;
  p.scale = routing.scale;
  add("rf_route", p, bucket_.rows);
}

void Lowering::experts_up(const Step& step) {
  Product both = product(step, {0, 1});
  both.gated = both.matrices.size() == 2;
  both.epilogue.activation = kind_of(step.activation);
  for (Matrix& matrix : both.matrices) matrix.out_column = 0;
  both.parts = step.routing.used;
  both.in_parts = step.routing.weigh_input ? both.parts : 1;
  both.weigh_input = step.routing.weigh_input;
  both.routes = layout_.slot(step.routes);
  both.experts = step.routing.experts;
  both.part_stride = layout_.width(step.out) / both.parts;
  multiply(std::move(both));
}

void Lowering::experts_down(const Step& step) {
  Product one = product(step, {0});
  const std::int64_t columns = one.matrices[0].rows;
  one.parts = one.in_parts = step.routing.used;
  one.x_part_stride = layout_.width(step.x) / one.parts;
  one.weigh = !step.routing.weigh_input;
  one.routes = layout_.slot(step.routes);
  one.experts = step.routing.experts;
  one.out = layout_.temporary(0);
  one.out_stride = columns * one.parts;
  one.part_stride = columns;
  multiply(std::move(one));
  finish(step, layout_.temporary(0), columns, step.routing.used);
}

// Rows made ready for all matrices of a product.
Packed Lowering::pack(const Product& product) {
  const bool kept = std::ranges::any_of(product.types, is_float),
             quantised = !std::ranges::all_of(product.types, is_float);
  PackParams p{};
  p.x = product.x;
  p.x_stride = product.x_stride;
  p.part_stride = product.x_part_stride;
  p.columns = product.matrices[0].columns;
  p.parts = product.in_parts;
  p.from = product.from;
  p.count = product.count;
  p.norm = product.norm;
  p.routes = product.weigh_input ? product.routes : nullptr;
  p.out = layout_.packed(p.columns, quantised, kept, by_few(product));
  add("rf_pack", p, p.parts, product.count.rows);
  return p.out;
}

void Lowering::group(const Product& product) {
  GroupParams p{};
  p.routes = product.routes;
  p.order = layout_.order();
  p.starts = layout_.starts();
  p.count = product.count;
  p.experts = product.experts;
  p.used = product.parts;
  add("rf_group", p, 1);
}

void Lowering::multiply(Product product) {
  if (product.gated && product.types[0] != product.types[1]) return multiply_apart(product);
  // One row of one matrix is normed and quantised by the product itself.
  const bool alone = product.count.rows == 1 && product.parts == 1 && product.routes == nullptr &&
                     !is_float(product.types[0]) && product.matrices[0].columns <= matvec_columns;
  std::vector<Type> types = product.types;
  std::ranges::sort(types);
  types.erase(std::unique(types.begin(), types.end()), types.end());
  const bool all_alone = alone && std::ranges::none_of(types, is_float);
  const bool waits = all_alone && packed_before_ != none && product.x == layout_.slot(packed_before_) &&
                     product.matrices[0].columns == layout_.width(packed_before_) &&
                     product.norm.kind == NormKind::off && product.from == nullptr;
  const Packed in = waits       ? layout_.packed(product.matrices[0].columns, true, false)
                    : all_alone ? Packed{}
                                : pack(product);
  if (!all_alone || types.size() > 1) product.packs = none;
  packed_ = product.packs;
  if (product.experts > 0 && !by_row(product)) group(product);
  for (const Type type : types) multiply_type(product, type, in, type != types.front());
}

namespace {

// What products of one row and of many tell their kernels alike: all but the matrices.
template <class Params, class Product>
Params params_of(const Product& product, const Packed& in) {
  Params p{};
  p.gated = product.gated ? 1 : 0;
  p.in = in;
  p.count = product.count;
  p.parts = product.parts;
  p.in_parts = product.in_parts;
  p.routes = product.routes;
  p.weigh = product.weigh ? 1 : 0;
  p.epilogue = product.epilogue;
  p.out = product.out;
  p.out_stride = product.out_stride;
  p.part_stride = product.part_stride;
  return p;
}

}  // namespace

// The matrices of one type.
void Lowering::multiply_type(const Product& product, Type type, const Packed& in, bool beside) {
  MatvecParams p = params_of<MatvecParams>(product, in);
  p.x = product.x;
  p.x_stride = product.x_stride;
  p.from = product.from;
  p.norm = product.norm;
  p.beside = beside ? 1 : 0;
  const int block_tiles = is_float(type) ? float_matmul_tiles : matmul_tiles,
            together = product.gated ? block_tiles / 2 : block_tiles;
  std::int64_t tiles = 0, tile_groups = 0;
  for (std::size_t i = 0; i < product.matrices.size(); ++i)
    if (product.types[i] == type) {
      p.matrix[p.matrices++] = product.matrices[i];
      if (product.gated && p.matrices > 1) continue;
      tiles += product.matrices[i].tiles;
      tile_groups += divided(product.matrices[i].tiles, together);
    }
  if (product.packs != none) p.packed = layout_.packed(layout_.width(product.packs), true, false);
  const int rows = product.count.rows;
  const auto blocks = [&](int of_multiprocessor) {
    // As many turns for each block, of which one is two tiles where outputs are packed.
    const std::int64_t units = p.packed.codes != nullptr ? divided(tiles, 2) : tiles;
    p.blocks = static_cast<std::int32_t>(
        divided(units, divided(units, std::int64_t{of_multiprocessor} * device_.processors)));
    return p.blocks;
  };
  if (is_float(type) && rows <= matvec_rows)
    return add(kernel_of("matvec_rows", type), p, blocks(2),
               by_part(product) ? std::int64_t{rows} * p.parts : 1);
  if (!is_float(type) && by_row(product))
    return add(kernel_of("matvec", type), p, blocks(2), std::int64_t{rows} * p.parts, 1,
               matvec_lds(p.matrix[0].columns));
  if (!is_float(type) && by_few(product))
    return rows <= matmul_fewer_rows ? add(kernel_of("matmul_16", type), p, blocks(2))
                                     : add(kernel_of("matmul_32", type), p, blocks(1));
  MatmulParams m = params_of<MatmulParams>(product, in);
  std::ranges::copy(p.matrix, m.matrix);
  m.matrices = p.matrices;
  if (product.experts > 0) {
    m.order = layout_.order();
    m.starts = layout_.starts();
  }
  const std::int64_t all_rows = product.experts > 0 ? std::int64_t{rows} * p.parts : rows;
  add(kernel_of("matmul", type), m, divided(all_rows, matmul_rows), tile_groups,
      product.experts > 0 ? product.experts : p.parts);
}

void Lowering::multiply_apart(const Product& product) {
  const std::int64_t columns = product.matrices[0].rows, stride = columns * product.parts;
  for (std::size_t i = 0; i < 2; ++i) {
    Product one = product;
    one.gated = false;
    one.packs = none;
    one.matrices = {product.matrices[i]};
    one.types = {product.types[i]};
    one.epilogue = plain();
    one.out = layout_.temporary(static_cast<int>(i));
    one.out_stride = stride;
    one.part_stride = columns;
    multiply(std::move(one));
  }
  FinishParams p{};
  p.x = layout_.temporary(0);
  p.up = layout_.temporary(1);
  p.x_stride = stride;
  p.columns = static_cast<std::int32_t>(stride);
  p.terms = 1;
  p.count = product.count;
  p.epilogue = product.epilogue;
  p.out = product.out;
  p.out_stride = product.out_stride;
  add("rf_finish", p, product.count.rows);
}

}  // namespace rf::gpu
