// Global functions: jinja's own, and the two that Hugging Face adds for chat templates.
#include <ctime>

#include "base/error.h"
#include "chat/jinja/builtin.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"
#include "chat/jinja/render.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

// dict(mapping or pairs, **entries)
Dict* dict_from(Render& r, const Args& args) {
  Heap& heap = r.heap();
  Dict* dict = heap.dict();
  if (args.positional.size() > 1) fail("dict expected at most 1 argument, got {}", args.positional.size());
  if (!args.positional.empty() && args.positional[0].is_dict()) {
    for (const auto& [key, value] : args.positional[0].dict().entries()) heap.set(*dict, key, value);
  } else if (!args.positional.empty()) {
    for (const Value& pair : items_of(heap, args.positional[0])) {
      const std::vector<Value> both = items_of(heap, pair);
      if (both.size() != 2) fail("a pair for dict() has length {}; 2 is required", both.size());
      heap.set(*dict, both[0], both[1]);
    }
  }
  for (const auto& [name, value] : args.named) heap.set(*dict, Value(name), value);
  return dict;
}

// Attributes that {% set ns.x = ... %} may change, also from inside a loop.
class Namespace final : public Object {
 public:
  explicit Namespace(Dict* attributes) : attributes_(attributes) {}
  std::string_view type_name() const override { return "Namespace"; }
  Value attribute(Render&, std::string_view name) override {
    const Value* v = attributes_->find(name);
    return v == nullptr ? Value::absent() : *v;
  }
  bool assign(Render& render, const Text* name, const Value& v) override {
    render.heap().work(1);
    const Value key(name);
    if (attributes_->find(key) == nullptr) render.heap().reserve(2 * sizeof(Dict::Entry));
    attributes_->set(key, v);
    return true;
  }

 private:
  Dict* attributes_;
};

// cycler(a, b, ...): .next(), .reset(), .current.  joiner(sep): nothing on the first call, then sep.
class Cycler final : public Object {
 public:
  explicit Cycler(std::vector<Value> items) : items_(std::move(items)) {}
  std::string_view type_name() const override { return "Cycler"; }
  Value attribute(Render& render, std::string_view name) override;
  Value next() {
    const Value v = items_[at_];
    at_ = (at_ + 1) % items_.size();
    return v;
  }
  void reset() { at_ = 0; }

 private:
  std::vector<Value> items_;
  std::size_t at_ = 0;
};

class CyclerMethod final : public Object {
 public:
  CyclerMethod(Cycler& cycler, bool next) : cycler_(cycler), next_(next) {}
  std::string_view type_name() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(Render&, const Args&) override {
    if (next_) return cycler_.next();
    cycler_.reset();
    return Value::none();
  }

 private:
  Cycler& cycler_;
  bool next_;
};

Value Cycler::attribute(Render& render, std::string_view name) {
  if (name == "current") return items_[at_];
  if (name != "next" && name != "reset") return Value::absent();
  return Value(static_cast<Object*>(render.heap().make<CyclerMethod>(*this, name == "next")));
}

class Joiner final : public Object {
 public:
  explicit Joiner(const Value& separator) : separator_(separator) {}
  std::string_view type_name() const override { return "Joiner"; }
  bool callable() const override { return true; }
  Value call(Render& render, const Args&) override {
    return std::exchange(used_, true) ? separator_ : render.heap().str("");
  }

 private:
  Value separator_;
  bool used_ = false;
};

