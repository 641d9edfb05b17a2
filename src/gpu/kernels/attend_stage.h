// A stage of attention by the unit of halves: 64 positions x 128 dims (or 64, where heads have no more) of
// keys or of values, brought by a block of 256 threads from the cache to LDS, where they are halves in an
// operand's order. Codes stay codes; their scales lie behind, [blocks of 32 dims][64 positions].
#pragma once
#include "gpu/kernels/attend.h"

namespace rf::gpu {

// What a thread brings of a stage: a position's units of keys, or two neighbouring positions' of values.
template <KvKind kv>
struct StageUnits {
  Four unit[unit_elements<kv> == 8 ? 4 : 2];
  float scale;
};

// LDS of a stage.
template <KvKind kv, int dims>
inline constexpr int stage_floats = 32 * dims + (has_scales<kv> ? 256 : 0);

// What lies beyond the last position and the last unit is taken from these: it meets weights and queries of
// 0, or goes nowhere.
RF_DEVICE Place place_at(const AttendParams& p, const Share& share, const std::int32_t* pages, int position) {
  return place_of(p.cache, pages, position < share.length ? position : share.length - 1, share.kv_head);
}
RF_DEVICE int up_to(int last, int n) {
  return n < last ? n : last;
}

// Unit u (8 dims) of position n lies at Four 64 u + (n ^ 2 (u & 3)).
template <class Unit, KvKind kv, int dims>
class KeyStage {
  static constexpr int per = unit_elements<kv>, units = dims / per, tasks = (units + 3) / 4;

 public:
  RF_DEVICE KeyStage(const AttendParams& p, const Share& share, float* lds)
      : p_(p), share_(share), lds_(lds) {}

  // A thread's part of chunk `number`, from the cache.
  RF_DEVICE void fetch(int thread, const std::int32_t* pages, int number, int stage,
                       StageUnits<kv>& f) const {
    const Place place = place_at(p_, share_, pages, number * attend_chunk + (thread & 63));
    const int last = static_cast<int>(kv_units(kv, p_.attention.key_dim)) - 1;
    RF_UNROLL
    for (int n = 0; n < tasks; ++n)
      f.unit[n] = lane::load4(key_unit(p_.cache, place, up_to(last, stage * units + (thread >> 6) + 4 * n)));
    if constexpr (has_scales<kv>)
      f.scale = lane::half_to_float(
          *key_scale(p_.cache, place, up_to((p_.attention.key_dim - 1) / 32, 4 * stage + (thread >> 6))));
  }
  // Likewise, to LDS.
  RF_DEVICE void put(int thread, const StageUnits<kv>& f) const {
    const int position = thread & 63;
    RF_UNROLL
    for (int n = 0; n < tasks; ++n) {
      if ((thread >> 6) + 4 * n >= units) break;
      const int unit = ((thread >> 6) + 4 * n) * (per / 8);
      float code[per];
      if constexpr (has_scales<kv>) decode_unit<kv>(f.unit[n], 1.0f, code);
      RF_UNROLL
      for (int h = 0; h < per / 8; ++h) {
        Four halves = f.unit[n];
        RF_UNROLL
        for (int w = 0; has_scales<kv> && w < 4; ++w)
          halves.w[w] = lane::pack_halves(code[8 * h + 2 * w], code[8 * h + 2 * w + 1]);
        reinterpret_cast<Four*>(lds_)[64 * (unit + h) + (position ^ 2 * ((unit + h) & 3))] = halves;
      }
    }
    if constexpr (has_scales<kv>) scales()[64 * (thread >> 6) + position] = f.scale;
  }
  // Dims 32 slice .. 32 slice + 31 of 16 positions from `first` on.
  RF_DEVICE typename Unit::Operand operand(int lane, int slice, int first) const {
    typename Unit::Operand o;
    RF_UNROLL
    for (int n = 0; n < Unit::parts; ++n) {
      const int unit = Unit::unit(lane, n);
      o.part[n] = lane::load4(reinterpret_cast<const Four*>(lds_) + 64 * (4 * slice + unit) + first +
                              (Unit::row(lane, n) ^ 2 * (unit & 3)));
    }
    return o;
  }
  RF_DEVICE float scale(int block, int position) const { return scales()[64 * block + position]; }

