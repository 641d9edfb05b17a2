// The attention step: heads are normed, rotated and stored, then shared out by sequence, KV head and piece of
// work: a tile of rows while a prompt is read, a chunk of positions while one token is decoded.
#include <algorithm>
#include <limits>

#include "cpu/work.h"
#include "ops/attention.h"

namespace rf {

struct Work::Heads {
  const Attention& attention;
  const CacheLayout& layout;
  std::byte* cache;
  float* qkv;  // [rows][width]
  float* out;
  std::int64_t width, out_width;
  int group;                  // query heads of one KV head
  int tile_rows;              // rows of a full tile
  std::vector<float> slopes;  // ALiBi's of all query heads, or none

  int head_stride() const { return attention.key_dim * (attention.gated ? 2 : 1); }
  std::int64_t query_at(int head) const { return static_cast<std::int64_t>(head) * head_stride(); }
  std::int64_t key_at(int kv_head) const {
    return attention.query_width() + static_cast<std::int64_t>(kv_head) * attention.key_dim;
  }
  std::int64_t value_at(int kv_head) const {
    return key_at(attention.kv_heads) + static_cast<std::int64_t>(kv_head) * attention.value_dim;
  }
};

namespace {

// A sequence with one row is shared out by chunks of its positions, others by tiles of their rows.
int chunks_of(const Batch& batch, int sequence) {
  return batch.position(batch.first_row(sequence)) / attention_chunk + 1;
}

// Positions that a sequence has with this batch.
int length_of(const Batch& batch, int sequence) {
  return batch.position(batch.first_row(sequence)) + batch.row_count(sequence);
}

std::vector<float> alibi_slopes(const Attention& attention) {
  std::vector<float> slopes;
  for (int h = 0; attention.alibi > 0 && h < attention.heads; ++h)
    slopes.push_back(static_cast<float>(alibi_slope(attention, h)));
  return slopes;
}

int parts_of(const Batch& batch, int sequence, int tile_rows) {
  const int rows = batch.row_count(sequence);
  return rows == 1 ? chunks_of(batch, sequence) : (rows + tile_rows - 1) / tile_rows;
}

}  // namespace

void Work::attend(const Step& step, Member& member) {
  const Attention& a = step.attention;
  const auto cache = static_cast<std::size_t>(a.cache);
  const int group = a.heads / a.kv_heads;
  const int fit = max_queries / group;
  const Heads heads{.attention = a,
                    .layout = layouts[cache],
                    .cache = caches[cache],
                    .qkv = slots[static_cast<std::size_t>(step.x)],
                    .out = slots[static_cast<std::size_t>(step.out)],
                    .width = program->slots[static_cast<std::size_t>(step.x)].width,
                    .out_width = program->slots[static_cast<std::size_t>(step.out)].width,
                    .group = group,
                    .tile_rows = fit >= 8 ? fit / 8 * 8 : fit,
                    .slopes = alibi_slopes(a)};
  store_heads(step, heads);
  next_phase();

  int parts = 0;
  bool split = false;
  for (int s = 0; s < batch->sequences(); ++s) {
    parts += parts_of(*batch, s, heads.tile_rows) * a.kv_heads;
    split = split || (batch->row_count(s) == 1 && chunks_of(*batch, s) > 1);
  }
  share(parts, 1, [&](int part) { attend_part(heads, parts - 1 - part, member); });
  if (!split) return;
  next_phase();
  share(batch->sequences() * a.heads, 1, [&](int i) { merge_chunks(heads, i / a.heads, i % a.heads); });
}

void Work::store_heads(const Step& step, const Heads& heads) {
  const Attention& a = step.attention;
  // Norms over all heads of a row leave one piece of work a row.
  const int pieces = a.norm_over == Attention::NormOver::row ? 1 : a.kv_heads, count = a.kv_heads / pieces;
  share(batch->rows() * pieces, 4, [&](int i) {
    const int row = i / pieces, first = i % pieces * count;
    float* qkv = heads.qkv + row * heads.width;
    prepare_heads(a, row, qkv + heads.query_at(first * heads.group), count * heads.group, heads.head_stride(),
                  first * heads.group, a.key_dim, a.q_norm);
    if (const double grow = query_temperature(a, batch->position(row)); grow != 1)
      for (std::int64_t k = heads.query_at(first * heads.group);
           k < heads.query_at((first + count) * heads.group); ++k)
        qkv[k] = static_cast<float>(qkv[k] * grow);
    if (!a.stores) return;
    const int normed = a.key_normed > 0 ? a.key_normed : a.key_dim;
    prepare_heads(a, row, qkv + heads.key_at(first), count, a.key_dim, first, normed, a.k_norm);
    for (int h = first; h < first + count; ++h) {
      float* value = a.key_is_value ? nullptr : qkv + heads.value_at(h);
      if (a.v_norm.kind != Norm::Kind::off) {
        const std::int64_t skip = shared_norm(a.v_norm, a.value_dim) ? 0 : std::int64_t{h} * a.value_dim;
        kernels->normalise(norm_of(a.v_norm, skip), value, a.value_dim, value);
      }
      kernels->store_kv(heads.layout, heads.cache, batch->pages(batch->sequence(row)), batch->position(row),
                        h, qkv + heads.key_at(h), value);
    }
  });
}

bool Work::shared_norm(const Norm& norm, int dim) const {
  return norm.weight == none ||
         program->tensor(norm.weight).columns() * program->tensor(norm.weight).rows() == dim;
}

// Norms and turns `count` heads of a row, of which the first is head `number`, over their first `normed`
// elements.
void Work::prepare_heads(const Attention& a, int row, float* first, int count, int stride, int number,
                         int normed, const Norm& norm) {
  const auto normalise = [&] {
    if (norm.kind == Norm::Kind::off) return;
    if (a.norm_over == Attention::NormOver::row)
      return kernels->normalise(norm_of(norm), first, count * normed, first);
    const bool shared = shared_norm(norm, normed);
    for (int h = 0; h < count; ++h) {
      float* head = first + static_cast<std::ptrdiff_t>(h) * stride;
      kernels->normalise(norm_of(norm, shared ? 0 : std::int64_t{number + h} * normed), head, normed, head);
    }
  };
  if (!a.norm_after_rope) normalise();
  if (a.rope.dims > 0) {
    const auto table =
        std::find_if(ropes_.begin(), ropes_.end(), [&](const RopeTable& t) { return t.rope == a.rope; });
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(row) * (a.rope.dims / 2);
    for (int h = 0; h < count; ++h)
      kernels->rotate(first + static_cast<std::ptrdiff_t>(h) * stride + a.rope.offset, a.rope.pairs,
                      a.rope.dims, table->cosines.data() + at, table->sines.data() + at);
  }
  if (a.norm_after_rope) normalise();
}

// Divides a result by its weight into its place in the step's output.
void Work::finish_head(const Heads& heads, const Partial& partial, int row, int head) {
  const Attention& a = heads.attention;
  const float* sinks = vector_of(a.sinks);
  const float* gate = a.gated ? heads.qkv + row * heads.width + heads.query_at(head) + a.key_dim : nullptr;
  kernels->finish(partial, a.value_dim,
                  sinks != nullptr ? sinks[head] : -std::numeric_limits<float>::infinity(), gate,
                  heads.out + row * heads.out_width + static_cast<std::ptrdiff_t>(head) * a.value_dim);
}

HeadTile Work::head_tile(const Heads& heads, int row, int rows, int kv_head) const {
  const Attention& a = heads.attention;
  const int sequence = batch->sequence(row), first = kv_head * heads.group;
  return {.q = heads.qkv + row * heads.width + heads.query_at(first),
          .q_stride = heads.width,
          .head_stride = heads.head_stride(),
          .rows = rows,
          .heads = heads.group,
          .position = batch->position(row),
          .pages = batch->pages(sequence),
          .cache = heads.cache,
          .kv_head = kv_head,
          .scale = a.scale,
          .sees = a.sees,
          .window = a.window,
          .length = length_of(*batch, sequence),
          .softcap = a.softcap,
          .slopes = heads.slopes.empty() ? nullptr : heads.slopes.data() + first};
}

void Work::attend_part(const Heads& heads, int part, Member& member) {
  const int kv_heads = heads.attention.kv_heads;
  for (int s = 0; s < batch->sequences(); ++s) {
    const int parts = parts_of(*batch, s, heads.tile_rows) * kv_heads;
    if (part >= parts) {
      part -= parts;
      continue;
    }
    const int piece = part / kv_heads, kv_head = part % kv_heads;
    const int rows = batch->row_count(s);
    if (rows == 1) return attend_chunk_of_row(heads, s, piece, kv_head, member);
    const int first = piece * heads.tile_rows;
    return attend_tile(heads, s, first, std::min(heads.tile_rows, rows - first), kv_head, member);
  }
}

Partial Work::shared_partial(const Heads& heads, int sequence, int chunk, int head) const {
  const std::int64_t cell =
      (static_cast<std::int64_t>(sequence) * sizes_.chunks + chunk) * heads.attention.heads + head;
  float* at = partials_ + cell * (sizes_.value_padded + 2);
  return {at[0], at[1], at + 2};
}

void Work::attend_chunk_of_row(const Heads& heads, int sequence, int chunk, int kv_head, Member& member) {
  const int row = batch->first_row(sequence), first_head = kv_head * heads.group;
  const HeadTile tile = head_tile(heads, row, 1, kv_head);
  Partial partials[max_queries];
  for (int h = 0; h < heads.group; ++h) partials[h] = shared_partial(heads, sequence, chunk, first_head + h);
  kernels->attend_chunk(heads.layout, tile, chunk, member.scores, partials);
  const bool whole = chunks_of(*batch, sequence) == 1;
  for (int h = 0; h < heads.group; ++h) {
    if (whole) {
      finish_head(heads, partials[h], row, first_head + h);
      continue;
    }
    partials[h].values[-2] = partials[h].largest;
    partials[h].values[-1] = partials[h].weight;
  }
}

void Work::merge_chunks(const Heads& heads, int sequence, int head) {
  const int chunks = chunks_of(*batch, sequence);
  if (batch->row_count(sequence) > 1 || chunks == 1) return;
  Partial all = shared_partial(heads, sequence, 0, head);
  for (int c = 1; c < chunks; ++c)
    kernels->merge(all, shared_partial(heads, sequence, c, head), heads.layout.value_padded);
  finish_head(heads, all, batch->first_row(sequence), head);
}

void Work::attend_tile(const Heads& heads, int sequence, int first, int rows, int kv_head, Member& member) {
  const Attention& a = heads.attention;
  const int row = batch->first_row(sequence) + first, first_head = kv_head * heads.group;
  const HeadTile tile = head_tile(heads, row, rows, kv_head);
  const int queries = rows * heads.group, padded = heads.layout.value_padded;
  Partial all[max_queries], next[max_queries];
  for (int i = 0; i < queries; ++i) {
    all[i] = {0, 0, member.values[0] + i * padded};
    next[i] = {0, 0, member.values[1] + i * padded};
  }
  const auto visible = [&](int r) {
    return visible_positions(a.sees, a.window, tile.position + r, tile.length);
  };
  const int first_chunk = visible(0).first / attention_chunk,
            last_chunk = (visible(rows - 1).end - 1) / attention_chunk;
  for (int c = first_chunk; c <= last_chunk; ++c) {
    kernels->attend_chunk(heads.layout, tile, c, member.scores, c == first_chunk ? all : next);
    if (c == first_chunk) continue;
    for (int i = 0; i < queries; ++i) kernels->merge(all[i], next[i], padded);
  }
  for (int i = 0; i < queries; ++i)
    finish_head(heads, all[i], row + i / heads.group, first_head + i % heads.group);
}

}  // namespace rf
