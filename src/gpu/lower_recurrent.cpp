// Convolutions, token shifts and recurrences, and work on whole rows.
#include <algorithm>

#include "gpu/kernel_names.h"
#include "gpu/lower.h"

namespace rf::gpu {
namespace {

std::int64_t column_blocks(std::int64_t columns) {
  return (columns + state_columns - 1) / state_columns;
}

std::string_view scan_kernel(Scan::Kind kind) {
  switch (kind) {
    case Scan::Kind::mamba:
      return "rf_scan_mamba";
    case Scan::Kind::mamba2:
      return "rf_scan_mamba2";
    case Scan::Kind::delta:
      return "rf_scan_delta";
    case Scan::Kind::rwkv6:
      return "rf_scan_rwkv6";
    case Scan::Kind::rwkv7:
      return "rf_scan_rwkv7";
    case Scan::Kind::kda:
    case Scan::Kind::gla:
      break;
  }
  return "";
}

}  // namespace

void Lowering::conv(const Step& step) {
  const Conv& c = step.conv;
  ConvParams p{};
  p.batch = layout_.batch();
  p.state = layout_.state(c.state);
  p.x = layout_.slot(step.x) + c.first_column;
  p.x_stride = layout_.width(step.x);
  p.weight = layout_.vector(c.weight);
  p.bias = layout_.vector(c.bias);
  p.out = layout_.slot(step.out);
  p.channels = c.channels;
  p.kernel = c.kernel;
  p.gated = c.gated ? 1 : 0;
  p.activation = kind_of(step.activation);
  add("rf_conv", p, column_blocks(c.channels), sequences());
}

void Lowering::shift(const Step& step) {
  const auto width = layout_.width(step.x);
  PackParams norm{};
  norm.x = layout_.slot(step.x);
  norm.x_stride = norm.normed_stride = width;
  norm.columns = static_cast<std::int32_t>(width);
  norm.parts = 1;
  norm.count = rows();
  norm.norm = layout_.norm(step.norm);
  norm.normed = layout_.temporary(0);
  add("rf_pack", norm, 1, bucket_.rows);
  ShiftParams p{};
  p.batch = layout_.batch();
  p.state = layout_.state(step.shift.state);
  p.x = norm.normed;
  p.side = layout_.slot(step.side);
  p.side_stride = layout_.width(step.side);
  for (int i = 0; i < step.shift.count; ++i) p.mix[i] = layout_.vector(step.shift.mix[i]);
  p.out = layout_.slot(step.out);
  p.count = step.shift.count;
  p.width = norm.columns;
  add("rf_shift", p, column_blocks(width), sequences());
}

void Lowering::scan(const Step& step) {
  const Scan& s = step.scan;
  ScanParams p{};
  p.batch = layout_.batch();
  p.state = layout_.state(s.state);
  p.kind = static_cast<ScanKind>(s.kind);
  p.heads = s.heads;
  p.groups = s.groups;
  p.key_dim = s.key_dim;
  p.value_dim = s.value_dim;
  p.tiled = s.tiled ? 1 : 0;
  p.block = s.block;
  p.x = layout_.slot(step.x);
  p.x_stride = layout_.width(step.x);
  p.side = layout_.slot(step.side);
  p.side_stride = layout_.width(step.side);
  p.decay = layout_.vector(s.decay);
  p.bonus = layout_.vector(s.bonus);
  p.step_bias = layout_.vector(s.step_bias);
  p.key_scale = layout_.vector(s.key_scale);
  p.key_mix = layout_.vector(s.key_mix);
  p.norm = layout_.norm(s.norm);
  p.key_norm = layout_.norm(s.key_norm);
  p.query_norm = layout_.norm(s.query_norm);
  p.out = layout_.slot(step.out);
  p.out_stride = layout_.width(step.out);
  add(scan_kernel(s.kind), p, s.heads * column_blocks(s.value_dim), sequences(), 1, scan_lds(s.key_dim));
  if (s.kind == Scan::Kind::mamba || (s.kind == Scan::Kind::mamba2 && s.norm.kind == Norm::Kind::off)) return;
  add("rf_scan_finish", p, s.kind == Scan::Kind::mamba2 ? s.groups : s.heads, bucket_.rows);
}

void Lowering::row(const Step& step) {
  if (step.row.kind == Row::Kind::norm) {
    FinishParams p{};
    p.x = layout_.slot(step.x);
    p.x_stride = layout_.width(step.x);
    p.columns = static_cast<std::int32_t>(p.x_stride);
    p.terms = 1;
    p.count = rows();
    p.post = layout_.norm(step.norm);
    p.epilogue = plain();
    p.epilogue.add = layout_.slot(step.add);
    p.epilogue.add_stride = layout_.width(step.add);
    p.epilogue.out_scale = step.scale;
    p.out = layout_.slot(step.out);
    p.out_stride = layout_.width(step.out);
    return add("rf_finish", p, bucket_.rows);
  }
  RowParams p{};
  p.kind = static_cast<std::int32_t>(step.row.kind);
  p.streams = step.row.streams;
  p.first = step.row.first;
  p.columns = static_cast<std::int32_t>(layout_.width(step.x));
  p.x = layout_.slot(step.x);
  p.add = layout_.slot(step.add);
  p.mul = layout_.slot(step.mul);
  p.side = layout_.slot(step.side);
  p.count = rows();
  p.norm = layout_.norm(step.norm);
  p.activation = kind_of(step.activation);
  p.scale = step.scale;
  p.mixer = layout_.vector(step.linear[0].weight);
  p.mixer_bias = layout_.vector(step.linear[0].bias);
  p.coefficients = layout_.vector(step.linear[1].weight);
  p.coefficients_bias = layout_.vector(step.linear[1].bias);
  p.factors = layout_.vector(step.linear[2].weight);
  p.out = layout_.slot(step.out);
  p.out_stride = layout_.width(step.out);
  add("rf_row", p, bucket_.rows);
}

}  // namespace rf::gpu
