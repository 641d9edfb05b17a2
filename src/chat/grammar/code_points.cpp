#include "chat/grammar/code_points.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "text/unicode.h"

namespace rf::grammar {
namespace {

std::string encoded(char32_t point) {
  std::string bytes;
  append_utf8(bytes, point);
  return bytes;
}

// All texts of one length from `low` to `high`, of which all but the first byte go over whole ranges in
// between.
PartId bytes_between(Rules& rules, std::string_view low, std::string_view high) {
  const auto first = [](std::string_view text) {
    return static_cast<unsigned>(static_cast<unsigned char>(text[0]));
  };
  if (low.size() == 1) return rules.range(first(low), first(high));
  const std::string least(low.size() - 1, '\x80'), most(low.size() - 1, '\xBF');
  const auto from = [&](unsigned a, unsigned b, std::string_view rest_low, std::string_view rest_high) {
    return rules.sequence({rules.range(a, b), bytes_between(rules, rest_low, rest_high)});
  };
  const std::string_view low_rest = low.substr(1), high_rest = high.substr(1);
  unsigned a = first(low), b = first(high);
  if (a == b) return from(a, b, low_rest, high_rest);
  std::vector<PartId> parts;
  if (low_rest != least) parts.push_back(from(a, a, low_rest, most)), ++a;
  const bool cut = high_rest != most;
  if (a + (cut ? 1 : 0) <= b) parts.push_back(from(a, b - (cut ? 1 : 0), least, most));
  if (cut) parts.push_back(from(b, b, least, high_rest));
  return rules.choice(std::move(parts));
}

PartId hex(Rules& rules, std::string_view digits) {
  ByteSet set;
  for (const char c : digits) set.set(static_cast<unsigned char>(c));
  return rules.bytes(set);
}

}  // namespace

void CodePoints::add(char32_t low, char32_t high) {
  if (low > high) return;
  std::vector<Range> merged;
  for (const Range& range : ranges_) {
    if (range.second + 1 < low || high + 1 < range.first) {
      merged.push_back(range);
    } else {
      low = std::min(low, range.first);
      high = std::max(high, range.second);
    }
  }
  merged.insert(std::ranges::upper_bound(merged, Range{low, high}), {low, high});
  ranges_ = std::move(merged);
}

CodePoints CodePoints::complement() const {
  CodePoints others;
  char32_t next = 0;
  for (const auto& [low, high] : ranges_) {
    if (low > next) others.ranges_.emplace_back(next, low - 1);
    next = high + 1;
  }
  if (next <= last_code_point) others.ranges_.emplace_back(next, last_code_point);
  return others;
}

CodePoints CodePoints::without(const CodePoints& other) const {
  CodePoints gone = complement();
  gone.add(other);
  return gone.complement();
}

bool CodePoints::contains(char32_t point) const {
  return std::ranges::any_of(ranges_, [&](const Range& r) { return r.first <= point && point <= r.second; });
}

PartId utf8_character(Rules& rules, const CodePoints& points) {
  constexpr char32_t ends[] = {0x7F, 0x7FF, 0xD7FF, 0xFFFF,
                               last_code_point};  // of equal lengths, and of surrogates
  constexpr char32_t begins[] = {0, 0x80, 0x800, 0xE000, 0x10000};
  std::vector<PartId> parts;
  ByteSet ascii;
  for (const auto& [low, high] : points.ranges()) {
    for (char32_t c = low; c <= std::min<char32_t>(high, 0x7F); ++c) ascii.set(c);
    for (std::size_t i = 1; i < std::size(ends); ++i) {
      const char32_t a = std::max(low, begins[i]), b = std::min(high, ends[i]);
      if (a <= b) parts.push_back(bytes_between(rules, encoded(a), encoded(b)));
    }
  }
  if (ascii.any()) parts.insert(parts.begin(), rules.bytes(ascii));
  return rules.choice(std::move(parts));
}

PartId json_character(Rules& rules, const CodePoints& points) {
  static const CodePoints escaped{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};
  constexpr std::string_view named = "\b\f\n\r\t\"\\", names = "bfnrt\"\\";
  std::vector<PartId> parts{utf8_character(rules, points.without(escaped))};
  for (const auto& [low, high] : escaped.ranges())
    for (char32_t c = low; c <= high; ++c) {
      if (!points.contains(c)) continue;
      const std::size_t at = named.find(static_cast<char>(c));
      parts.push_back(rules.literal(at == named.npos ? fmt::format("\\u{:04x}", static_cast<unsigned>(c))
                                                     : std::string{'\\', names[at]}));
    }
  return rules.choice(std::move(parts));
}

PartId text_until(Rules& rules, std::string_view mark) {
  const auto only = [&](char32_t c) { return utf8_character(rules, {{c, c}}); };
  const auto any_but = [&](char32_t a, char32_t b) {
    return utf8_character(rules, CodePoints::all().without({{a, a}, {b, b}}));
  };
  std::vector<char32_t> characters;
  for_each_character(mark, [&](std::string_view c) { characters.push_back(code_point(c)); });
  const char32_t first = characters[0];
  std::vector<PartId> begun, again, leave;  // what matches after `first`; ways to begin anew, and to fail
  for (std::size_t i = 1; i < characters.size(); ++i) {
    const auto then = [&](PartId next) {
      std::vector<PartId> parts = begun;
      parts.push_back(next);
      return rules.sequence(std::move(parts));
    };
    again.push_back(then(only(first)));
    leave.push_back(then(any_but(first, characters[i])));
    begun.push_back(only(characters[i]));
  }
  const PartId start = rules.sequence({only(first), rules.repeat(rules.choice(again), 0, unbounded)});
  const PartId other = rules.repeat(any_but(first, first), 0, unbounded);
  const PartId miss = rules.sequence({start, rules.choice(leave), other});
  return rules.sequence({other, rules.repeat(miss, 0, unbounded), start, rules.sequence(std::move(begun))});
}

PartId any_json_character(Rules& rules) {
  const CodePoints plain = CodePoints{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}.complement();
  const PartId digit = hex(rules, "0123456789abcdefABCDEF");
  const PartId below_surrogates = rules.sequence({hex(rules, "dD"), hex(rules, "01234567"), digit, digit});
  const PartId others = rules.sequence({hex(rules, "0123456789abcefABCEF"), digit, digit, digit});
  const PartId code = rules.sequence({rules.byte('u'), rules.choice({others, below_surrogates})});
  return rules.choice({utf8_character(rules, plain),
                       rules.sequence({rules.byte('\\'), rules.choice({hex(rules, "\"\\/bfnrt"), code})})});
}

}  // namespace rf::grammar
