// {% for %} and the `loop` object.
#include <optional>

#include "base/error.h"
#include "chat/jinja/ast.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/render.h"

namespace rf::jinja {
namespace {

Value hint(const Text& text) {
  return Value::undefined(Value::Missing::hint, &text);
}

// Walks the items of one loop, one ahead where asked to; also what the template sees as `loop`.
class Loop final : public Object {
 public:
  Loop(Render& render, const For& node, Scope* outside, const Value& iterable, std::int64_t depth0)
      : node_(node), outside_(outside), depth0_(depth0) {
    // A list is walked in place: what the body appends is visited too.
    list_ =
        iterable.is(Kind::list) ? &iterable.list() : render.heap().list(items_of(render.heap(), iterable));
  }

  std::string_view type_name() const override { return "LoopContext"; }
  std::string repr() const override {
    return fmt::format("<LoopContext {}/{}>", index0_ + 1, list_->items.size());
  }
  bool callable() const override { return true; }

  // Moves to the next item; false at the end.
  bool advance(Render& render) {
    std::optional<Value> item = after_ ? std::exchange(after_, std::nullopt) : fetch(render);
    if (!item) return false;
    ++index0_;
    before_ = current_;
    current_ = *item;
    return true;
  }
  const Value& current() const { return current_; }

  Value attribute(Render& render, std::string_view name) override;
  Value call(Render& render, const Args& args) override;
  bool changed(Heap& heap, const std::vector<Value>& now) {
    const auto same = [&](const Value& a, const Value& b) { return equal(heap, a, b); };
    if (last_seen_ && std::equal(now.begin(), now.end(), last_seen_->begin(), last_seen_->end(), same))
      return false;
    last_seen_ = now;
    return true;
  }
  std::int64_t index0() const { return index0_; }

 private:
  std::optional<Value> fetch(Render& render) {
    if (passed_ != nullptr)
      return passed_->next < passed_->items.size() ? std::optional(passed_->items[passed_->next++])
                                                   : std::nullopt;
    while (next_ < list_->items.size()) {
      const Value v = list_->items[next_++];
      if (node_.test == nullptr) return v;
      const Render::Inside inside(render, outside_);
      render.assign(node_.target, v);
      if (truth(render.heap(), render.eval(*node_.test))) return v;
    }
    return std::nullopt;
  }
  const std::optional<Value>& peek(Render& render) {
    if (!after_) after_ = fetch(render);
    return after_;
  }
  std::int64_t length(Render& render) {
    if (node_.test == nullptr) return static_cast<std::int64_t>(list_->items.size());
    if (!length_) {  // run the test over the rest, and walk what passed from now on
      List* rest = render.heap().list();
      while (const auto v = fetch(render)) render.heap().append(*rest, *v);
      length_ = index0_ + 1 + static_cast<std::int64_t>(after_.has_value()) +
                static_cast<std::int64_t>(rest->items.size());
      passed_ = rest;
    }
    return *length_;
  }

  const For& node_;
  Scope* outside_;
  std::int64_t depth0_;
  List* list_;
  std::size_t next_ = 0;
  std::int64_t index0_ = -1;
  std::optional<std::int64_t> length_;
  List* passed_ = nullptr;
  std::optional<Value> after_;
  Value before_, current_;
  std::optional<std::vector<Value>> last_seen_;
};

// loop.cycle and loop.changed.
class LoopMethod final : public Object {
 public:
  LoopMethod(Loop& loop, bool cycle) : loop_(loop), cycle_(cycle) {}
  std::string_view type_name() const override { return "method"; }
  bool callable() const override { return true; }
  Value call(Render& render, const Args& args) override {
    if (!cycle_) return Value(loop_.changed(render.heap(), args.positional));
    if (args.positional.empty()) fail("no items for cycling given");
    return args.positional[static_cast<std::size_t>(loop_.index0()) % args.positional.size()];
  }

 private:
  Loop& loop_;
  bool cycle_;
};

Value Loop::attribute(Render& render, std::string_view name) {
  static const Text no_previous{.bytes = "there is no previous item", .own = {}};
  static const Text no_next{.bytes = "there is no next item", .own = {}};
  if (name == "index") return Value(index0_ + 1);
  if (name == "index0") return Value(index0_);
  if (name == "first") return Value(index0_ == 0);
  if (name == "last") return Value(!peek(render));
  if (name == "length") return Value(length(render));
  if (name == "revindex") return Value(length(render) - index0_);
  if (name == "revindex0") return Value(length(render) - index0_ - 1);
  if (name == "depth") return Value(depth0_ + 1);
  if (name == "depth0") return Value(depth0_);
  if (name == "previtem") return index0_ == 0 ? hint(no_previous) : before_;
  if (name == "nextitem") return peek(render).value_or(hint(no_next));
  if (name == "cycle" || name == "changed")
    return Value(static_cast<Object*>(render.heap().make<LoopMethod>(*this, name == "cycle")));
  return Value::absent();
}

// Runs the body over the items; the `else` part where there are none.
Flow run_loop(Render& render, const For& node, Scope* outside, const Value& iterable, std::int64_t depth0) {
  Loop* loop = render.heap().make<Loop>(render, node, outside, iterable, depth0);
  bool any = false;
  Flow flow = Flow::next;
  {
    Render::Inside inside(render, outside);
    while (flow != Flow::break_loop && loop->advance(render)) {
      if (std::exchange(any, true)) inside.renew();
      render.assign(node.target, loop->current());
      if (node.uses_loop) render.assign(render.tree().loop, Value(static_cast<Object*>(loop)));
      flow = render.exec(node.body);
    }
  }
  if (any) return Flow::next;
  const Render::Inside inside(render, outside);
  return render.exec(node.otherwise);
}

Value Loop::call(Render& render, const Args& args) {
  if (!node_.recursive) fail("the loop must have the 'recursive' marker to be called recursively");
  if (args.positional.size() != 1) fail("loop() takes 1 argument, found {}", args.positional.size());
  return render.written(
      render.capture([&] { run_loop(render, node_, outside_, args.positional[0], depth0_ + 1); }),
      render.escapes(node_.escape));
}

}  // namespace

Flow For::exec(Render& render) const {
  if (recursive) render.capture_scopes();
  return run_loop(render, *this, render.scope(), render.eval(*iterable), 0);
}

}  // namespace rf::jinja
