// OpSetup: a case made into a program of one step, with random weights, and what it is fed with.
//
// Keys of every op but embed and attend:
//   type (gate_up, qkv: one a matrix, joined by '+'), columns, out (qkv: three), rows, norm, bias, factors =
//   0 or 1, input = exact | gauss | zeros | denormal | huge (random_data.h) matmul: add;  logits: wanted =
//   how many rows;  gate_up: activation = silu | gelu_tanh
// embed: type, columns, rows, scale
// attend: heads = QUERY/KV, dims = KEY[xVALUE], norms = none | q | k | both, rope = none | adjacent | halves,
//   rotated = whole | half, positions = plain | linear | factors | yarn, window, kv, page, input = gauss |
//   zeros | denormal, with = nothing | softcap | alibi | sinks | gated | shared (values are keys) | all
//   (positions are seen) | chunk (of `window` positions is), batch = PAST+ROWS of each sequence, joined by
//   '/'; blocks (that a row sees; 0: all), block (positions of one), lists = one | each (KV head)
// index: heads = QUERY/GROUPS, dims, weighted, blocks, block, local, kv, page, batch; numbers are whole ones,
// so
//   that many scores are the same, to the last bit
// conv: kernel, channels, first (columns before them), activation = identity | silu, gated, bias, batch
// shift: width, count, side, norm, batch
// scan: kind, heads = HEADS/GROUPS, dims = KEY[xVALUE], tiled, block (delta: heads of a block), norms, batch
#pragma once
#include <utility>

#include "op_case.h"
#include "ops/backend.h"
#include "random_data.h"

namespace rf::test {

struct Feed {
  Batch batch;
  std::vector<float> x{}, add{}, mul{}, side{};  // rows of the step's slots, or empty
};

class OpSetup {
 public:
  explicit OpSetup(const OpCase& c) : random_(c.text()), input_(c.get("input", "exact")) {
    if (c.op() == "embed")
      embed(c);
    else if (c.op() == "attend")
      attend(c);
    else if (c.op() == "index")
      index(c);
    else if (c.op() == "conv")
      conv(c);
    else if (c.op() == "shift")
      shift(c);
    else if (c.op() == "scan")
      scan(c);
    else
      linears(c);
    c.check_all_used();
  }

  Program program;  // of one step
  RunLimits limits;
  std::vector<Feed> feeds;  // run one after the other

  const Step& step() const { return program.steps[0]; }
  bool exact() const { return input_ == "exact" || input_ == "zeros"; }
  std::size_t width(SlotId id) const { return id == none ? 0 : static_cast<std::size_t>(slot(id).width); }
  int out_rows(const Batch& batch) const {
    return slot(step().out).wanted_rows ? batch.wanted() : batch.rows();
  }

 private:
  const Slot& slot(SlotId id) const { return program.slots[static_cast<std::size_t>(id)]; }
  SlotId add_slot(std::int64_t width, bool wanted_rows = false) {
    program.slots.push_back({.width = width, .wanted_rows = wanted_rows});
    return static_cast<SlotId>(program.slots.size()) - 1;
  }
  std::byte* new_tensor(Type type, std::int64_t columns, std::int64_t rows) {
    Tensor tensor{.type = type, .shape = {columns, rows, 1, 1}, .row_bytes = row_bytes(type, columns)};
    memory_.emplace_back(tensor.bytes());
    tensor.data = memory_.back().data();
    program.weights.push_back({.name = "weight" + std::to_string(memory_.size()), .tensor = tensor});
    return memory_.back().data();
  }
  WeightId last_weight() const { return static_cast<WeightId>(program.weights.size()) - 1; }
  WeightId matrix(const std::string& type, std::int64_t columns, std::int64_t rows) {
    std::byte* data = new_tensor(type_by_name(type).value(), columns, rows);
    fill_random(random_, program.weights.back().tensor, data);
    return last_weight();
  }
  WeightId vector(const std::vector<float>& values) {
    std::memcpy(new_tensor(Type::f32, static_cast<std::int64_t>(values.size()), 1), values.data(),
                values.size() * sizeof(float));
    return last_weight();
  }
  // Norm weights; for exact inputs they are constant in a block of 32, so that normed rows are still
  // multiples of whole numbers.
  std::vector<float> norm_weights(std::size_t n) {
    std::vector<float> weights = random_.gauss(n);
    if (exact())
      for (std::size_t i = 0; i < n; ++i) weights[i] = weights[i / 32 * 32];
    return weights;
  }

