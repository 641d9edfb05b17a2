#include "tensor/tiles.h"

#include <cstring>
#include <span>
#include <vector>

#include "tensor/decode.h"
#include "tensor/formats/list.h"

namespace rf {
namespace {

constexpr Field f32_fields[] = {{0, 4, 4}};
constexpr Field half_fields[] = {{0, 2, 2}};

struct BlockShape {
  std::span<const Field> fields;
  int elements = 0;
  std::size_t bytes = 0;
};

BlockShape block_shape(Type type) {
  switch (static_cast<std::uint32_t>(type)) {
    case static_cast<std::uint32_t>(Type::f32):
      return {f32_fields, 1, 4};
    case static_cast<std::uint32_t>(Type::f16):
    case static_cast<std::uint32_t>(Type::bf16):
      return {half_fields, 1, 2};
#define RF_CASE(F) \
  case F::id:      \
    return {F::fields, F::elements, sizeof(F::Block)};
      RF_FORMATS(RF_CASE)
      RF_SPREAD_FORMATS(RF_CASE)
#undef RF_CASE
    default:
      return {};
  }
}

// Calls visit with a null pointer to the format of that type, and gives what it gives; nothing for others.
template <class Visit>
auto with_format(Type type, Visit&& visit) -> decltype(visit(static_cast<Q8_0*>(nullptr))) {
  switch (static_cast<std::uint32_t>(type)) {
#define RF_CASE(F) \
  case F::id:      \
    return visit(static_cast<F*>(nullptr));
    RF_FORMATS(RF_CASE)
#undef RF_CASE
    default:
      return {};
  }
}

template <class F>
concept CanSpread =
    requires(const typename F::Block& from, typename F::Spread::Block& to) { F::spread(from, to); };

// F64 is kept as F32: no real file has matrices of it.
Type kept_as(Type type, Room room) {
  if (type == Type::f64) return Type::f32;
  const std::uint32_t spread = room == Room::file ? 0 : with_format(type, []<class F>(F*) -> std::uint32_t {
    if constexpr (CanSpread<F>) return F::Spread::id;
    return 0;
  });
  return spread == 0 ? type : static_cast<Type>(spread);
}

// A row of the file as it is kept.
void convert_row(Type from, const std::byte* row, std::int64_t columns, std::byte* out) {
  if (from == Type::f64) return decode_row(from, row, columns, reinterpret_cast<float*>(out));
  with_format(from, [&]<class F>(F*) -> int {
    if constexpr (CanSpread<F>)
      for (std::int64_t k = 0; k < columns; k += F::elements) {
        typename F::Block block;
        std::memcpy(&block, row + k / F::elements * static_cast<std::int64_t>(sizeof block), sizeof block);
        typename F::Spread::Block spread{};
        F::spread(block, spread);
        std::memcpy(out + k / F::elements * static_cast<std::int64_t>(sizeof spread), &spread, sizeof spread);
      }
    return 0;
  });
}

// Formats whose bits are put in another order before tiling, and back.
enum class Order { tile, file };
void arrange(Type type, std::byte* block, Order order) {
  with_format(type, [block, order]<class F>(F*) -> int {
    if constexpr (requires(typename F::Block& b) { F::arrange(b); }) {
      auto& b = *reinterpret_cast<typename F::Block*>(block);
      order == Order::tile ? F::arrange(b) : F::restore(b);
    }
    return 0;
  });
}

bool needs_arranging(Type type) {
  return with_format(type, []<class F>(F*) { return requires(typename F::Block& b) { F::arrange(b); }; });
}

// Interleaves `units` units of 16 rows that lie `step` apart: out[u * 16 + r] = rows[r][u * step].
template <class Unit>
void interleave(const std::byte* const (&rows)[16], std::size_t offset, std::int64_t units, std::size_t step,
                std::uint8_t* out) {
  for (std::int64_t u = 0; u < units; ++u) {
    const std::size_t at = offset + static_cast<std::size_t>(u) * step;
    for (int r = 0; r < 16; ++r) {
      Unit unit;
      std::memcpy(&unit, rows[r] + at, sizeof unit);
      std::memcpy(out + sizeof unit * static_cast<std::size_t>(16 * u + r), &unit, sizeof unit);
    }
  }
}

void interleave_field(const Field& field, const std::byte* const (&rows)[16], std::int64_t blocks,
                      std::size_t block_bytes, std::uint8_t* out) {
  const int units = field.bytes / field.unit;
  const auto unit = static_cast<std::size_t>(field.unit);
  const auto go = [&](std::size_t offset, std::int64_t count, std::size_t step, std::uint8_t* to) {
    if (field.unit == 4)
      interleave<std::uint32_t>(rows, offset, count, step, to);
    else if (field.unit == 2)
      interleave<std::uint16_t>(rows, offset, count, step, to);
    else
      interleave<std::uint8_t>(rows, offset, count, step, to);
  };
  const auto offset = static_cast<std::size_t>(field.offset);
  if (units == 1) return go(offset, blocks, block_bytes, out);
  for (std::int64_t b = 0; b < blocks; ++b)
    go(offset + static_cast<std::size_t>(b) * block_bytes, units, unit,
       out + static_cast<std::size_t>(16 * field.bytes * b));
}

std::size_t round_up(std::size_t n, std::size_t unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace

bool can_tile(Type type) {
  return block_shape(kept_as(type, Room::file)).elements > 0;
}

TiledWeight tiled(const Tensor& tensor, Room room) {
  const Type type = kept_as(tensor.type, room);
  const BlockShape shape = block_shape(type);
  TiledWeight layout{.type = type,
                     .columns = tensor.columns(),
                     .rows = tensor.rows(),
                     .matrices = static_cast<int>(tensor.shape[2])};
  const auto blocks = static_cast<std::size_t>(tensor.columns() / shape.elements);
  for (std::size_t f = 0; f < shape.fields.size(); ++f) {
    layout.field_at[f] = layout.tile_bytes;
    layout.tile_bytes += round_up(16 * static_cast<std::size_t>(shape.fields[f].bytes) * blocks, 64);
  }
  return layout;
}

void write_tile(const Tensor& tensor, const TiledWeight& layout, int t, std::uint8_t* out) {
  const BlockShape shape = block_shape(layout.type);
  const std::size_t row_bytes = rf::row_bytes(layout.type, layout.columns);
  const std::int64_t first = layout.first_row(t);
  const int present = layout.rows_in(t);
  thread_local std::vector<std::byte> spare;  // zero rows beyond the matrix, and changed copies
  const bool converts = layout.type != tensor.type, arranges = needs_arranging(layout.type);
  spare.assign((converts || arranges ? 17 : 1) * row_bytes, std::byte{0});
  const std::byte* rows[16];
  for (int r = 0; r < 16; ++r) {
    rows[r] = r < present ? tensor.row(first + r) : spare.data();
    if (r >= present || !(converts || arranges)) continue;
    std::byte* copy = spare.data() + static_cast<std::size_t>(r + 1) * row_bytes;
    if (converts)
      convert_row(tensor.type, rows[r], layout.columns, copy);
    else
      std::memcpy(copy, rows[r], row_bytes);
    for (std::size_t at = 0; arranges && at < row_bytes; at += shape.bytes)
      arrange(layout.type, copy + at, Order::tile);
    rows[r] = copy;
  }
  const std::int64_t blocks = layout.columns / shape.elements;
  for (std::size_t f = 0; f < shape.fields.size(); ++f)
    interleave_field(shape.fields[f], rows, blocks, shape.bytes, out + layout.field_at[f]);
}

void read_row(const TiledWeight& weight, std::int64_t row, std::byte* out) {
  const BlockShape shape = block_shape(weight.type);
  const std::uint8_t* tile = weight.tile(static_cast<int>(row / 16));
  const auto lane = static_cast<std::size_t>(row % 16);
  const auto blocks = static_cast<std::size_t>(weight.columns / shape.elements);
  for (std::size_t f = 0; f < shape.fields.size(); ++f) {
    const auto unit = static_cast<std::size_t>(shape.fields[f].unit);
    const auto units = static_cast<std::size_t>(shape.fields[f].bytes) / unit;
    const std::uint8_t* from = tile + weight.field_at[f] + lane * unit;
    for (std::size_t b = 0; b < blocks; ++b) {
      std::byte* to = out + b * shape.bytes + static_cast<std::size_t>(shape.fields[f].offset);
      for (std::size_t u = 0; u < units; ++u, from += 16 * unit, to += unit) std::memcpy(to, from, unit);
    }
  }
  if (needs_arranging(weight.type))
    for (std::size_t b = 0; b < blocks; ++b) arrange(weight.type, out + b * shape.bytes, Order::file);
}

}  // namespace rf
