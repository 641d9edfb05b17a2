#include "cpu/work.h"

#include <algorithm>

#include "ops/rope.h"
#include "ops/row.h"
#include "tensor/decode.h"

namespace rf {

std::size_t BufferSizes::pack(std::size_t count) const {
  return aligned(count * ((quantised ? 32 + 4 + 8 + 8 : 0) + (kept ? 128 : 0)) + 256);
}

std::size_t BufferSizes::own_pack() const {
  return pack(static_cast<std::size_t>((widest + 31) / 32) * Work::own_pack_rows);
}

std::size_t BufferSizes::partials() const {
  const auto of_rows = static_cast<std::size_t>(chunks) * static_cast<std::size_t>(sequences) +
                       static_cast<std::size_t>(Work::shared_cells);
  return aligned(sizeof(float) * of_rows * static_cast<std::size_t>(heads) *
                 static_cast<std::size_t>(value_padded + 2));
}

std::size_t BufferSizes::member() const {
  return aligned(tile_scratch) + aligned(embedding_row) + aligned(sizeof(float) * embedding) + own_pack() +
         2 * aligned(sizeof(float) * 16 * static_cast<std::size_t>(std::max(rows, 1))) +
         aligned(sizeof(float) * attention_scratch) +
         2 * aligned(sizeof(float) * max_queries * static_cast<std::size_t>(value_padded)) +
         aligned(gathered) + aligned(sizeof(float) * scores());
}

std::size_t BufferSizes::scores() const {
  return choosing ? static_cast<std::size_t>(chunks) * attention_chunk : 0;
}

std::size_t BufferSizes::total(int members) const {
  return pack(cells) + partials() + aligned(sizeof(float) * temporary) +
         static_cast<std::size_t>(members) * member();
}

void Work::lay_out(const BufferSizes& sizes, std::byte* block) {
  sizes_ = sizes;
  const auto take = [&block](std::size_t bytes) {
    std::byte* taken = block;
    block += aligned(bytes);
    return taken;
  };
  const auto take_floats = [&take](std::size_t count) {
    return reinterpret_cast<float*>(take(sizeof(float) * count));
  };
  pack_ = take(sizes.pack(sizes.cells));
  partials_ = reinterpret_cast<float*>(take(sizes.partials()));
  temporary_ = take_floats(sizes.temporary);
  members_.resize(static_cast<std::size_t>(team->size()));
  for (Member& m : members_) {
    m.tile_scratch = reinterpret_cast<std::uint8_t*>(take(sizes.tile_scratch));
    m.row = take(sizes.embedding_row);
    m.embedding = take_floats(sizes.embedding);
    m.pack = take(sizes.own_pack());
    for (float*& tile : m.tiles) tile = take_floats(16 * static_cast<std::size_t>(std::max(sizes.rows, 1)));
    m.scores = take_floats(attention_scratch);
    for (float*& values : m.values)
      values = take_floats(max_queries * static_cast<std::size_t>(sizes.value_padded));
    m.gathered = take(sizes.gathered);
    m.ranked = take_floats(sizes.scores());
  }
}

void Work::add_rope(const Rope& rope, int rows) {
  if (std::any_of(ropes_.begin(), ropes_.end(), [&](const RopeTable& t) { return t.rope == rope; })) return;
  const auto cells = static_cast<std::size_t>(rows) * static_cast<std::size_t>(rope.dims / 2);
  ropes_.push_back({rope, rope_frequencies(rope, rope.factors != none ? vector_of(rope.factors) : nullptr),
                    std::vector<float>(cells), std::vector<float>(cells)});
}

void Work::prepare_ropes(const Batch& now) {
  for (RopeTable& table : ropes_) {
    std::size_t at = 0;
    for (int r = 0; r < now.rows(); ++r)
      for (const float frequency : table.frequencies) {
        const double angle = static_cast<double>(now.position(r)) * static_cast<double>(frequency);
        table.cosines[at] = static_cast<float>(__builtin_cos(angle)) * table.rope.magnitude;
        table.sines[at++] = static_cast<float>(__builtin_sin(angle)) * table.rope.magnitude;
      }
  }
}

const float* Work::vector_of(WeightId id) const {
  return id == none ? nullptr : reinterpret_cast<const float*>(program->tensor(id).data);
}

void Work::multiply(const Linear& linear, int which, int tile, const PackedRows& in, int rows,
                    const Member& member, float* out) const {
  kernels->tile_matmul(weights[static_cast<std::size_t>(linear.weight)], tile, in, rows, member.tile_scratch,
                       out);
  if (linear.factors == none) return;
  const float factor = vector_of(linear.factors)[which];
  for (int i = 0; i < 16 * rows; ++i) out[i] *= factor;
}

NormView Work::norm_of(const Norm& norm, std::int64_t skip) const {
  const float* weight = vector_of(norm.weight);
  const float* bias = vector_of(norm.bias);
  return {.kind = norm.kind,
          .weight = weight != nullptr ? weight + skip : nullptr,
          .bias = bias != nullptr ? bias + skip : nullptr,
          .eps = norm.eps};
}

void Work::run_step(const Step& step, int index) {
  Member& member = members_[static_cast<std::size_t>(index)];
  switch (step.op) {
    case Op::embed:
      return embed(step, member);
    case Op::row:
      return rows(step);
    case Op::index:
      return choose(step, member);
    case Op::attend:
      return attend(step, member);
    case Op::qkv:
    case Op::matmul:
    case Op::gate_up:
      return matmul(step, member, index);
    case Op::logits:
      return step.linear[0].weight == none ? norm_only(step) : matmul(step, member, index);
    case Op::heads:
      return heads(step, member, index);
    case Op::route:
      matmul(step, member, index);
      next_phase();
      return route(step);
    case Op::experts_up:
      return experts_up(step, member, index);
    case Op::experts_down:
      return experts_down(step, member, index);
    case Op::conv:
      return conv(step);
    case Op::shift:
      return shift(step);
    case Op::scan:
      return scan(step);
  }
}

void Work::embed(const Step& step, Member& member) {
  const std::int64_t columns = program->slots[static_cast<std::size_t>(step.out)].width;
  const auto table_row = [&](const Linear& linear, std::int64_t which, float* out) {
    const Tensor& table = program->tensor(linear.weight);
    const TiledWeight& tiles = weights[static_cast<std::size_t>(linear.weight)];
    const std::byte* stored = table.row(which);
    Type type = table.type;
    if (tiles.data != nullptr) {  // the output matrix too: kept once, and the file's pages stay out of memory
      read_row(tiles, which, member.row);
      stored = member.row;
      type = tiles.type;
    }
    decode_row(type, stored, columns, out);
  };
  std::int32_t sequence = none;  // of the row before, and where its rows of the second type begin
  int second_type = 0;
  share(batch->rows(), 4, [&](int r) {
    if (batch->sequence(r) != sequence) {
      sequence = batch->sequence(r);
      second_type = batch->first_row_after(sequence, program->separator);
    }
    float* row = slots[static_cast<std::size_t>(step.out)] + r * columns;
    table_row(step.linear[0], batch->token(r), row);
    if (step.scale != 1)
      for (std::int64_t i = 0; i < columns; ++i) row[i] *= step.scale;
    for (int table = 1; table < 3; ++table) {
      if (step.linear[table].weight == none) continue;
      table_row(step.linear[table], table == 1 ? batch->position(r) : r >= second_type, member.embedding);
      for (std::int64_t i = 0; i < columns; ++i) row[i] += member.embedding[i];
    }
    if (step.norm.kind != Norm::Kind::off)
      kernels->normalise(norm_of(step.norm), row, static_cast<int>(columns), row);
  });
}

void Work::rows(const Step& step) {
  const auto of = [&](SlotId id, int r) {
    return id == none
               ? nullptr
               : slots[static_cast<std::size_t>(id)] + r * program->slots[static_cast<std::size_t>(id)].width;
  };
  share(batch->rows(), 1, [&](int r) {
    row_work(*program, step,
             {.x = of(step.x, r), .add = of(step.add, r), .mul = of(step.mul, r), .side = of(step.side, r)},
             of(step.out, r));
  });
}

void Work::norm_only(const Step& step) {
  const std::int64_t columns = program->slots[static_cast<std::size_t>(step.x)].width;
  share(batch->wanted(), 1, [&](int i) {
    kernels->normalise(norm_of(step.norm),
                       slots[static_cast<std::size_t>(step.x)] + batch->wanted_row(i) * columns,
                       static_cast<int>(columns), slots[static_cast<std::size_t>(step.out)] + i * columns);
  });
}

PackedRows Work::packed(std::byte* block, std::int64_t columns, int rows) const {
  PackedRows out{.rows = rows, .blocks = static_cast<int>((columns + 31) / 32)};
  const auto cells = static_cast<std::size_t>(out.blocks) * static_cast<std::size_t>(rows);
  if (sizes_.kept) {
    out.values = reinterpret_cast<float*>(block);
    block += 128 * cells;
  }
  out.codes = reinterpret_cast<std::int8_t*>(block);
  out.scale = reinterpret_cast<float*>(block + 32 * cells);
  out.sums = reinterpret_cast<std::int32_t*>(block + 36 * cells);
  out.eights = out.sums + 2 * cells;
  return out;
}

PackOptions Work::pack_options(const Step& step) const {
  PackOptions options{.norm = norm_of(step.norm)};
  for (const Linear& linear : step.linear)
    if (linear.weight != none)
      (type_info(program->tensor(linear.weight).type).block_elements > 1 ? options.quantise : options.keep) =
          true;
  return options;
}

// The step's input rows, normed and packed; complete for this member when it returns.
PackedRows Work::pack_input(const Step& step, Member& member, int index, int rows) {
  const std::int64_t columns = program->tensor(step.linear[0].weight).columns();
  const std::int64_t width = program->slots[static_cast<std::size_t>(step.x)].width;
  const float* x = slots[static_cast<std::size_t>(step.x)] + step.x_column;
  const PackOptions options = pack_options(step);
  const bool own = rows <= own_pack_rows;
  const PackedRows out = packed(own ? member.pack : pack_, columns, rows);
  const int first = own ? 0 : rows * index / team->size(),
            last = own ? rows : rows * (index + 1) / team->size();
  for (int r = first; r < last; ++r) {
    const int row = step.op == Op::logits ? batch->wanted_row(r) : r;
    kernels->pack(x + row * width, static_cast<int>(columns), options, r, out);
  }
  if (!own) next_phase();
  return out;
}

void Work::matmul(const Step& step, Member& member, int index) {
  const int rows = step.op == Op::logits ? batch->wanted() : batch->rows();
  if (rows == 0) return;
  const PackedRows in = pack_input(step, member, index, rows);
  if (step.op == Op::gate_up) {
    share_evenly(weights[static_cast<std::size_t>(step.linear[0].weight)].tiles(), [&](int t) {
      for (int l = 0; l < 2; ++l) multiply(step.linear[l], 0, t, in, rows, member, member.tiles[l]);
      store_tile(step, 0, t, rows, member);
    });
    return;
  }
  int ends[3] = {}, total = 0;
  for (int l = 0; l < 3; ++l) {
    if (step.linear[l].weight != none)
      total += weights[static_cast<std::size_t>(step.linear[l].weight)].tiles();
    ends[l] = total;
  }
  share_evenly(total, [&](int i) {
    const int l = i < ends[0] ? 0 : i < ends[1] ? 1 : 2, t = i - (l > 0 ? ends[l - 1] : 0);
    multiply(step.linear[l], 0, t, in, rows, member, member.tiles[0]);
    store_tile(step, l, t, rows, member);
  });
  if (step.post.kind == Norm::Kind::off) return;
  next_phase();
  finish_rows(step, static_cast<int>(program->tensor(step.linear[0].weight).rows()), 1);
}

void Work::store_tile(const Step& step, int linear, int tile, int rows, const Member& member) {
  const std::int64_t width = program->slots[static_cast<std::size_t>(step.out)].width;
  const std::int64_t first = 16 * static_cast<std::int64_t>(tile);
  const auto rows_of = [&](int l) { return program->tensor(step.linear[l].weight).rows(); };
  const auto bias = [&](int l) {
    const float* whole = vector_of(step.linear[l].bias);
    return whole != nullptr ? whole + first : nullptr;
  };
  const int count = static_cast<int>(std::min<std::int64_t>(16, rows_of(linear) - first));
  Epilogue epilogue{
      .bias = bias(linear), .activation = step.activation, .xielu = step.xielu, .clamp = step.clamp};
  // Rows that need another look as a whole wait for it.
  if (step.op == Op::route || step.post.kind != Norm::Kind::off)
    return kernels->store(member.tiles[0], rows, count, epilogue, temporary_ + first, rows_of(0));
  std::int64_t column = step.first_column + first;
  if (step.op == Op::qkv)
    for (int l = 0; l < linear; ++l) column += rows_of(l);
  float* out = slots[static_cast<std::size_t>(step.out)] + column;
  if (step.op == Op::gate_up)
    return kernels->store_gated(step.activation, step.clamp, member.tiles[0], member.tiles[1], rows, count,
                                bias(0), bias(1), out, width);
  epilogue.scale = step.scale;
  epilogue.softcap = step.softcap;
  epilogue.mul = step.mul != none ? slots[static_cast<std::size_t>(step.mul)] + column : nullptr;
  epilogue.add = step.add != none ? slots[static_cast<std::size_t>(step.add)] + column : nullptr;
  epilogue.out_scale = step.out_scale;
  kernels->store(member.tiles[0], rows, count, epilogue, out, width);
}

// The rest of matmul and experts_down: row r of `out` from the sum of `terms` rows of the temporary.
void Work::finish_rows(const Step& step, int columns, int terms) {
  const std::int64_t width = program->slots[static_cast<std::size_t>(step.out)].width;
  share(batch->rows(), 1, [&](int r) {
    float* sum = temporary_ + static_cast<std::ptrdiff_t>(r) * terms * columns;
    for (int k = 1; k < terms; ++k)
      for (int i = 0; i < columns; ++i) sum[i] += sum[k * columns + i];
    const NormView post = norm_of(step.post);
    if (!step.post_last && post.kind != Norm::Kind::off) kernels->normalise(post, sum, columns, sum);
    float* out = slots[static_cast<std::size_t>(step.out)] + r * width + step.first_column;
    const float* add = step.add != none ? slots[static_cast<std::size_t>(step.add)] + r * width : nullptr;
    const float* mul = step.mul != none ? slots[static_cast<std::size_t>(step.mul)] + r * width : nullptr;
    for (int i = 0; i < columns; ++i) {
      const float scaled = (mul != nullptr ? sum[i] * mul[i] : sum[i]) * step.scale;
      out[i] = (add != nullptr ? scaled + add[i] : scaled) * step.out_scale;
    }
    if (step.post_last && post.kind != Norm::Kind::off) kernels->normalise(post, out, columns, out);
  });
}

}  // namespace rf