  void embed(const OpCase& c) {
    constexpr int vocab = 11;
    const int columns = c.number("columns"), rows = c.number("rows");
    Step step;
    step.out = add_slot(columns);
    step.scale = c.real("scale", 1);
    step.linear[0].weight = matrix(c.get("type"), columns, vocab);
    program.vocab = vocab;
    program.steps.push_back(step);
    feeds.push_back({one_sequence(rows, 0)});
    for (int r = 0; r < rows; ++r) feeds[0].batch.add_row(random_.integer(0, vocab - 1), r, false);
  }

  Batch one_sequence(int rows, int wanted) {
    limits.batch = {.rows = rows + 1, .wanted = wanted + 1, .sequences = 1, .pages = 0};
    limits.cache_pages = 0;
    Batch batch(limits.batch);
    batch.add_sequence({});
    return batch;
  }

  void linears(const OpCase& c) {
    const int columns = c.number("columns"), rows = c.number("rows");
    const bool bias = c.number("bias") != 0, factors = c.number("factors") != 0,
               wanted_rows = c.op() == "logits";
    const std::vector<std::string> types = split(c.get("type"), '+'), outs = split(c.get("out"), '+');
    Step step;
    step.op = op_of(c.op());
    step.x = add_slot(columns);
    std::int64_t out = 0;
    for (std::size_t i = 0; i < types.size(); ++i) {
      const int matrix_rows = std::stoi(outs[i % outs.size()]);
      step.linear[i].weight = matrix(types[i], columns, matrix_rows);
      if (bias) step.linear[i].bias = vector(random_.gauss(static_cast<std::size_t>(matrix_rows)));
      if (factors)
        step.linear[i].factors =
            vector({exact() ? 0.25f * static_cast<float>(random_.integer(1, 9)) : random_.gauss(1)[0]});
      out = step.op == Op::gate_up ? matrix_rows : out + matrix_rows;
    }
    if (c.number("norm") != 0) {
      step.norm.kind = Norm::Kind::rms;
      step.norm.weight = vector(norm_weights(static_cast<std::size_t>(columns)));
      step.norm.eps = 1e-5f;
    }
    if (step.op == Op::gate_up)
      step.activation = c.get("activation") == "silu" ? Activation::silu : Activation::gelu_tanh;
    if (step.op == Op::matmul && c.number("add") != 0) step.add = add_slot(out);
    if (step.op == Op::matmul && c.number("mul") != 0) step.mul = add_slot(out);
    step.out = add_slot(out, wanted_rows);
    if (wanted_rows) program.vocab = out, program.logits = step.out;
    program.steps.push_back(step);
    feed_rows(rows, wanted_rows ? std::min(rows, c.number("wanted", 1)) : 0);
  }

  static Op op_of(const std::string& name) {
    for (const Op op : {Op::matmul, Op::qkv, Op::gate_up, Op::logits})
      if (op_name(op) == name) return op;
    throw std::runtime_error("unknown op " + name);
  }

