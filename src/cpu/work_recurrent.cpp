// Convolutions, token shifts and recurrences: shared out by sequence and by channels or heads, each taken
// through the rows of its sequence in their order.
#include <algorithm>

#include "cpu/work.h"

namespace rf {
namespace {

// Tiles of 16 channels that one member takes through the rows side by side, so many rows at a time: what it
// reads of them then lies in its nearest cache.
constexpr int tiles_together = 4, rows_together = 32;

int tiles_of(std::int64_t channels) {
  return static_cast<int>((channels + 15) / 16);
}

}  // namespace

std::size_t state_floats(const Step& step) {
  const auto size = [](std::int64_t a, std::int64_t b) { return static_cast<std::size_t>(a * b); };
  const Scan& s = step.scan;
  if (step.op == Op::conv) return size(16 * tiles_of(step.conv.channels), step.conv.kernel - 1);
  if (step.op == Op::scan) return size(std::int64_t{s.heads} * 16 * tiles_of(s.value_dim), s.key_dim);
  return 0;
}

float* Work::state_of_sequence(StateId id, int sequence) const {
  return states[static_cast<std::size_t>(id)] +
         static_cast<std::size_t>(batch->state(sequence)) * state_widths[static_cast<std::size_t>(id)];
}

// Calls each(sequence, tile, first row, rows) for every tile of every sequence.
template <class Each>
void Work::share_tiles(std::int64_t channels, Each each) {
  const int tiles = tiles_of(channels), blocks = (tiles + tiles_together - 1) / tiles_together;
  share(batch->sequences() * blocks, 2, [&](int i) {
    const int sequence = i / blocks, rows = batch->row_count(sequence),
              first_tile = i % blocks * tiles_together;
    for (int r = 0; r < rows; r += rows_together)
      for (int t = first_tile; t < std::min(first_tile + tiles_together, tiles); ++t)
        each(sequence, t, r, std::min(rows_together, rows - r));
  });
}

// A state, from zero on where the sequence begins with row `r` of the batch.
float* Work::begun(float* state, std::size_t floats, int row) const {
  if (batch->position(row) == 0) std::fill_n(state, floats, 0.0f);
  return state;
}

void Work::conv(const Step& step) {
  const Conv& c = step.conv;
  const std::int64_t width = program->slots[static_cast<std::size_t>(step.x)].width;
  const TiledWeight& weight = weights[static_cast<std::size_t>(c.weight)];
  const float* bias = vector_of(c.bias);
  share_tiles(c.channels, [&](int sequence, int t, int r, int rows) {
    const int row = batch->first_row(sequence) + r, channel = 16 * t;
    const auto floats = static_cast<std::size_t>(16 * (c.kernel - 1));
    kernels->conv(
        {.x = slots[static_cast<std::size_t>(step.x)] + row * width + c.first_column + channel,
         .x_stride = width,
         .gates = c.channels,
         .values = std::int64_t{2} * c.channels,
         .gated = c.gated,
         .silu = step.activation == Activation::silu,
         .rows = rows,
         .channels = std::min(16, c.channels - channel),
         .kernel = c.kernel,
         .weights = reinterpret_cast<const float*>(weight.tile(t)),
         .bias = bias != nullptr ? bias + channel : nullptr,
         .state =
             begun(state_of_sequence(c.state, sequence) + static_cast<std::size_t>(t) * floats, floats, row),
         .out = slots[static_cast<std::size_t>(step.out)] + std::int64_t{row} * c.channels + channel,
         .out_stride = c.channels});
  });
}

// The rows of each sequence are normed into the temporary, after the one that came before them.
void Work::shift(const Step& step) {
  const std::int64_t width = program->slots[static_cast<std::size_t>(step.x)].width;
  const int columns = static_cast<int>(width);
  const auto normed = [&](int row) { return temporary_ + (row + batch->sequence(row) + 1) * width; };
  share(batch->rows(), 4, [&](int row) {
    const int sequence = batch->sequence(row);
    kernels->normalise(norm_of(step.norm), slots[static_cast<std::size_t>(step.x)] + row * width, columns,
                       normed(row));
    if (row == batch->first_row(sequence))
      std::copy_n(begun(state_of_sequence(step.shift.state, sequence), static_cast<std::size_t>(width), row),
                  width, normed(row) - width);
  });
  next_phase();
  share(batch->rows(), 4, [&](int row) {
    const int sequence = batch->sequence(row);
    float* out = slots[static_cast<std::size_t>(step.out)] + row * width * step.shift.count;
    const float* side = step.side != none
                            ? slots[static_cast<std::size_t>(step.side)] + row * width * step.shift.count
                            : nullptr;
    for (int i = 0; i < step.shift.count; ++i)
      kernels->shift(normed(row), normed(row) - width, vector_of(step.shift.mix[i]),
                     side != nullptr ? side + i * width : nullptr, columns, out + i * width);
    if (row + 1 == batch->first_row(sequence) + batch->row_count(sequence))
      std::copy_n(normed(row), width, state_of_sequence(step.shift.state, sequence));
  });
}

ScanPart Work::scan_part(const Step& step, int part, int row, int rows) const {
  const auto width = [&](SlotId slot) { return program->slots[static_cast<std::size_t>(slot)].width; };
  const auto at = [&](SlotId slot) { return slots[static_cast<std::size_t>(slot)] + row * width(slot); };
  const Scan& s = step.scan;
  const bool serves_all = s.kind == Scan::Kind::delta || s.kind == Scan::Kind::kda;
  ScanPart made{.scan = &s,
                .part = part,
                .rows = rows,
                .x = at(step.x),
                .out = at(step.out),
                .x_stride = width(step.x),
                .out_stride = width(step.out),
                .decay = vector_of(s.decay),
                .bonus = vector_of(s.bonus),
                .step_bias = vector_of(s.step_bias),
                .key_scale = vector_of(s.key_scale),
                .key_mix = vector_of(s.key_mix),
                .norm = norm_of(s.norm, serves_all ? 0 : std::int64_t{part} * s.value_dim)};
  if (step.side != none) made.side = at(step.side), made.side_stride = width(step.side);
  return made;
}

void Work::mamba(const Step& step) {
  const Scan& s = step.scan;
  const std::int64_t side_width = program->slots[static_cast<std::size_t>(step.side)].width,
                     keys_at = 3 * s.values();
  const bool normed = s.key_norm.kind != Norm::Kind::off || s.query_norm.kind != Norm::Kind::off;
  const auto side_row = [&](int row) {
    return slots[static_cast<std::size_t>(step.side)] + row * side_width;
  };
  if (normed) {
    share(batch->rows(), 4, [&](int row) {
      float* to = temporary_ + std::int64_t{row} * 2 * s.key_dim;
      kernels->normalise(norm_of(s.key_norm), side_row(row) + keys_at, s.key_dim, to);
      kernels->normalise(norm_of(s.query_norm), side_row(row) + keys_at + s.key_dim, s.key_dim,
                         to + s.key_dim);
    });
    next_phase();
  }
  const TiledWeight& decay = weights[static_cast<std::size_t>(s.decay)];
  share_tiles(s.value_dim, [&](int sequence, int t, int r, int rows) {
    const int row = batch->first_row(sequence) + r;
    const auto floats = static_cast<std::size_t>(16 * s.key_dim);
    ScanPart part = scan_part(step, t, row, rows);
    part.decay = reinterpret_cast<const float*>(decay.tile(t));
    part.keys = normed ? temporary_ + std::int64_t{row} * 2 * s.key_dim : side_row(row) + keys_at;
    part.keys_stride = normed ? std::int64_t{2} * s.key_dim : side_width;
    part.state =
        begun(state_of_sequence(s.state, sequence) + static_cast<std::size_t>(t) * floats, floats, row);
    kernels->scan(part);
  });
}

void Work::scan(const Step& step) {
  const Scan& s = step.scan;
  if (s.kind == Scan::Kind::mamba) return mamba(step);
  const std::size_t floats = state_floats(step) / static_cast<std::size_t>(s.heads);
  share(batch->sequences() * s.heads, 1, [&](int i) {
    const int sequence = i / s.heads, head = i % s.heads, row = batch->first_row(sequence);
    ScanPart part = scan_part(step, head, row, batch->row_count(sequence));
    part.state =
        begun(state_of_sequence(s.state, sequence) + static_cast<std::size_t>(head) * floats, floats, row);
    kernels->scan(part);
  });
  if (s.kind != Scan::Kind::mamba2 || s.norm.kind == Norm::Kind::off) return;
  next_phase();
  const std::int64_t width = s.values(), part = width / s.groups;
  share(batch->rows() * s.groups, 4, [&](int i) {
    float* y = slots[static_cast<std::size_t>(step.out)] + i / s.groups * width + i % s.groups * part;
    kernels->normalise(norm_of(s.norm, i % s.groups * part), y, static_cast<int>(part), y);
  });
}

}  // namespace rf
