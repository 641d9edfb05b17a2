// What a block knows of the rows of one sequence and of its recurrent state.
#pragma once
#include "gpu/kernels/lane.h"
#include "gpu/kernels/params.h"

namespace rf::gpu {

struct SequenceRows {
  int first, rows;  // of the batch
  float* state;
  bool begins;  // the sequence does: its state is zero, whatever lies there
};

// rows == 0: the batch has no such sequence.
RF_DEVICE SequenceRows rows_of_sequence(const BatchView& batch, const StateView& state, int sequence) {
  if (sequence >= batch.counts[2]) return {0, 0, nullptr, false};
  const int first = batch.first_rows[sequence];
  return {first, batch.first_rows[sequence + 1] - first,
          state.data + batch.states[sequence] * state.slot_stride, batch.positions[first] == 0};
}

}  // namespace rf::gpu
