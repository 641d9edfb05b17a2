#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "text/character_class.h"

namespace rf {
namespace {

std::uint8_t byte_at(std::string_view text, std::size_t i) {
  return static_cast<std::uint8_t>(text[i]);
}

// The shape of a character by its first byte: its length and the range of its second byte; 0 where none
// begins so.
struct Shape {
  std::uint8_t bytes, second_low, second_high;
};

Shape shape_of(std::uint8_t lead) {
  if (lead < 0x80) return {1, 0, 0};
  if (lead < 0xC2) return {0, 0, 0};
  if (lead < 0xE0) return {2, 0x80, 0xBF};
  if (lead == 0xE0) return {3, 0xA0, 0xBF};
  if (lead == 0xED) return {3, 0x80, 0x9F};  // no surrogates
  if (lead < 0xF0) return {3, 0x80, 0xBF};
  if (lead == 0xF0) return {4, 0x90, 0xBF};
  if (lead < 0xF4) return {4, 0x80, 0xBF};
  if (lead == 0xF4) return {4, 0x80, 0x8F};  // up to U+10FFFF
  return {0, 0, 0};
}

std::uint64_t class_of(utf8proc_int32_t point) {
  return static_cast<std::uint64_t>(utf8proc_get_property(point)->combining_class);
}

// Canonical ordering: every run of marks by combining class, equal classes in the order found. A mark is
// sorted as one number: its class, its place in the run, and its 21 bits.
void order_marks(std::vector<utf8proc_int32_t>& points) {
  std::vector<std::uint64_t> run;
  for (std::size_t at = 0; at < points.size(); ++at) {
    run.clear();
    for (; at < points.size() && class_of(points[at]) != 0; ++at)
      run.push_back(class_of(points[at]) << 53 | run.size() << 21 | static_cast<std::uint64_t>(points[at]));
    if (run.size() < 2) continue;
    std::sort(run.begin(), run.end());
    for (std::size_t i = 0; i < run.size(); ++i)
      points[at - run.size() + i] = static_cast<utf8proc_int32_t>(run[i] & 0x1FFFFF);
  }
}

std::vector<utf8proc_int32_t> decomposed(std::string_view text) {
  constexpr auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
  std::vector<utf8proc_int32_t> points;
  points.reserve(text.size());
  utf8proc_int32_t parts[32];  // the longest canonical decomposition has four
  int boundary = 0;
  while (!text.empty()) {
    const std::size_t bytes = first_utf8(text).bytes;
    const auto point = static_cast<utf8proc_int32_t>(code_point(text.substr(0, bytes)));
    const auto count = utf8proc_decompose_char(point, parts, std::size(parts), options, &boundary);
    if (count < 0) fail("Unicode decomposition: {}", utf8proc_errmsg(count));
    points.insert(points.end(), parts, parts + std::min<utf8proc_ssize_t>(count, std::size(parts)));
    text.remove_prefix(bytes);
  }
  return points;
}

std::string utf8_of(const std::vector<utf8proc_int32_t>& points) {
  std::string out;
  out.reserve(points.size());
  for (const utf8proc_int32_t point : points) append_utf8(out, static_cast<char32_t>(point));
  return out;
}

std::string composed(std::string_view text) {
  std::vector<utf8proc_int32_t> points = decomposed(text);
  order_marks(points);
  constexpr auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const auto count =
      utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()), options);
  if (count < 0) fail("Unicode normalisation: {}", utf8proc_errmsg(count));
  points.resize(static_cast<std::size_t>(count));
  return utf8_of(points);
}

bool no_byte_from(std::string_view text, std::uint8_t first) {
  return std::none_of(text.begin(), text.end(),
                      [=](char c) { return static_cast<std::uint8_t>(c) >= first; });
}

}  // namespace

Utf8Part first_utf8(std::string_view text) {
  const Shape shape = shape_of(byte_at(text, 0));
  if (shape.bytes == 1) return {Utf8::valid, 1};
  if (shape.bytes == 0) return {Utf8::ill_formed, 1};
  for (std::uint8_t i = 1; i < shape.bytes; ++i) {
    if (i == text.size()) return {Utf8::truncated, i};
    const std::uint8_t low = i == 1 ? shape.second_low : 0x80;
    const std::uint8_t high = i == 1 ? shape.second_high : 0xBF;
    if (byte_at(text, i) < low || byte_at(text, i) > high) return {Utf8::ill_formed, i};
  }
  return {Utf8::valid, shape.bytes};
}

std::size_t well_formed_prefix(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    if (byte_at(text, at) < 0x80) {
      ++at;
      continue;
    }
    const Utf8Part part = first_utf8(text.substr(at));
    if (part.kind != Utf8::valid) break;
    at += part.bytes;
  }
  return at;
}

std::string repaired_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (;;) {
    const std::size_t good = well_formed_prefix(text);
    out += text.substr(0, good);
    text.remove_prefix(good);
    if (text.empty()) return out;
    out += replacement_character;
    text.remove_prefix(first_utf8(text).bytes);
  }
}

char32_t code_point(std::string_view character) {
  return decode_well_formed(character.data()).point;
}

void append_utf8(std::string& out, char32_t point) {
  utf8proc_uint8_t bytes[4];
  const auto count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(point), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
}

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<std::uint8_t>(c) & 0xC0) != 0x80; }));
}

std::string lower_cased(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](std::string_view character) {
    const char32_t point = code_point(character);
    if (point < 0x80)
      out += point >= 'A' && point <= 'Z' ? static_cast<char>(point + 'a' - 'A') : static_cast<char>(point);
    else if (point == 0x130)
      out += "i\xCC\x87";  // the only one that becomes two
    else
      append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(point))));
  });
  return out;
}

std::string nfd(std::string_view text) {
  // Below U+00C0, whose first byte is 0xC3, nothing has parts.
  if (no_byte_from(text, 0xC3)) return {};
  std::vector<utf8proc_int32_t> points = decomposed(text);
  order_marks(points);
  return utf8_of(points);
}

std::string nfc(std::string_view text) {
  const CharacterClasses& classes = CharacterClasses::table();
  const auto changes = [&](std::size_t at) {
    return at < text.size() && (classes[decode_well_formed(text.data() + at).point] & composes) != 0;
  };
  std::string out;
  std::size_t done = 0, base = 0;  // what is in `out`; where the last character that stays begins
  for (std::size_t at = 0; at < text.size();) {
    if (!changes(at)) {
      base = at;
      at += decode_well_formed(text.data() + at).bytes;
      continue;
    }
    while (changes(at)) at += decode_well_formed(text.data() + at).bytes;
    out.append(text.substr(done, base - done)).append(composed(text.substr(base, at - base)));
    done = base = at;
  }
  return done == 0 ? std::string() : out.append(text.substr(done));
}

}  // namespace rf
