// What the kernels of MatvecParams share: which tiles of which matrices a block of the grid works on, and
// where the products go.
#pragma once
#include "gpu/kernels/activation.h"
#include "gpu/kernels/weights.h"

namespace rf::gpu {

RF_DEVICE int rounds_of(const Matrix& m) {
  return (m.columns + 32 * round_blocks - 1) / (32 * round_blocks);
}

// What one block of the launch works on.
struct Share {
  int row, part;  // first row, and which of its parts
  int matrix;     // number, of experts and heads
  float weight;   // of products
};
RF_DEVICE Share share_of(const MatvecParams& p, int y) {
  Share s{y, 0, 0, 1.0f};
  if (p.parts == 1 && p.routes == nullptr) return s;
  s.row = y / p.parts;
  s.part = s.matrix = y % p.parts;
  if (p.routes == nullptr) return s;
  const float* routes = p.routes + 2 * p.parts * s.row;
  s.matrix = static_cast<int>(routes[s.part]);
  if (p.weigh != 0) s.weight = routes[p.parts + s.part];
  return s;
}

RF_DEVICE float with_bias(const Matrix& m, const Share& share, int column, float v) {
  v *= factor_of(m, share.matrix);
  return m.bias != nullptr ? v + m.bias[static_cast<std::int64_t>(share.matrix) * m.rows + column] : v;
}

// Waits for the launch before: at once, or, for one that runs beside it, at the end, so that who waits for
// this one has waited for both.
class Turn {
 public:
  explicit RF_DEVICE Turn(bool beside) : beside_(beside) {}
  RF_DEVICE void begin() const {
    if (!beside_) lane::wait_for_previous();
    lane::let_next_start();
  }
  RF_DEVICE ~Turn() {
    if (beside_) lane::wait_for_previous();
  }

 private:
  bool beside_;
};

// Where a tile's products come from and go to.
struct Target {
  int which, tile;  // matrix, and tile of it
};
RF_DEVICE Target target_of(const MatvecParams& p, int tile) {
  int which = 0;
  while (p.gated == 0 && which + 1 < p.matrices && tile >= p.matrix[which].tiles)
    tile -= p.matrix[which++].tiles;
  return {which, tile};
}

// Column `column` of row `row` of the output, and what its product meets there.
RF_DEVICE std::int64_t place_in_row(const MatvecParams& p, const Share& share, int which, int column) {
  return share.part * p.part_stride + p.matrix[which].out_column + column;
}
RF_DEVICE Ends ends_at(const MatvecParams& p, const Share& share, int which, int row, int column) {
  if (p.gated != 0) return {};
  return ends_of(p.epilogue, row, place_in_row(p, share, which, column));
}
RF_DEVICE float store(const MatvecParams& p, const Share& share, int which, int row, int column, float v,
                      const Ends& ends) {
  if (p.gated == 0) v = finished(p.epilogue, v * share.weight, ends);
  p.out[row * p.out_stride + place_in_row(p, share, which, column)] = v;
  return v;
}

RF_DEVICE int tiles_of(const MatvecParams& p) {
  int tiles = p.matrix[0].tiles;
  for (int i = 1; p.gated == 0 && i < p.matrices; ++i) tiles += p.matrix[i].tiles;
  return tiles;
}

// The block's work: tiles, of each both gate and up, of each its rounds of columns. Where the output is
// packed, a block takes two neighbouring tiles after each other, so that one wave has 32 outputs.
class Walk {
 public:
  struct At {
    int turn, pass, round;
  };

  RF_DEVICE Walk(const MatvecParams& p, int together)
      : p_(p),
        tiles_(tiles_of(p)),
        together_(together),
        passes_(p.gated != 0 ? 2 : 1),
        rounds_(rounds_of(p.matrix[0])) {}

  RF_DEVICE int tiles() const { return tiles_; }
  RF_DEVICE int passes() const { return passes_; }
  RF_DEVICE int rounds() const { return rounds_; }
  RF_DEVICE int number(int turn) const {
    return (lane::block_x() + turn / together_ * p_.blocks) * together_ + turn % together_;
  }
  RF_DEVICE bool has(int turn) const {
    return number(turn) < (tiles_ + together_ - 1) / together_ * together_;
  }
  RF_DEVICE At after(At at) const {
    if (++at.round < rounds_) return at;
    at.round = 0;
    if (++at.pass == passes_) at.pass = 0, ++at.turn;
    return at;
  }
  RF_DEVICE Target target(int turn) const {
    const int tile = number(turn);
    return target_of(p_, tile < tiles_ ? tile : tiles_ - 1);
  }
  RF_DEVICE const std::uint8_t* base(const Target& target, int pass, int number_of_matrix) const {
    const Matrix& m = p_.matrix[target.which + pass];
    return m.data + (static_cast<std::uint64_t>(number_of_matrix) * static_cast<std::uint64_t>(m.tiles) +
                     static_cast<std::uint64_t>(target.tile)) *
                        m.tile_bytes;
  }

 private:
  const MatvecParams& p_;
  int tiles_, together_, passes_, rounds_;
};

}  // namespace rf::gpu
