// The attention step: heads are normed, rotated and stored, then shared out by sequence, KV head and piece of
// work: a tile of rows while a prompt is read, a chunk of positions while one token is decoded.
#include <algorithm>

#include "cpu/work.h"

namespace rf {

struct Work::Heads {
  const Attention& attention;
  const CacheLayout& layout;
  std::byte* cache;
  float* qkv;  // [rows][width]
  float* out;
  std::int64_t width, out_width;
  int group;      // query heads of one KV head
  int tile_rows;  // rows of a full tile

  std::int64_t key_at(int kv_head) const {
    return static_cast<std::int64_t>(attention.heads + kv_head) * attention.key_dim;
  }
  std::int64_t value_at(int kv_head) const {
    return static_cast<std::int64_t>(attention.heads + attention.kv_heads) * attention.key_dim +
           static_cast<std::int64_t>(kv_head) * attention.value_dim;
  }
};

namespace {

// A sequence with one row is shared out by chunks of its positions, others by tiles of their rows.
int chunks_of(const Batch& batch, int sequence) {
  return batch.position(batch.first_row(sequence)) / attention_chunk + 1;
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
                    .tile_rows = fit >= 8 ? fit / 8 * 8 : fit};
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
  const auto table =
      std::find_if(ropes_.begin(), ropes_.end(), [&](const RopeTable& t) { return t.rope == a.rope; });
  const float* q_norm = vector_of(a.q_norm);
  const float* k_norm = vector_of(a.k_norm);
  share(batch->rows() * a.kv_heads, 4, [&](int i) {
    const int row = i / a.kv_heads, kv_head = i % a.kv_heads;
    float* qkv = heads.qkv + row * heads.width;
    const float* cosines = table->cosines.data() + static_cast<std::ptrdiff_t>(row) * (a.rope.dims / 2);
    const float* sines = table->sines.data() + static_cast<std::ptrdiff_t>(row) * (a.rope.dims / 2);
    const auto prepare = [&](float* head, const float* norm) {
      kernels->prepare_head(head, a.key_dim, norm, a.norm_eps, a.rope.pairs, a.rope.dims, cosines, sines);
    };
    for (int h = kv_head * heads.group; h < (kv_head + 1) * heads.group; ++h)
      prepare(qkv + static_cast<std::ptrdiff_t>(h) * a.key_dim, q_norm);
    float* key = qkv + heads.key_at(kv_head);
    prepare(key, k_norm);
    kernels->store_kv(heads.layout, heads.cache, batch->pages(batch->sequence(row)), batch->position(row),
                      kv_head, key, qkv + heads.value_at(kv_head));
  });
}

HeadTile Work::head_tile(const Heads& heads, int row, int rows, int kv_head) const {
  const Attention& a = heads.attention;
  return {.q = heads.qkv + row * heads.width + static_cast<std::ptrdiff_t>(kv_head) * heads.group * a.key_dim,
          .q_stride = heads.width,
          .rows = rows,
          .heads = heads.group,
          .position = batch->position(row),
          .pages = batch->pages(batch->sequence(row)),
          .cache = heads.cache,
          .kv_head = kv_head,
          .scale = a.scale,
          .window = a.window};
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
  const Attention& a = heads.attention;
  const int row = batch->first_row(sequence), first_head = kv_head * heads.group;
  const HeadTile tile = head_tile(heads, row, 1, kv_head);
  Partial partials[max_queries];
  for (int h = 0; h < heads.group; ++h) partials[h] = shared_partial(heads, sequence, chunk, first_head + h);
  kernels->attend_chunk(heads.layout, tile, chunk, member.scores, partials);
  const bool whole = chunks_of(*batch, sequence) == 1;
  for (int h = 0; h < heads.group; ++h) {
    if (whole) {
      kernels->finish(
          partials[h], a.value_dim,
          heads.out + row * heads.out_width + static_cast<std::ptrdiff_t>(first_head + h) * a.value_dim);
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
  kernels->finish(all, heads.attention.value_dim,
                  heads.out + batch->first_row(sequence) * heads.out_width +
                      static_cast<std::ptrdiff_t>(head) * heads.attention.value_dim);
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
  const int last_chunk = (tile.position + rows - 1) / attention_chunk;
  int first_chunk = 0;
  if (a.window > 0) first_chunk = std::max(0, tile.position - a.window + 1) / attention_chunk;
  for (int c = first_chunk; c <= last_chunk; ++c) {
    kernels->attend_chunk(heads.layout, tile, c, member.scores, c == first_chunk ? all : next);
    if (c == first_chunk) continue;
    for (int i = 0; i < queries; ++i) kernels->merge(all[i], next[i], padded);
  }
  for (int i = 0; i < queries; ++i)
    kernels->finish(all[i], a.value_dim,
                    heads.out + (row + i / heads.group) * heads.out_width +
                        static_cast<std::ptrdiff_t>(first_head + i % heads.group) * a.value_dim);
}

}  // namespace rf