  void feed_rows(int rows, int wanted) {
    Feed feed{one_sequence(rows, wanted)};
    const std::vector<int> order = random_.shuffled(rows);
    for (int r = 0; r < rows; ++r) feed.batch.add_row(0, r, order[static_cast<std::size_t>(r)] < wanted);
    feed.x.resize(static_cast<std::size_t>(rows) * width(step().x));
    for (std::size_t at = 0; at < feed.x.size(); at += width(step().x))
      fill_row(random_, input_, std::span(feed.x).subspan(at, width(step().x)));
    feed.add = random_.gauss(static_cast<std::size_t>(rows) * width(step().add));
    feed.mul = random_.gauss(static_cast<std::size_t>(rows) * width(step().mul));
    feeds.push_back(std::move(feed));
  }

  void attend(const OpCase& c) {
    const std::vector<std::string> heads = split(c.get("heads"), '/'), dims = split(c.get("dims"), 'x');
    Step step;
    step.op = Op::attend;
    Attention& a = step.attention;
    a.heads = std::stoi(heads[0]);
    a.kv_heads = std::stoi(heads[1]);
    a.key_dim = std::stoi(dims[0]);
    a.value_dim = std::stoi(dims.back());
    a.scale = 1 / std::sqrt(static_cast<float>(a.key_dim));
    a.window = c.number("window");
    const std::string norms = c.get("norms", "none");
    const auto key_dim = static_cast<std::size_t>(a.key_dim);
    for (const auto& [name, norm] : {std::pair{"q", &a.q_norm}, {"k", &a.k_norm}})
      if (norms == name || norms == "both")
        *norm = {.kind = Norm::Kind::rms, .weight = vector(random_.gauss(key_dim)), .eps = 1e-6f};
    a.rope = rope(c, a.key_dim);
    const std::string with = c.get("with", "nothing");
    if (with == "softcap") a.softcap = 0.5f;
    if (with == "alibi") a.alibi = 8;
    if (with == "sinks") a.sinks = random_vector(a.heads, -1, 3);
    if (with == "all") a.sees = Attention::Sees::all;
    if (with == "chunk") a.sees = Attention::Sees::chunk;
    a.gated = with == "gated";
    a.key_is_value = with == "shared";
    a.cache = 0;
    program.caches.push_back({.layer = 0,
                              .kv_heads = a.kv_heads,
                              .key_dim = a.key_dim,
                              .value_dim = a.value_dim,
                              .key_is_value = a.key_is_value});
    step.x = add_slot(a.row_width());
    step.selection.blocks = c.number("blocks");
    step.selection.block = c.number("block", 1);
    step.selection.groups = c.get("lists", "one") == "each" ? a.kv_heads : 1;
    if (step.selection.blocks > 0) step.side = add_slot(step.selection.width());
    step.out = add_slot(std::int64_t{a.heads} * a.value_dim);
    program.steps.push_back(step);
    limits.kv = kv_by_name(c.get("kv", "f32"));
    limits.page_tokens = c.number("page", 16);
    feed_sequences(c.get("batch"));
  }

  void index(const OpCase& c) {
    const std::vector<std::string> heads = split(c.get("heads"), '/');
    Step step;
    step.op = Op::index;
    Attention& a = step.attention;
    a.heads = std::stoi(heads[0]);
    a.kv_heads = 1;
    a.key_dim = c.number("dims");
    a.key_is_value = true;
    a.cache = 0;
    step.selection = {.blocks = c.number("blocks"),
                      .block = c.number("block", 1),
                      .local = c.number("local"),
                      .groups = std::stoi(heads[1]),
                      .weighted = c.number("weighted") != 0};
    program.caches.push_back({.layer = 0, .kv_heads = 1, .key_dim = a.key_dim, .key_is_value = true});
    step.x = add_slot(a.row_width() + (step.selection.weighted ? a.heads : 0));
    step.out = add_slot(step.selection.width());
    program.steps.push_back(step);
    limits.kv = kv_by_name(c.get("kv", "f32"));
    limits.page_tokens = c.number("page", 16);
    feed_sequences(c.get("batch"));
  }

