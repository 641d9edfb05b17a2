// The checks of attention and of steps with a state.
#include <algorithm>

#include "base/error.h"
#include "ops/checker.h"

namespace rf {

void Checker::widths(std::int64_t in, std::int64_t side, std::int64_t out) const {
  const std::int64_t found = step_.side == none ? 0 : width(step_.side);
  if (width(step_.x) != in || found < side || width(step_.out) != out)
    fail("{}: slots of widths {}, {} and {}, expected {}, {} and {}", where_, width(step_.x), found,
         width(step_.out), in, side, out);
}

void Checker::state(std::int64_t elements) const {
  const StateId id = state_of(step_);
  if (id < 0 || static_cast<std::size_t>(id) >= program_.states.size())
    fail("{}: its state is {}, of {} states", where_, id, program_.states.size());
  if (const std::int64_t found = program_.states[static_cast<std::size_t>(id)].width; found != elements)
    fail("{}: state {} has {} elements, expected {}", where_, id, found, elements);
  if (std::count_if(program_.steps.begin(), program_.steps.end(),
                    [id](const Step& step) { return state_of(step) == id; }) != 1)
    fail("{}: state {} is another step's too", where_, id);
}

void Checker::conv() const {
  const Conv& c = step_.conv;
  const std::int64_t read = std::int64_t{c.channels} * (c.gated ? 3 : 1);
  if (c.kernel < 1 || c.channels < 1 || c.first_column < 0 || c.first_column + read > width(step_.x) ||
      width(step_.out) != c.channels)
    fail("{}: {} rows of {} channels from column {} on, of a slot of width {} to one of {}", where_, c.kernel,
         read, c.first_column, width(step_.x), width(step_.out));
  if (step_.activation != Activation::identity && step_.activation != Activation::silu)
    fail("{}: its activation is neither silu nor none", where_);
  needed(c.weight, std::int64_t{c.kernel} * c.channels, "kernel");
  if (program_.tensor(c.weight).columns() != c.kernel)
    fail("{}: its kernel has {} columns, expected {}", where_, program_.tensor(c.weight).columns(), c.kernel);
  vector(c.bias, c.channels, "bias");
  state(std::int64_t{c.kernel - 1} * c.channels);
}

void Checker::shift() const {
  const Shift& s = step_.shift;
  if (s.count < 1 || s.count > Shift::most)
    fail("{}: {} mixtures, expected 1 to {}", where_, s.count, Shift::most);
  widths(width(step_.x), step_.side == none ? 0 : s.count * width(step_.x), s.count * width(step_.x));
  norm(step_.norm, width(step_.x));
  for (int i = 0; i < s.count; ++i) needed(s.mix[i], width(step_.x), "mixture");
  state(width(step_.x));
}

void Checker::scan() const {
  const Scan& s = step_.scan;
  if (s.heads < 1 || s.groups < 1 || s.heads % s.groups != 0 || s.key_dim < 1 || s.value_dim < 1 ||
      s.block < 1 || s.heads % s.block != 0)
    fail("{}: {} heads of {} and {}, {} groups, blocks of {}", where_, s.heads, s.key_dim, s.value_dim,
         s.groups, s.block);
  const std::int64_t keys = s.keys(), values = s.values(), heads = s.heads, key_dim = s.key_dim;
  const bool rwkv = s.kind == Scan::Kind::rwkv6 || s.kind == Scan::Kind::rwkv7;
  if ((rwkv || s.kind == Scan::Kind::mamba || s.kind == Scan::Kind::kda) && s.groups != s.heads)
    fail("{}: {} heads in {} groups", where_, heads, s.groups);
  switch (s.kind) {
    case Scan::Kind::mamba:
      if (heads != 1) fail("{}: {} heads, expected 1", where_, heads);
      widths(values, 3 * values + 2 * key_dim, values);
      needed(s.decay, key_dim * values, "decay");
      needed(s.bonus, values, "bonus");
      norm(s.key_norm, key_dim);
      norm(s.query_norm, key_dim);
      break;
    case Scan::Kind::mamba2:
      widths(values + 2 * keys, 2 * values + 2 * keys + heads, values);
      needed(s.bonus, heads, "bonus");
      norm(s.norm, values);
      break;
    case Scan::Kind::delta:
      widths(values + 2 * keys, 2 * values + 2 * keys + 2 * heads, values);
      norm(s.norm, s.value_dim);
      break;
    case Scan::Kind::rwkv6:
    case Scan::Kind::rwkv7:
      if (s.value_dim != s.key_dim) fail("{}: keys of {} and values of {}", where_, s.key_dim, s.value_dim);
      if (s.kind == Scan::Kind::rwkv6)
        widths(5 * values, 0, values);
      else
        widths((step_.side == none ? 6 : 7) * values, step_.side == none ? 0 : values, values);
      needed(s.bonus, keys, "bonus");
      norm(s.norm, values);
      break;
    case Scan::Kind::kda:
      widths(values + 2 * keys, 2 * values + 3 * keys + heads, values);
      needed(s.decay, heads, "decay");
      needed(s.step_bias, keys, "step bias");
      norm(s.norm, s.value_dim);
      break;
    case Scan::Kind::gla:
      if (s.value_dim != s.key_dim) fail("{}: keys of {} and values of {}", where_, s.key_dim, s.value_dim);
      widths(3 * values + 2 * keys, 0, values);
      break;
  }
  if (s.kind == Scan::Kind::mamba2 || s.kind == Scan::Kind::delta) {
    needed(s.decay, heads, "decay");
    needed(s.step_bias, heads, "step bias");
  }
  if (s.kind == Scan::Kind::rwkv7) {
    needed(s.key_scale, keys, "key scale");
    needed(s.key_mix, keys, "key mixture");
  }
  state(key_dim * values);
}

void Checker::index() const {
  const Attention& a = step_.attention;
  const Selection& c = step_.selection;
  if (a.heads <= 0 || a.kv_heads != 1 || a.key_dim <= 0 || a.value_dim != 0 || !a.key_is_value || !a.stores ||
      a.gated || a.sees != Attention::Sees::past || c.groups < 1 || a.heads % c.groups != 0)
    fail("{}: {} query heads of {} in {} groups over {} key heads", where_, a.heads, a.key_dim, c.groups,
         a.kv_heads);
  selection();
  const std::int64_t in = a.row_width() + (c.weighted ? a.heads : 0);
  if (width(step_.x) != in || width(step_.out) != c.width())
    fail("{}: slots of widths {} and {}, expected {} and {}", where_, width(step_.x), width(step_.out), in,
         c.width());
  stored_heads();
}

void Checker::selection() const {
  const Selection& c = step_.selection;
  if (c.blocks < 1 || c.block < 1 || c.local < 0 || c.local > c.blocks)
    fail("{}: {} blocks of {} positions, the last {} among them", where_, c.blocks, c.block, c.local);
}

void Checker::attention() const {
  const Attention& a = step_.attention;
  if (a.heads <= 0 || a.kv_heads <= 0 || a.heads % a.kv_heads != 0 || a.key_dim <= 0 || a.value_dim <= 0 ||
      (a.key_is_value && a.value_dim > a.key_dim))
    fail("{}: {} query heads of {} over {} key heads, values of {}", where_, a.heads, a.key_dim, a.kv_heads,
         a.value_dim);
  const std::int64_t out = std::int64_t{a.heads} * a.value_dim;
  if (width(step_.x) != a.row_width() || width(step_.out) != out)
    fail("{}: slots of widths {} and {}, expected {} and {}", where_, width(step_.x), width(step_.out),
         a.row_width(), out);
  vector(a.sinks, a.heads, "attention sinks");
  stored_heads();
  if (step_.side == none) return;
  selection();
  const Selection& c = step_.selection;
  if ((c.groups != 1 && c.groups != a.kv_heads) || width(step_.side) != c.width() ||
      a.sees != Attention::Sees::past || a.window != 0 || a.alibi != 0)
    fail("{}: a choice of {} groups in a slot of width {} for {} key heads, window {}", where_, c.groups,
         width(step_.side), a.kv_heads, a.window);
}

void Checker::stored_heads() const {
  const Attention& a = step_.attention;
  if (a.rope.dims < 0 || a.rope.dims % 2 != 0 || a.rope.offset < 0 || a.rope.dims + a.rope.offset > a.key_dim)
    fail("{}: {} rotated dimensions of a head of {}, from {} on", where_, a.rope.dims, a.key_dim,
         a.rope.offset);
  if (a.key_normed < 0 || a.key_normed > a.key_dim || (a.sees == Attention::Sees::chunk && a.window < 1))
    fail("{}: {} normed elements of a key of {}, window {}", where_, a.key_normed, a.key_dim, a.window);
  head_norm(a.q_norm, a.key_dim, a.heads, "query norm");
  head_norm(a.k_norm, a.key_normed > 0 ? a.key_normed : a.key_dim, a.kv_heads, "key norm");
  head_norm(a.v_norm, a.value_dim, a.kv_heads, "value norm");
  vector(a.rope.factors, a.rope.dims / 2, "rotary factors");
  if (a.cache < 0 || static_cast<std::size_t>(a.cache) >= program_.caches.size())
    fail("{}: its cache is {}, of {} caches", where_, a.cache, program_.caches.size());
  const Cache& cache = program_.caches[static_cast<std::size_t>(a.cache)];
  if (cache.kv_heads != a.kv_heads || cache.key_dim != a.key_dim || cache.value_dim != a.value_dim ||
      cache.key_is_value != a.key_is_value)
    fail("{}: cache {} holds {} heads of {} and {}, expected {} of {} and {}", where_, a.cache,
         cache.kv_heads, cache.key_dim, cache.value_dim, a.kv_heads, a.key_dim, a.value_dim);
}

void Checker::head_norm(const Norm& n, std::int64_t dim, std::int64_t heads, const char* role) const {
  for (const WeightId id : {n.weight, n.bias}) {
    if (id == none) continue;
    const bool all = step_.attention.norm_over == Attention::NormOver::row ||
                     weight(id, role).tensor.columns() * weight(id, role).tensor.rows() != dim;
    vector(id, all ? dim * heads : dim, role);
  }
}

}  // namespace rf
