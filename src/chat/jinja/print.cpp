#include "chat/jinja/print.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "chat/jinja/number.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

class ReprWriter {
 public:
  explicit ReprWriter(Heap& heap) : heap_(heap) {}

  std::string out;

  void write(const Value& v) {
    const Heap::Nesting nesting(heap_);
    heap_.work(1);
    switch (v.kind()) {
      case Kind::absent:
      case Kind::undefined:
        out += "Undefined";
        break;
      case Kind::none:
        out += "None";
        break;
      case Kind::boolean:
        out += v.boolean() ? "True" : "False";
        break;
      case Kind::integer:
        fmt::format_to(std::back_inserter(out), "{}", v.integer());
        break;
      case Kind::real:
        out += float_repr(v.real());
        break;
      case Kind::text:
        text(v);
        break;
      case Kind::list:
        sequence(v, "[", "]");
        break;
      case Kind::tuple:
        sequence(v, "(", v.list().items.size() == 1 ? ",)" : ")");
        break;
      case Kind::range:
        range(v.list().items);
        break;
      case Kind::view:
        out += v.list().label, sequence(v, "([", "])");
        break;
      case Kind::iterator:
        out += "<generator object>";
        break;
      case Kind::dict:
        dict(v.dict());
        break;
      case Kind::object:
        out += v.object().repr();
        break;
    }
  }

 private:
  void text(const Value& v) {
    heap_.reserve(v.str().size());
    out += v.is_markup() ? "Markup(" + quoted(v.str()) + ")" : quoted(v.str());
  }
  void sequence(const Value& v, std::string_view open, std::string_view close) {
    out += open;
    const std::vector<Value>& items = v.list().items;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += ", ";
      write(items[i]);
    }
    out += close;
  }
  void range(const std::vector<Value>& items) {
    if (items.empty()) {
      out += "range(0, 0)";
      return;
    }
    const std::int64_t first = items[0].integer();
    const std::int64_t step = items.size() > 1 ? items[1].integer() - first : 1;
    fmt::format_to(std::back_inserter(out), "range({}, {}", first, items.back().integer() + step);
    if (step != 1) fmt::format_to(std::back_inserter(out), ", {}", step);
    out += ')';
  }
  void dict(const Dict& d) {
    out += '{';
    bool first = true;
    for (const auto& [key, value] : d.entries()) {
      if (!std::exchange(first, false)) out += ", ";
      write(key);
      out += ": ";
      write(value);
    }
    out += '}';
  }

  Heap& heap_;
};

class JsonWriter {
 public:
  JsonWriter(Heap& heap, const JsonStyle& style) : heap_(heap), style_(style) {}

  std::string out;

  void write(const Value& v) {
    const Heap::Nesting nesting(heap_);
    heap_.work(1);
    switch (v.kind()) {
      case Kind::none:
        out += "null";
        break;
      case Kind::boolean:
        out += v.boolean() ? "true" : "false";
        break;
      case Kind::integer:
        fmt::format_to(std::back_inserter(out), "{}", v.integer());
        break;
      case Kind::real:
        out += number(v.real());
        break;
      case Kind::text:
        string(v.str());
        break;
      case Kind::list:
      case Kind::tuple:
        array(v.list(), 0);
        break;
      case Kind::iterator:
        array(v.list(), v.list().next);
        break;
      case Kind::dict:
        object(v.dict());
        break;
      default:
        fail("Object of type {} is not JSON serializable", v.type_name());
    }
  }

 private:
  static std::string number(double v) {
    const std::string repr = float_repr(v);
    if (repr == "nan") return "NaN";
    if (repr == "inf") return "Infinity";
    return repr == "-inf" ? "-Infinity" : repr;
  }

  void string(std::string_view s) {
    heap_.reserve(s.size());
    out += '"';
    for (std::size_t at = 0; at < s.size();) {
      const unsigned char c = static_cast<unsigned char>(s[at]);
      if (c == '"' || c == '\\') {
        out.append(1, '\\').append(1, s[at++]);
      } else if (c < 0x20) {
        control(c);
        ++at;
      } else if (c < 0x80 || !style_.ascii) {
        out += s[at++];
      } else {
        escaped(next_char(s, at));
      }
    }
    out += '"';
  }
  void control(unsigned char c) {
    static constexpr std::string_view codes = "\b\t\n\f\r", letters = "btnfr";
    const std::size_t i = codes.find(static_cast<char>(c));
    if (i != std::string_view::npos)
      out.append(1, '\\').append(1, letters[i]);
    else
      unit(c);
  }
  void escaped(char32_t c) {
    if (c < 0x10000) return unit(c);
    unit(0xD800 + ((c - 0x10000) >> 10));
    unit(0xDC00 + ((c - 0x10000) & 0x3FF));
  }
  void unit(char32_t c) { fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c)); }

  void new_line() {
    if (!style_.indent) return;
    heap_.reserve(style_.indent->size() * static_cast<std::size_t>(level_));
    out += '\n';
    for (int i = 0; i < level_; ++i) out += *style_.indent;
  }
  void array(const List& list, std::size_t from) {
    if (from >= list.items.size()) {
      out += "[]";
      return;
    }
    out += '[';
    ++level_;
    for (std::size_t i = from; i < list.items.size(); ++i) {
      if (i > from) out += style_.item_separator;
      new_line();
      write(list.items[i]);
    }
    --level_;
    new_line();
    out += ']';
  }
  void object(const Dict& d) {
    if (d.size() == 0) {
      out += "{}";
      return;
    }
    std::vector<Dict::Entry> sorted;
    if (style_.sort_keys) {
      sorted = d.entries();
      std::sort(sorted.begin(), sorted.end(),
                [](const auto& a, const auto& b) { return KeyLess()(a.first, b.first); });
    }
    out += '{';
    ++level_;
    bool first = true;
    for (const auto& [key, value] : style_.sort_keys ? sorted : d.entries()) {
      if (!std::exchange(first, false)) out += style_.item_separator;
      new_line();
      write_key(key);
      out += style_.key_separator;
      write(value);
    }
    --level_;
    new_line();
    out += '}';
  }
  void write_key(const Value& key) {
    if (key.is_text()) return string(key.str());
    if (!key.is_number() && !key.is_none())
      fail("keys must be str, int, float, bool or None, not {}", key.type_name());
    out += '"';
    write(key);
    out += '"';
  }

  Heap& heap_;
  const JsonStyle& style_;
  int level_ = 0;
};

}  // namespace

std::string to_str(Heap& heap, const Value& v) {
  if (v.is_text()) return std::string(v.str());
  if (v.is_undefined()) return "";
  return to_repr(heap, v);
}

std::string to_repr(Heap& heap, const Value& v) {
  ReprWriter writer(heap);
  writer.write(v);
  return std::move(writer.out);
}

Value soft_str(Heap& heap, const Value& v) {
  return v.is_text() ? v : heap.str(to_str(heap, v));
}

Value escaped(Heap& heap, const Value& v) {
  if (v.is_markup()) return v;
  std::string html = v.is_text() ? html_escaped(v.str()) : html_escaped(to_str(heap, v));
  return Value(heap.text(std::move(html), true));
}

std::string to_json(Heap& heap, const Value& v, const JsonStyle& style) {
  JsonWriter writer(heap, style);
  writer.write(v);
  return std::move(writer.out);
}

}  // namespace rf::jinja