  // Whole numbers, keys being such as their stored type holds exactly.
  std::vector<float> index_input(int rows) {
    const Attention& a = step().attention;
    std::vector<float> x(static_cast<std::size_t>(rows) * width(step().x));
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto at = static_cast<int>(i % width(step().x)) - a.heads * a.key_dim;
      const bool largest = at >= 0 && at < a.key_dim && at % 32 == 0;
      x[i] = static_cast<float>(random_.integer(-3, 3));
      if (largest) x[i] = limits.kv == KvType::q4_0 ? -8 : 127;
    }
    return x;
  }

  // For each list of each row as many blocks as it may see, ascending.
  std::vector<float> lists(const Batch& batch) {
    const Selection& s = step().selection;
    std::vector<float> all;
    for (int r = 0; r < batch.rows(); ++r)
      for (int g = 0; g < s.groups; ++g) {
        std::vector<int> blocks = random_.shuffled(batch.position(r) / s.block + 1);
        blocks.resize(std::min(blocks.size(), static_cast<std::size_t>(s.blocks)));
        std::ranges::sort(blocks);
        all.insert(all.end(), blocks.begin(), blocks.end());
        all.resize((static_cast<std::size_t>(r) * static_cast<std::size_t>(s.groups) +
                    static_cast<std::size_t>(g) + 1) *
                       static_cast<std::size_t>(s.blocks),
                   -1);
      }
    return all;
  }

  Rope rope(const OpCase& c, int key_dim) {
    Rope rope;
    const std::string pairs = c.get("rope", "none"), rotated = c.get("rotated", "whole"),
                      positions = c.get("positions", "plain");
    if (pairs == "none") return rope;
    rope.pairs = pairs == "adjacent" ? Rope::Pairs::adjacent : Rope::Pairs::halves;
    rope.dims = rotated == "half" ? key_dim / 4 * 2 : key_dim;
    if (positions == "linear") rope.scale = 0.25f;
    if (positions == "factors") {
      std::vector<float> factors(static_cast<std::size_t>(rope.dims / 2));
      for (float& factor : factors) factor = random_.uniform(1, 8);
      rope.factors = vector(factors);
    }
    if (positions == "yarn") {
      rope.yarn_factor = 4;
      rope.yarn_original = 128;
      rope.magnitude = 1.125f;
    }
    return rope;
  }

  WeightId random_vector(std::int64_t n, float low, float high) {
    std::vector<float> values(static_cast<std::size_t>(n));
    for (float& value : values) value = random_.uniform(low, high);
    return vector(values);
  }
  Norm random_norm(Norm::Kind kind, std::int64_t n) {
    Norm norm{.kind = kind, .weight = random_vector(n, 0.5f, 1.5f), .eps = 1e-5f};
    if (kind == Norm::Kind::layer) norm.bias = random_vector(n, -0.5f, 0.5f);
    return norm;
  }
  StateId add_state(std::int64_t width) {
    program.states.push_back({.layer = 0, .width = width});
    return static_cast<StateId>(program.states.size()) - 1;
  }
  void finish_recurrent(const OpCase& c, const Step& step) {
    program.steps.push_back(step);
    limits.page_tokens = 16;
    feed_sequences(c.get("batch"));
  }

  void conv(const OpCase& c) {
    Step step;
    step.op = Op::conv;
    step.activation = c.get("activation", "identity") == "silu" ? Activation::silu : Activation::identity;
    Conv& conv = step.conv;
    conv.kernel = c.number("kernel");
    conv.channels = c.number("channels");
    conv.first_column = c.number("first");
    conv.gated = c.number("gated") != 0;
    conv.weight = matrix("f32", conv.kernel, conv.channels);
    if (c.number("bias") != 0) conv.bias = random_vector(conv.channels, -1, 1);
    conv.state = add_state(std::int64_t{conv.kernel - 1} * conv.channels);
    step.x = add_slot(conv.first_column + std::int64_t{conv.channels} * (conv.gated ? 3 : 1) + 1);
    step.out = add_slot(conv.channels);
    finish_recurrent(c, step);
  }

