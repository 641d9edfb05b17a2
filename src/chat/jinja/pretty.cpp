#include "chat/jinja/pretty.h"

#include <algorithm>

#include "chat/jinja/print.h"
#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

constexpr std::int64_t width = 80;

// The value with the keys of its dicts in order; of several types, by the names of these.
Value ordered(Heap& heap, const Value& v) {
  const Heap::Nesting nesting(heap);
  heap.work(1);
  if (v.is(Kind::list) || v.is(Kind::tuple)) {
    std::vector<Value> items;
    for (const Value& item : v.list().items) items.push_back(ordered(heap, item));
    return Value(heap.list(std::move(items)), v.kind());
  }
  if (!v.is_dict()) return v;
  std::vector<Dict::Entry> entries = v.dict().entries();
  std::sort(entries.begin(), entries.end(), [](const Dict::Entry& a, const Dict::Entry& b) {
    const bool alike = a.first.kind() == b.first.kind() || (a.first.is_number() && b.first.is_number());
    return alike ? KeyLess()(a.first, b.first) : a.first.type_name() < b.first.type_name();
  });
  Dict* dict = heap.dict();
  for (const auto& [key, value] : entries) heap.set(*dict, key, ordered(heap, value));
  return Value(dict);
}

// `indent`: the column where a value begins; `allowance`: characters that come after it on its last line.
class PrettyWriter {
 public:
  explicit PrettyWriter(Heap& heap) : heap_(heap) {}

  std::string out;

  void write(const Value& v, std::int64_t indent, std::int64_t allowance, bool top) {
    const Heap::Nesting nesting(heap_);
    std::string repr = to_repr(heap_, v);
    heap_.work(repr.size() / 64);
    if (count_chars(repr) <= width - indent - allowance) {
      out += repr;
    } else if (v.is_dict()) {
      dict(v.dict(), indent, allowance + 1);
    } else if (v.is(Kind::list)) {
      sequence(v.list().items, '[', "]", indent, allowance);
    } else if (v.is(Kind::tuple)) {
      sequence(v.list().items, '(', v.list().items.size() == 1 ? ",)" : ")", indent, allowance);
    } else if (v.is_text() && !v.is_markup()) {
      text(v.str(), indent, allowance, top);
    } else {
      out += repr;
    }
  }

 private:
  void new_line(std::int64_t indent) {
    heap_.reserve(static_cast<std::size_t>(indent) + 1);
    out.append(1, '\n').append(static_cast<std::size_t>(indent), ' ');
  }

  void sequence(const std::vector<Value>& items, char open, std::string_view close, std::int64_t indent,
                std::int64_t allowance) {
    out += open;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const bool last = i + 1 == items.size();
      write(items[i], indent + 1, last ? allowance + static_cast<std::int64_t>(close.size()) : 1, false);
      if (last) break;
      out += ',';
      new_line(indent + 1);
    }
    out += close;
  }

  void dict(const Dict& d, std::int64_t indent, std::int64_t allowance) {
    out += '{';
    for (std::size_t i = 0; i < d.size(); ++i) {
      const bool last = i + 1 == d.size();
      const auto& [key, value] = d.entries()[i];
      const std::string name = to_repr(heap_, key);
      out.append(name).append(": ");
      write(value, indent + count_chars(name) + 3, last ? allowance : 1, false);
      if (last) break;
      out += ',';
      new_line(indent + 1);
    }
    out += '}';
  }

  // Adjacent literals of whole lines or, of longer lines, of as many words as there is room for.
  void text(std::string_view s, std::int64_t indent, std::int64_t allowance, bool top) {
    if (top) ++indent, ++allowance;
    std::vector<std::string> literals;
    const std::vector<std::string_view> lines = split_lines(s, true);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::int64_t after = i + 1 == lines.size() ? allowance : 0;
      if (std::string literal = quoted(lines[i]); count_chars(literal) <= width - indent - after)
        literals.push_back(std::move(literal));
      else
        words(lines[i], width - indent, after, literals);
    }
    if (top && literals.size() > 1) out += '(';
    for (std::size_t i = 0; i < literals.size(); ++i) {
      if (i > 0) new_line(indent);
      out += literals[i];
    }
    if (top && literals.size() > 1) out += ')';
  }

  void words(std::string_view line, std::int64_t room, std::int64_t after,
             std::vector<std::string>& literals) {
    std::string now;
    while (!line.empty()) {
      const std::size_t size = word_size(line);
      const std::string_view word = line.substr(0, size);
      line.remove_prefix(size);
      std::string longer = now + std::string(word);
      heap_.work(longer.size() / 16);
      const bool fits = count_chars(quoted(longer)) <= room - (line.empty() ? after : 0);
      if (!fits && !now.empty()) literals.push_back(quoted(now));
      now = fits ? std::move(longer) : std::string(word);
    }
    if (!now.empty()) literals.push_back(quoted(now));
  }

  // A word with the white space after it.
  static std::size_t word_size(std::string_view s) {
    std::size_t at = 0;
    for (const bool blank : {false, true})
      while (at < s.size()) {
        std::size_t next = at;
        if (is_space(next_char(s, next)) != blank) break;
        at = next;
      }
    return at;
  }

  Heap& heap_;
};

}  // namespace

std::string to_pretty(Heap& heap, const Value& v) {
  PrettyWriter writer(heap);
  writer.write(ordered(heap, v), 0, 0, true);
  return std::move(writer.out);
}

}  // namespace rf::jinja
