// The lexer of Jinja source: text between tags with its whitespace rules applied, and the tokens inside tags.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace rf::jinja {

struct Token {
  enum class Type {
    data,
    variable_begin,
    variable_end,
    block_begin,
    block_end,
    name,
    string,
    integer,
    real,
    op,
    end
  };
  Type type;
  int line;
  std::string_view source;  // as written; for data and op all there is to know
  std::string text;         // of a string literal: its value; of a number: without underscores
};

// The source with \r\n and \r made \n and one trailing newline dropped, as jinja reads it.
std::string normal_newlines(std::string_view source);

// `source` must be in normal newlines and outlive the tokens; the last token is `end`. trim_blocks and
// lstrip_blocks are on. Throws Error naming the line.
std::vector<Token> tokenize(std::string_view source);

}  // namespace rf::jinja