  void shift(const OpCase& c) {
    Step step;
    step.op = Op::shift;
    const int columns = c.number("width");
    step.shift.count = c.number("count");
    for (int i = 0; i < step.shift.count; ++i) step.shift.mix[i] = random_vector(columns, 0, 1);
    step.shift.state = add_state(columns);
    const std::string norm = c.get("norm", "layer");
    if (norm != "none") step.norm = random_norm(norm == "rms" ? Norm::Kind::rms : Norm::Kind::layer, columns);
    step.x = add_slot(columns);
    const std::int64_t out = std::int64_t{columns} * step.shift.count;
    if (c.number("side") != 0) step.side = add_slot(out);
    step.out = add_slot(out);
    finish_recurrent(c, step);
  }

  static Scan::Kind scan_kind(const std::string& name) {
    const std::pair<const char*, Scan::Kind> kinds[] = {
        {"mamba", Scan::Kind::mamba}, {"mamba2", Scan::Kind::mamba2}, {"delta", Scan::Kind::delta},
        {"rwkv6", Scan::Kind::rwkv6}, {"rwkv7", Scan::Kind::rwkv7},   {"kda", Scan::Kind::kda},
        {"gla", Scan::Kind::gla}};
    for (const auto& [known, kind] : kinds)
      if (name == known) return kind;
    throw std::runtime_error("unknown recurrence " + name);
  }

  void scan(const OpCase& c) {
    const std::vector<std::string> heads = split(c.get("heads", "1/1"), '/'),
                                   dims = split(c.get("dims"), 'x');
    Step step;
    step.op = Op::scan;
    Scan& s = step.scan;
    s.kind = scan_kind(c.get("kind"));
    s.heads = std::stoi(heads[0]);
    s.groups = std::stoi(heads.back());
    s.key_dim = std::stoi(dims[0]);
    s.value_dim = std::stoi(dims.back());
    s.tiled = c.number("tiled") != 0;
    s.block = c.number("block", 1);
    const bool normed = c.number("norms", 1) != 0, first = c.number("side", 1) != 0;
    const std::int64_t keys = s.keys(), values = s.values();
    std::int64_t in = values + 2 * keys, side = 2 * values + 2 * keys + s.heads;
    switch (s.kind) {
      case Scan::Kind::mamba:
        in = values, side = 3 * values + 2 * s.key_dim;
        s.decay = matrix("f32", s.key_dim, values);
        s.bonus = random_vector(values, 0.5f, 1.5f);
        if (normed) s.key_norm = random_norm(Norm::Kind::rms, s.key_dim), s.query_norm = s.key_norm;
        break;
      case Scan::Kind::mamba2:
        s.bonus = random_vector(s.heads, 0.5f, 1.5f);
        if (normed) s.norm = random_norm(Norm::Kind::rms, values);
        break;
      case Scan::Kind::delta:
        side += s.heads;
        s.norm = random_norm(Norm::Kind::rms, s.value_dim);
        break;
      case Scan::Kind::rwkv6:
      case Scan::Kind::rwkv7:
        in = 5 * values, side = 0;
        if (s.kind == Scan::Kind::rwkv7) in = (first ? 7 : 6) * values, side = first ? values : 0;
        s.bonus = random_vector(keys, -1, 1);
        s.norm = random_norm(Norm::Kind::layer, values);
        break;
      case Scan::Kind::kda:
        side = 2 * values + 3 * keys + s.heads;
        s.decay = random_vector(s.heads, -2, -0.1f);
        s.step_bias = random_vector(keys, -1, 1);
        s.norm = random_norm(Norm::Kind::rms, s.value_dim);
        break;
      case Scan::Kind::gla:
        in = 3 * values + 2 * keys, side = 0;
        break;
    }
    if (s.kind == Scan::Kind::mamba2 || s.kind == Scan::Kind::delta) {
      s.decay = random_vector(s.heads, -2, -0.1f);
      s.step_bias = random_vector(s.heads, -1, 1);
    } else if (s.kind == Scan::Kind::mamba) {
      auto* decay = reinterpret_cast<float*>(memory_.front().data());
      for (std::int64_t i = 0; i < s.key_dim * values; ++i) decay[i] = -std::abs(decay[i]) - 0.05f;
    } else if (s.kind == Scan::Kind::rwkv7) {
      s.key_scale = random_vector(keys, 0.5f, 1.5f);
      s.key_mix = random_vector(keys, 0, 1);
    }
    s.state = add_state(values * s.key_dim);
    step.x = add_slot(in);
    if (side > 0) step.side = add_slot(side);
    step.out = add_slot(values);
    finish_recurrent(c, step);
  }

