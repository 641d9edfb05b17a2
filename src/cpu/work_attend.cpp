// The attention step: heads are normed, rotated and stored, then shared out by tile (some rows of a sequence)
// and KV head, and by chunk of positions too while one token is decoded or only few rows of a prompt are
// read.
#include <algorithm>
#include <limits>
#include <utility>

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

  cut_tiles(heads, member.row_tiles);
  const std::vector<RowTile>& tiles = member.row_tiles;
  const int parts = tiles.back().end_part;
  share(parts, 1, [&](int i) {
    const int part = parts - 1 - i;
    const auto tile = std::ranges::upper_bound(tiles, part, {}, &RowTile::end_part);
    const int piece = part - (tile->end_part - tile->pieces() * a.kv_heads);
    if (tile->cells == none) return attend_whole(heads, *tile, piece, member);
    attend_one_chunk(heads, *tile, piece / a.kv_heads, piece % a.kv_heads, member);
  });
  if (std::ranges::all_of(tiles, [](const RowTile& tile) { return tile.cells == none; })) return;
  next_phase();
  share(static_cast<int>(tiles.size()) * a.heads, 1, [&](int i) {
    const RowTile& tile = tiles[static_cast<std::size_t>(i / a.heads)];
    if (tile.cells != none) merge_chunks(heads, tile, i % a.heads);
  });
}

// The same for every member. One row is cut by chunks; more are only where whole tiles would not occupy all
// members evenly, as far as there is room for the partial results.
void Work::cut_tiles(const Heads& heads, std::vector<RowTile>& tiles) const {
  const Attention& a = heads.attention;
  tiles.clear();
  int whole = 0;
  for (int s = 0; s < batch->sequences(); ++s) {
    const int first = batch->first_row(s), end = first + batch->row_count(s), length = length_of(*batch, s);
    const auto visible = [&](int row) {
      return visible_positions(a.sees, a.window, batch->position(row), length);
    };
    if (end - first > 1) whole += (end - first + heads.tile_rows - 1) / heads.tile_rows * a.kv_heads;
    for (int row = first; row < end; row += heads.tile_rows) {
      const int rows = std::min(heads.tile_rows, end - row), chunk = visible(row).first / attention_chunk;
      const int last = (visible(row + rows - 1).end - 1) / attention_chunk;
      tiles.push_back({.row = row, .rows = rows, .first_chunk = chunk, .chunks = last + 1 - chunk});
    }
  }
  const bool few = whole < even_pieces * team->size();
  int part = 0, cell = 0, of_several = 0;
  for (RowTile& tile : tiles) {
    const int cells = tile.rows * tile.chunks;
    if (tile.chunks > 1 && (tile.rows == 1 || (few && of_several + cells <= shared_cells))) {
      tile.cells = std::exchange(cell, cell + cells);
      if (tile.rows > 1) of_several += cells;
    }
    tile.end_part = part += tile.pieces() * a.kv_heads;
  }
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

HeadTile Work::head_tile(const Heads& heads, const RowTile& tile, int kv_head) const {
  const Attention& a = heads.attention;
  const int sequence = batch->sequence(tile.row), first = kv_head * heads.group;
  return {.q = heads.qkv + tile.row * heads.width + heads.query_at(first),
          .q_stride = heads.width,
          .head_stride = heads.head_stride(),
          .rows = tile.rows,
          .heads = heads.group,
          .position = batch->position(tile.row),
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

Partial Work::shared_partial(const Heads& heads, const RowTile& tile, int chunk, int row, int head) const {
  const std::int64_t cell = tile.cells + chunk * tile.rows + row;
  float* at = partials_ + (cell * heads.attention.heads + head) * (sizes_.value_padded + 2);
  return {at[0], at[1], at + 2};
}

// `chunk` counts from the tile's first.
void Work::attend_one_chunk(const Heads& heads, const RowTile& tile, int chunk, int kv_head, Member& member) {
  const int queries = tile.rows * heads.group, first_head = kv_head * heads.group;
  Partial partials[max_queries];
  for (int i = 0; i < queries; ++i)
    partials[i] = shared_partial(heads, tile, chunk, i / heads.group, first_head + i % heads.group);
  kernels->attend_chunk(heads.layout, head_tile(heads, tile, kv_head), tile.first_chunk + chunk,
                        member.scores, partials);
  for (int i = 0; i < queries; ++i) {
    partials[i].values[-2] = partials[i].largest;
    partials[i].values[-1] = partials[i].weight;
  }
}

void Work::merge_chunks(const Heads& heads, const RowTile& tile, int head) {
  for (int r = 0; r < tile.rows; ++r) {
    Partial all = shared_partial(heads, tile, 0, r, head);
    for (int c = 1; c < tile.chunks; ++c)
      kernels->merge(all, shared_partial(heads, tile, c, r, head), heads.layout.value_padded);
    finish_head(heads, all, tile.row + r, head);
  }
}

void Work::attend_whole(const Heads& heads, const RowTile& tile, int kv_head, Member& member) {
  const HeadTile queries_of = head_tile(heads, tile, kv_head);
  const int queries = tile.rows * heads.group, padded = heads.layout.value_padded;
  Partial all[max_queries], next[max_queries];
  for (int i = 0; i < queries; ++i) {
    all[i] = {0, 0, member.values[0] + i * padded};
    next[i] = {0, 0, member.values[1] + i * padded};
  }
  for (int c = 0; c < tile.chunks; ++c) {
    kernels->attend_chunk(heads.layout, queries_of, tile.first_chunk + c, member.scores, c == 0 ? all : next);
    if (c == 0) continue;
    for (int i = 0; i < queries; ++i) kernels->merge(all[i], next[i], padded);
  }
  for (int i = 0; i < queries; ++i)
    finish_head(heads, all[i], tile.row + i / heads.group, kv_head * heads.group + i % heads.group);
}

}  // namespace rf
