// Causal convolutions and token shifts, whose rows look at few rows before them (rf::Conv, rf::Shift).
//
// rf_conv   grid (ceil(channels / 32), sequences), block 256, no LDS: a thread has one channel of every
// eighth
//           row. Reads `kernel` values a result (one from memory), writes 4 bytes.
// rf_shift  grid (ceil(width / 32), sequences), block 256, no LDS, likewise; reads two rows and writes
// `count`.
//
// A block has all rows of its channels, so that it can leave their state behind when its threads have read
// it.
#include "gpu/kernels/activation.h"
#include "gpu/kernels/state.h"

namespace rf::gpu {

inline constexpr int rows_at_once = 256 / state_columns;

RF_KERNEL(rf_conv, ConvParams, 256, 4) {
  const int channel = state_columns * lane::block_x() + lane::thread() % state_columns,
            own = lane::thread() / state_columns;
  lane::wait_for_previous();
  lane::let_next_start();
  const SequenceRows s = rows_of_sequence(p.batch, p.state, lane::block_y());
  const bool mine = channel < p.channels;
  const int past = p.kernel - 1;
  const auto of_row = [&](int row) {
    const float* x = p.x + (s.first + row) * p.x_stride + channel;
    return p.gated != 0 ? x[0] * x[std::int64_t{2} * p.channels] : x[0];
  };
  // Row `row` of the sequence's part of the batch, or what came before it.
  const auto in = [&](int row) {
    if (row >= 0) return of_row(row);
    return s.begins ? 0.0f : s.state[std::int64_t{past + row} * p.channels + channel];
  };
  for (int row = own; mine && row < s.rows; row += rows_at_once) {
    const float* weight = p.weight + std::int64_t{channel} * p.kernel;
    float sum = p.bias != nullptr ? p.bias[channel] : 0.0f;
    for (int j = 0; j < p.kernel; ++j) sum = __builtin_fmaf(weight[j], in(row - past + j), sum);
    sum = activate(p.activation, sum);
    if (p.gated != 0) sum *= p.x[(s.first + row) * p.x_stride + p.channels + channel];
    p.out[std::int64_t{s.first + row} * p.channels + channel] = sum;
  }
  lane::barrier();
  // In order: what it reads of the state lies behind what it writes.
  for (int j = 0; mine && own == 0 && s.rows > 0 && j < past; ++j)
    s.state[std::int64_t{j} * p.channels + channel] = in(s.rows - past + j);
}

RF_KERNEL(rf_shift, ShiftParams, 256, 4) {
  const int column = state_columns * lane::block_x() + lane::thread() % state_columns,
            own = lane::thread() / state_columns;
  lane::wait_for_previous();
  lane::let_next_start();
  const SequenceRows s = rows_of_sequence(p.batch, p.state, lane::block_y());
  const bool mine = column < p.width;
  const auto at = [&](int row) { return std::int64_t{s.first + row} * p.width + column; };
  for (int row = own; mine && row < s.rows; row += rows_at_once) {
    const float now = p.x[at(row)];
    const float before = row > 0 ? p.x[at(row - 1)] : s.begins ? 0.0f : s.state[column];
    for (int i = 0; i < p.count; ++i) {
      const std::int64_t to = std::int64_t{i} * p.width + column;
      float share = p.mix[i][column];
      if (p.side != nullptr) share += p.side[(s.first + row) * p.side_stride + to];
      p.out[std::int64_t{s.first + row} * p.count * p.width + to] = __builtin_fmaf(before - now, share, now);
    }
  }
  lane::barrier();
  if (mine && own == 0 && s.rows > 0) s.state[column] = p.x[at(s.rows - 1)];
}

}  // namespace rf::gpu