Value g_range(Render& r, const Bound& b) {
  constexpr std::int64_t max = 100'000;  // as jinja's sandbox
  const bool one = !b.has(1);
  const std::int64_t from = one ? 0 : b.integer(0, 0), to = b.integer(one ? 0 : 1, 0), step = b.integer(2, 1);
  if (step == 0) fail("range() arg 3 must not be zero");
  std::vector<Value> items;
  for (std::int64_t i = from; step > 0 ? i < to : i > to;) {
    if (static_cast<std::int64_t>(items.size()) == max) fail("range() of more than {} numbers", max);
    items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  r.heap().work(items.size());
  return Value(r.heap().list(std::move(items)), Kind::range);
}

Value g_dict(Render& r, const Bound& b) {
  return Value(dict_from(r, b.all));
}
Value g_namespace(Render& r, const Bound& b) {
  return Value(static_cast<Object*>(r.heap().make<Namespace>(dict_from(r, b.all))));
}
Value g_cycler(Render& r, const Bound& b) {
  if (b.all.positional.empty()) fail("at least one item has to be provided");
  r.heap().reserve(b.all.positional.size() * sizeof(Value));
  return Value(static_cast<Object*>(r.heap().make<Cycler>(b.all.positional)));
}
Value g_joiner(Render& r, const Bound& b) {
  return Value(static_cast<Object*>(r.heap().make<Joiner>(b.get(0, r.heap().str(", ")))));
}

// A paragraph of `words` Latin words in sentences.
std::string lorem_ipsum(Render& r, std::int64_t words) {
  static constexpr std::string_view latin[] = {"lorem",        "ipsum",      "dolor",  "sit",    "amet",
                                               "consectetuer", "adipiscing", "elit",   "sed",    "diam",
                                               "magna",        "aliqua",     "tempor", "velit",  "ornare",
                                               "vivamus",      "luctus",     "porta",  "mattis", "nunc"};
  std::string out;
  for (std::int64_t i = 0, comma = 5, end = 12; i < words; ++i) {
    std::string word(latin[r.pick(std::size(latin))]);
    r.heap().reserve(word.size() + 2);
    if (out.empty() || out.ends_with('.')) word = capitalize(word);
    out.append(out.empty() ? "" : " ").append(word);
    if (i + 1 == words || i == end) {
      out += '.';
      end = i + 10 + static_cast<std::int64_t>(r.pick(10));
      comma = i + 3 + static_cast<std::int64_t>(r.pick(5));
    } else if (i == comma) {
      out += ',';
      comma = i + 3 + static_cast<std::int64_t>(r.pick(5));
    }
  }
  return out;
}

Value g_lipsum(Render& r, const Bound& b) {
  const bool html = b.flag(r.heap(), 1, true);
  const std::int64_t least = b.integer(2, 20), most = b.integer(3, 100);
  if (least < 1 || least >= most) fail("lipsum: expected 1 <= min < max, found {} and {}", least, most);
  std::string out;
  for (std::int64_t i = 0; i < b.integer(0, 5); ++i) {
    const std::int64_t words =
        least + static_cast<std::int64_t>(r.pick(static_cast<std::size_t>(most - least)));
    r.heap().work(static_cast<std::size_t>(words));
    const std::string text = lorem_ipsum(r, words);
    out += i == 0 ? "" : html ? "\n" : "\n\n";
    out += html ? "<p>" + text + "</p>" : text;
  }
  return Value(r.heap().text(std::move(out), html));
}

Value g_raise_exception(Render& r, const Bound& b) {
  throw Refusal(to_str(r.heap(), b.arg[0]));
}

// `code` but where its % belongs to a %%.
void replace_code(std::string& format, std::string_view code, std::string_view value) {
  for (std::size_t at = 0; (at = format.find('%', at)) != std::string::npos;) {
    if (format.compare(at, code.size(), code) == 0)
      format.replace(at, code.size(), value);
    else
      at += 2;
  }
}

Value g_strftime_now(Render& r, const Bound& b) {
  // Time zones and parts of a second are none of this clock's; the last makes no empty result a failure.
  std::string format(b.text(0));
  for (const auto& [code, value] : {std::pair("%f", "000000"), {"%z", ""}, {"%:z", ""}, {"%Z", ""}})
    replace_code(format, code, value);
  format += '|';
  std::string out(1024 + 8 * format.size(), '\0');
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &r.now()));
  if (out.empty()) fail("strftime_now: the result is too long");
  out.pop_back();
  return r.heap().str(std::move(out));
}

}  // namespace

std::span<const Builtin> globals() {
  static constexpr Builtin table[] = {
      {"cycler", g_cycler, "*"},
      {"dict", g_dict, "*"},
      {"joiner", g_joiner, "sep"},
      {"lipsum", g_lipsum, "n,html,min,max"},
      {"namespace", g_namespace, "*"},
      {"raise_exception", g_raise_exception, "message", 1},
      {"range", g_range, "start,stop,step", 1},
      {"strftime_now", g_strftime_now, "format", 1},
  };
  return table;
}

}  // namespace rf::jinja
