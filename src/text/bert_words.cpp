#include "text/bert_words.h"

#include <algorithm>

#include "text/character_class.h"
#include "text/unicode.h"

namespace rf {
namespace {

// The blocks of CJK ideographs as the published tokenizers list them.
bool is_ideograph(char32_t point) {
  constexpr struct {
    char32_t first, last;
  } blocks[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
                {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
  return point >= blocks[0].first &&
         std::any_of(std::begin(blocks), std::end(blocks),
                     [&](const auto& block) { return point >= block.first && point <= block.last; });
}

bool is_ascii_punctuation(char32_t point) {
  return (point >= '!' && point <= '/') || (point >= ':' && point <= '@') || (point >= '[' && point <= '`') ||
         (point >= '{' && point <= '~');
}

bool is_word_alone(char32_t point) {
  return point < 0x80 ? is_ascii_punctuation(point) : (CharacterClasses::table()[point] & punctuation) != 0;
}

// One step over a text: what becomes of a character before accents and case are looked at.
void append_clean(std::string& out, std::string_view character) {
  const char32_t point = code_point(character);
  const std::uint16_t classes = CharacterClasses::table()[point];
  if (point == '\t' || point == '\n' || point == '\r')
    out += ' ';
  else if (point == 0xFFFD || (classes & (control | invisible)) != 0)
    return;
  else if ((classes & white_space) != 0)
    out += ' ';
  else if (is_ideograph(point))
    out.append(" ").append(character).append(" ");
  else
    out += character;
}

std::string without_accents(std::string_view text) {
  const std::string parts = nfd(text);
  if (parts.empty()) return std::string(text);
  std::string out;
  for_each_character(parts, [&](std::string_view character) {
    if ((CharacterClasses::table()[code_point(character)] & nonspacing_mark) == 0) out += character;
  });
  return out;
}

}  // namespace

std::string BertWords::normalised(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](std::string_view character) { append_clean(out, character); });
  if (strip_accents) out = without_accents(out);
  return lower ? lower_cased(out) : out;
}

std::vector<std::string_view> bert_words(std::string_view normal) {
  std::vector<std::string_view> words;
  std::size_t begin = 0, at = 0;
  const auto close = [&] {
    if (at > begin) words.push_back(normal.substr(begin, at - begin));
  };
  for_each_character(normal, [&](std::string_view character) {
    const bool alone = is_word_alone(code_point(character));
    if (alone || character == " ") {
      close();
      if (alone) words.push_back(character);
      begin = at + character.size();
    }
    at += character.size();
  });
  close();
  return words;
}

}  // namespace rf