  // One batch that brings in what each sequence has behind it, then one with the rows of all.
  void feed_sequences(const std::string& text) {
    struct Sequence {
      int past, rows;
      std::vector<std::int32_t> pages;
    };
    std::vector<Sequence> sequences;
    int past = 0, rows = 0, pages = 0, longest = 0;
    for (const std::string& part : split(text, '/')) {
      const std::vector<std::string> counts = split(part, '+');
      Sequence s{std::stoi(counts[0]), std::stoi(counts[1]), {}};
      s.pages.resize(static_cast<std::size_t>((s.past + s.rows - 1) / limits.page_tokens + 1));
      past += s.past;
      rows += s.rows;
      pages += static_cast<int>(s.pages.size());
      longest = std::max(longest, static_cast<int>(s.pages.size()));
      sequences.push_back(std::move(s));
    }
    limits.cache_pages = pages + 2;
    limits.state_slots = static_cast<int>(sequences.size());
    limits.batch = {.rows = std::max(past, rows) + 1,
                    .wanted = 1,
                    .sequences = static_cast<int>(sequences.size()),
                    .pages = longest};
    const std::vector<int> order = random_.shuffled(limits.cache_pages);
    auto next = order.begin();
    for (Sequence& s : sequences)
      for (std::int32_t& page : s.pages) page = *next++;
    for (const bool before : {true, false}) {
      Feed feed{Batch(limits.batch)};
      for (const Sequence& s : sequences) {
        if (before && s.past == 0) continue;
        feed.batch.add_sequence(s.pages, static_cast<std::int32_t>(&s - sequences.data()));
        for (int p = before ? 0 : s.past; p < (before ? s.past : s.past + s.rows); ++p)
          feed.batch.add_row(0, p, false);
      }
      feed.x = attend_input(static_cast<std::size_t>(feed.batch.rows()) * width(step().x));
      feed.side = attend_input(static_cast<std::size_t>(feed.batch.rows()) * width(step().side));
      if (step().op == Op::index) feed.x = index_input(feed.batch.rows());
      if (step().op == Op::attend && step().side != none) feed.side = lists(feed.batch);
      // What rwkv7 gets there has been through a logistic function.
      if (step().scan.kind == Scan::Kind::rwkv7)
        for (std::size_t i = 0; i < feed.x.size(); ++i)
          if (const auto part = i % width(step().x) / static_cast<std::size_t>(step().scan.values());
              part == 4 || part == 6)
            feed.x[i] = 1 / (1 + std::exp(-feed.x[i]));
      if (feed.batch.rows() > 0) feeds.push_back(std::move(feed));
    }
  }

  std::vector<float> attend_input(std::size_t n) {
    std::vector<float> x = random_.gauss(n);
    for (std::size_t i = 0; i < n; ++i) {
      if (input_ == "zeros") x[i] = i % 2 == 0 ? 0.0f : -0.0f;
      if (input_ == "denormal") x[i] = std::ldexp(x[i], -140);
    }
    return x;
  }

  Random random_;
  std::string input_;
  std::vector<KeptMemory> memory_;
};

}  // namespace rf::test
