// Wrapping text at word ends, as Python's textwrap does it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rf::jinja {

// A line's text as lines of at most `width` characters, which is at least 1; white space around the cuts
// goes. Words that are longer are cut where `long_words`, and words are cut after hyphens where `hyphens`.
std::vector<std::string> wrapped(std::string_view line, std::int64_t width, bool long_words, bool hyphens);

}  // namespace rf::jinja
