// What Python's str knows of characters: classes and the full case mappings of Unicode.
#pragma once
#include <string>
#include <string_view>

namespace rf::jinja {

bool is_space(char32_t c);  // str.isspace, also what strip, split and \s take
bool is_line_break(char32_t c);
bool is_word(char32_t c);  // \w
bool is_alpha(char32_t c);
bool is_numeric(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);  // decimals, and digits such as superscripts
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_printable(char32_t c);

std::string to_upper(std::string_view s);
std::string to_lower(std::string_view s);
std::string case_folded(std::string_view s);
std::string capitalize(std::string_view s);
std::string title_case(std::string_view s);  // str.title
std::string swap_case(std::string_view s);

}  // namespace rf::jinja
