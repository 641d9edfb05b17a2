// Python's str over UTF-8 bytes: positions are code points. Invalid bytes count as one character each.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja/letters.h"

namespace rf::jinja {

std::int64_t count_chars(std::string_view s);
// The byte offset of character `index`, s.size() if there are fewer.
std::size_t byte_of_char(std::string_view s, std::int64_t index);
// Decodes the character at s[at] and moves `at` behind it; an invalid byte decodes to 0xDC00 + byte.
char32_t next_char(std::string_view s, std::size_t& at);
std::size_t char_size(std::string_view s, std::size_t at);  // bytes of the character at s[at]
std::size_t char_before(std::string_view s,
                        std::size_t end);  // offset of the character that ends before `end`
void append_utf8(std::string& out, char32_t c);

enum class Side { left, right, both };
std::string_view strip(std::string_view s, Side side = Side::both);
std::string_view strip(std::string_view s, std::string_view chars, Side side);

std::vector<std::string_view> split_space(std::string_view s, std::int64_t max, bool from_right);
std::vector<std::string_view> split(std::string_view s, std::string_view by, std::int64_t max,
                                    bool from_right);
std::vector<std::string_view> split_lines(std::string_view s, bool keep_ends);
// The first `max` occurrences, all when it is negative.
std::string replace(std::string_view s, std::string_view old, std::string_view by, std::int64_t max);
// How often `part` occurs, without overlaps.
std::int64_t count(std::string_view s, std::string_view part);

std::string quoted(std::string_view s);        // Python's repr
std::string html_escaped(std::string_view s);  // & < > " ' as markupsafe writes them

}  // namespace rf::jinja