 private:
  RF_DEVICE float* scales() const { return lds_ + 32 * dims; }

  const AttendParams& p_;
  Share share_;
  float* lds_;
};

// Values lie turned: of each dim 64 positions, pair m of 32 as the operand has it, in 8 units that change
// places from dim to dim.
template <class Unit, KvKind kv, int dims>
class ValueStage {
  static constexpr int per = unit_elements<kv>, units = dims / per, tasks = (units + 7) / 8;

 public:
  RF_DEVICE ValueStage(const AttendParams& p, const Share& share, float* lds)
      : p_(p), share_(share), lds_(lds) {}

  // A thread's part of chunk `number`, from the cache.
  RF_DEVICE void fetch(int thread, const std::int32_t* pages, int number, int stage,
                       StageUnits<kv>& f) const {
    const int first = number * attend_chunk;
    const int last = static_cast<int>(kv_units(kv, p_.attention.value_dim)) - 1;
    RF_UNROLL
    for (int i = 0; i < 2; ++i) {
      const Place place = place_at(p_, share_, pages, first + 2 * pair_of(thread) + i);
      RF_UNROLL
      for (int n = 0; n < tasks; ++n)
        f.unit[2 * n + i] =
            lane::load4(value_unit(p_.cache, place, up_to(last, stage * units + unit_of(thread, n))));
    }
    if constexpr (has_scales<kv>)
      f.scale = lane::half_to_float(
          *value_scale(p_.cache, place_at(p_, share_, pages, first + (thread & 63)),
                       up_to((p_.attention.value_dim - 1) / 32, 4 * stage + (thread >> 6))));
  }
  // Likewise, to LDS.
  RF_DEVICE void put(int thread, const StageUnits<kv>& f) const {
    RF_UNROLL
    for (int n = 0; n < tasks; ++n) {
      if (unit_of(thread, n) >= units) break;
      const int pair = pair_of(thread), place = Unit::place(pair & 15);
      const Four &a = f.unit[2 * n], &b = f.unit[2 * n + 1];
      float code[2][per];
      if constexpr (has_scales<kv>) decode_unit<kv>(a, 1.0f, code[0]), decode_unit<kv>(b, 1.0f, code[1]);
      RF_UNROLL
      for (int e = 0; e < per; ++e) {
        std::uint32_t both;
        if constexpr (has_scales<kv>)
          both = lane::pack_halves(code[0][e], code[1][e]);
        else
          both = lane::select_bytes(a.w[e >> 1], b.w[e >> 1], (e & 1) != 0 ? 0x07060302 : 0x05040100);
        reinterpret_cast<std::uint32_t*>(
            lds_)[4 * unit_at(per * unit_of(thread, n) + e, 4 * (pair >> 4) + (place >> 2)) + (place & 3)] =
            both;
      }
    }
    if constexpr (has_scales<kv>) scales()[thread] = f.scale;
  }
  // Positions 32 slice .. 32 slice + 31 of 16 dims from `first` on.
  RF_DEVICE typename Unit::Operand operand(int lane, int slice, int first) const {
    typename Unit::Operand o;
    RF_UNROLL
    for (int n = 0; n < Unit::parts; ++n)
      o.part[n] = lane::load4(reinterpret_cast<const Four*>(lds_) +
                              unit_at(first + Unit::row(lane, n), 4 * slice + Unit::unit(lane, n)));
    return o;
  }
  RF_DEVICE float scale(int block, int position) const { return scales()[64 * block + position]; }

 private:
  RF_DEVICE float* scales() const { return lds_ + 32 * dims; }
  RF_DEVICE static int pair_of(int thread) { return thread >> 1 & 31; }
  RF_DEVICE static int unit_of(int thread, int n) { return (thread & 1) + 2 * (thread >> 6) + 8 * n; }
  RF_DEVICE static int unit_at(int dim, int unit) {
    return 8 * dim + (unit ^ (((dim ^ dim >> 3) & 1) << 2) ^ (dim >> 1 & 3));
  }

  const AttendParams& p_;
  Share share_;
  float* lds_;
};

}  // namespace rf::gpu
