// The attention step: heads are normed, rotated and stored, then shared out by tile (some rows of a sequence)
// and KV head, and by chunk of positions too while one token is decoded or only few rows of a prompt are
// read. The step before it that chooses positions: its heads likewise, then scores by row and chunk, then the
// choice by row.
#include <algorithm>
#include <limits>
#include <utility>

#include "cpu/work.h"
#include "ops/attention.h"
#include "ops/selection.h"

namespace rf {

struct Work::Heads {
  const Attention& attention;
  const Selection* selection;  // null: rows see all
  const CacheLayout &layout, &gathered;
  std::byte* cache;
  float* qkv;  // [rows][width]
  float* out;
  std::int64_t width, out_width;
  int group;                  // query heads of one part: a KV head's, cut where these are too many
  int tile_rows;              // rows of a full tile
  std::vector<float> slopes;  // ALiBi's of all query heads, or none

  int parts() const { return attention.heads / group; }
  int kv_head_of(int part) const { return part * group / (attention.heads / attention.kv_heads); }
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

Work::Heads Work::heads_of(const Step& step) const {
  const Attention& a = step.attention;
  const auto cache = static_cast<std::size_t>(a.cache);
  int group = a.heads / a.kv_heads;
  for (int cuts = 1; group > max_queries; ++cuts)
    if (a.heads / a.kv_heads % cuts == 0) group = a.heads / a.kv_heads / cuts;
  const int fit = max_queries / group;
  return {.attention = a,
          .selection = step.side != none ? &step.selection : nullptr,
          .layout = layouts[cache],
          .gathered = gathered_layouts[cache],
          .cache = caches[cache],
          .qkv = slots[static_cast<std::size_t>(step.x)],
          .out = slots[static_cast<std::size_t>(step.out)],
          .width = program->slots[static_cast<std::size_t>(step.x)].width,
          .out_width = program->slots[static_cast<std::size_t>(step.out)].width,
          .group = group,
          .tile_rows = fit >= 8 ? fit / 8 * 8 : fit,
          .slopes = alibi_slopes(a)};
}

void Work::attend(const Step& step, Member& member) {
  const Attention& a = step.attention;
  const Heads heads = heads_of(step);
  store_heads(step, heads);
  next_phase();

  cut_tiles(step, heads, member.row_tiles);
  const std::vector<RowTile>& tiles = member.row_tiles;
  const int parts = tiles.back().end_part;
  share(parts, 1, [&](int i) {
    const int part = parts - 1 - i;
    const auto tile = std::ranges::upper_bound(tiles, part, {}, &RowTile::end_part);
    const int piece = part - (tile->end_part - tile->pieces() * heads.parts());
    if (tile->cells == none) return attend_whole(heads, *tile, piece, member);
    attend_one_chunk(heads, *tile, piece / heads.parts(), piece % heads.parts(), member);
  });
  if (std::ranges::all_of(tiles, [](const RowTile& tile) { return tile.cells == none; })) return;
  next_phase();
  share(static_cast<int>(tiles.size()) * a.heads, 1, [&](int i) {
    const RowTile& tile = tiles[static_cast<std::size_t>(i / a.heads)];
    if (tile.cells != none) merge_chunks(heads, tile, i % a.heads);
  });
}

// The same for every member. A row that is alone is cut by chunks; others are only where whole tiles would
// not occupy all members evenly, as far as there is room for the partial results.
void Work::cut_tiles(const Step& step, const Heads& heads, std::vector<RowTile>& tiles) const {
  const Attention& a = heads.attention;
  tiles.clear();
  int whole = 0;
  for (int s = 0; s < batch->sequences(); ++s) {
    const int first = batch->first_row(s), end = first + batch->row_count(s), length = length_of(*batch, s);
    const auto visible = [&](int row) {
      return visible_positions(a.sees, a.window, batch->position(row), length);
    };
    int dense_end = end;  // rows from there on see chosen positions
    if (heads.selection != nullptr)
      while (dense_end > first && !heads.selection->sees_all(batch->position(dense_end - 1))) --dense_end;
    const bool alone = end - first == 1;
    if (!alone)
      whole +=
          ((dense_end - first + heads.tile_rows - 1) / heads.tile_rows + end - dense_end) * heads.parts();
    for (int row = first; row < dense_end; row += heads.tile_rows) {
      const int rows = std::min(heads.tile_rows, dense_end - row),
                chunk = visible(row).first / attention_chunk;
      const int last = (visible(row + rows - 1).end - 1) / attention_chunk;
      tiles.push_back(
          {.row = row, .rows = rows, .first_chunk = chunk, .chunks = last + 1 - chunk, .alone = alone});
    }
    for (int row = dense_end; row < end; ++row) {
      const std::int64_t positions = std::int64_t{heads.selection->blocks} * heads.selection->block;
      const auto chunks = static_cast<int>((positions + attention_chunk - 1) / attention_chunk);
      tiles.push_back(
          {.row = row,
           .rows = 1,
           .first_chunk = 0,
           .chunks = chunks,
           .alone = alone,
           .chosen = slots[static_cast<std::size_t>(step.side)] + row * heads.selection->width()});
    }
  }
  const bool few = whole < even_pieces * team->size();
  int part = 0, cell = 0, of_several = 0;
  for (RowTile& tile : tiles) {
    const int cells = tile.rows * tile.chunks;
    if (tile.chunks > 1 && (tile.alone || (few && of_several + cells <= shared_cells))) {
      tile.cells = std::exchange(cell, cell + cells);
      if (!tile.alone) of_several += cells;
    }
    tile.end_part = part += tile.pieces() * heads.parts();
  }
}

void Work::store_heads(const Step& step, const Heads& heads) {
  const Attention& a = step.attention;
  // Norms over all heads of a row leave one piece of work a row.
  const int pieces = a.norm_over == Attention::NormOver::row ? 1 : a.kv_heads, count = a.kv_heads / pieces;
  const int group = a.heads / a.kv_heads;
  share(batch->rows() * pieces, 4, [&](int i) {
    const int row = i / pieces, first = i % pieces * count;
    float* qkv = heads.qkv + row * heads.width;
    prepare_heads(a, row, qkv + heads.query_at(first * group), count * group, heads.head_stride(),
                  first * group, a.key_dim, a.q_norm);
    if (const double grow = query_temperature(a, batch->position(row)); grow != 1)
      for (std::int64_t k = heads.query_at(first * group); k < heads.query_at((first + count) * group); ++k)
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

HeadTile Work::head_tile(const Heads& heads, const RowTile& tile, int part) const {
  const Attention& a = heads.attention;
  const int sequence = batch->sequence(tile.row), first = part * heads.group;
  return {.q = heads.qkv + tile.row * heads.width + heads.query_at(first),
          .q_stride = heads.width,
          .head_stride = heads.head_stride(),
          .rows = tile.rows,
          .heads = heads.group,
          .position = batch->position(tile.row),
          .pages = batch->pages(sequence),
          .cache = heads.cache,
          .kv_head = heads.kv_head_of(part),
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

// Copies the positions of chunk `chunk` of those that the tile's row has chosen. Returns how many they are.
int Work::gather(const Heads& heads, const RowTile& tile, int chunk, int kv_head, std::byte* to) const {
  const Selection& c = *heads.selection;
  const float* list = tile.chosen + (c.groups > 1 ? kv_head * c.blocks : 0);
  const std::int32_t* pages = batch->pages(batch->sequence(tile.row));
  const CacheLayout& layout = heads.layout;
  int count = 0;
  for (int i = chunk * attention_chunk; count < attention_chunk && i / c.block < c.blocks; ++i, ++count) {
    const int position = static_cast<int>(list[i / c.block]) * c.block + i % c.block;
    if (position > batch->position(tile.row)) break;  // the last block is not full yet
    const std::byte* head = heads.cache +
                            static_cast<std::size_t>(pages[position / layout.page]) * layout.page_bytes +
                            static_cast<std::size_t>(kv_head) * layout.head_bytes;
    copy_position(layout, head, position % layout.page, heads.gathered, to, count);
  }
  return count;
}

// `chunk` counts from the tile's first.
void Work::attend_chunk(const Heads& heads, const RowTile& tile, int chunk, int part, Member& member,
                        Partial* partials) const {
  HeadTile queries = head_tile(heads, tile, part);
  if (tile.chosen == nullptr)
    return kernels->attend_chunk(heads.layout, queries, tile.first_chunk + chunk, member.scores, partials);
  static constexpr std::int32_t page = 0;
  queries.length = gather(heads, tile, chunk, queries.kv_head, member.gathered);
  queries.position = queries.length - 1;
  queries.pages = &page;
  queries.cache = member.gathered;
  queries.kv_head = 0;
  kernels->attend_chunk(heads.gathered, queries, 0, member.scores, partials);
}

void Work::attend_one_chunk(const Heads& heads, const RowTile& tile, int chunk, int part, Member& member) {
  const int queries = tile.rows * heads.group, first_head = part * heads.group;
  Partial partials[max_queries];
  for (int i = 0; i < queries; ++i)
    partials[i] = shared_partial(heads, tile, chunk, i / heads.group, first_head + i % heads.group);
  attend_chunk(heads, tile, chunk, part, member, partials);
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

void Work::attend_whole(const Heads& heads, const RowTile& tile, int part, Member& member) {
  const int queries = tile.rows * heads.group, padded = heads.layout.value_padded;
  Partial all[max_queries], next[max_queries];
  for (int i = 0; i < queries; ++i) {
    all[i] = {0, 0, member.values[0] + i * padded};
    next[i] = {0, 0, member.values[1] + i * padded};
  }
  for (int c = 0; c < tile.chunks; ++c) {
    attend_chunk(heads, tile, c, part, member, c == 0 ? all : next);
    if (c == 0) continue;
    for (int i = 0; i < queries; ++i) kernels->merge(all[i], next[i], padded);
  }
  for (int i = 0; i < queries; ++i)
    finish_head(heads, all[i], tile.row + i / heads.group, part * heads.group + i % heads.group);
}

void Work::choose(const Step& step, Member& member) {
  const Selection& c = step.selection;
  const Heads heads = heads_of(step);
  store_heads(step, heads);
  next_phase();

  const int group = heads.attention.heads / c.groups, at_once = std::max(1, choosing_at_once / c.groups);
  const std::size_t most = sizes_.scores();
  const auto scores = [&](int row, int g) {
    return temporary_ + static_cast<std::size_t>(row % at_once * c.groups + g) * most;
  };
  for (int first = 0; first < batch->rows(); first += at_once) {
    const int rows = std::min(at_once, batch->rows() - first);
    int chunks = 0;
    for (int r = first; r < first + rows; ++r)
      if (!c.sees_all(batch->position(r)))
        chunks = std::max(chunks, batch->position(r) / attention_chunk + 1);
    share(rows * chunks, 1, [&](int i) {
      const int row = first + i % rows, chunk = i / rows, position = batch->position(row);
      if (c.sees_all(position) || chunk * attention_chunk > position) return;
      const float* factors = heads.qkv + row * heads.width + heads.attention.row_width();
      HeadTile queries = head_tile(heads, {.row = row, .rows = 1, .first_chunk = 0, .chunks = 0}, 0);
      queries.scale = 1;
      queries.heads = group;
      for (int g = 0; g < c.groups; ++g, factors += group) {
        queries.q = heads.qkv + row * heads.width + heads.query_at(g * group);
        kernels->score_chunk(heads.layout, queries, c.weighted ? factors : nullptr, chunk, member.scores,
                             scores(row, g) + chunk * attention_chunk);
      }
    });
    next_phase();
    share(rows * c.groups, 1, [&](int i) {
      const int row = first + i / c.groups, g = i % c.groups;
      choose_blocks(c, batch->position(row), scores(row, g), member.ranked,
                    heads.out + row * heads.out_width + std::int64_t{g} * c.blocks);
    });
    next_phase();
  }
}

}  // namespace rf
