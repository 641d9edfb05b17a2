#include "text/word_rule.h"

#include <algorithm>
#include <iterator>

#include "text/character_class.h"
#include "text/unicode.h"

namespace rf {
namespace {

struct Character {
  char32_t point = 0;
  std::uint16_t classes = 0;
  std::uint8_t bytes = 0;  // 0 at the end of the text

  bool is(int wanted) const { return (classes & wanted) != 0; }
};

// The script Han (Unicode 15, Scripts.txt).
bool is_han_script(char32_t point) {
  constexpr struct {
    char32_t first, last;
  } ranges[] = {{0x2E80, 0x2E99},   {0x2E9B, 0x2EF3},   {0x2F00, 0x2FD5},   {0x3005, 0x3005},
                {0x3007, 0x3007},   {0x3021, 0x3029},   {0x3038, 0x303B},   {0x3400, 0x4DBF},
                {0x4E00, 0x9FFF},   {0xF900, 0xFA6D},   {0xFA70, 0xFAD9},   {0x16FE2, 0x16FE3},
                {0x16FF0, 0x16FF1}, {0x20000, 0x2A6DF}, {0x2A700, 0x2B739}, {0x2B740, 0x2B81D},
                {0x2B820, 0x2CEA1}, {0x2CEB0, 0x2EBE0}, {0x2F800, 0x2FA1D}, {0x30000, 0x3134A},
                {0x31350, 0x323AF}};
  return std::any_of(std::begin(ranges), std::end(ranges),
                     [&](const auto& range) { return point >= range.first && point <= range.last; });
}

class WordScanner {
 public:
  WordScanner(std::string_view text, const WordRule& rule)
      : text_(text),
        rule_(rule),
        letters_(rule.letters == WordRule::Letters::letters ? plain_letters : letters_and_marks),
        no_others_(rule.letters == WordRule::Letters::with_marks ? in_rules | mark : in_rules) {}

  // The end of the word at `at`, which is no end of the text.
  std::size_t word_end(std::size_t at) const;

 private:
  static constexpr std::uint16_t plain_letters = letter, letters_and_marks = letter | mark;
  static constexpr std::uint16_t in_rules = white_space | letter | number;
  static constexpr std::uint16_t upper = upper_case | caseless_letter | mark;
  static constexpr std::uint16_t lower = lower_case | caseless_letter | mark;

  Character peek(std::size_t at) const {
    if (at >= text_.size()) return {};
    const WellFormed character = decode_well_formed(text_.data() + at);
    return {character.point, classes_[character.point], character.bytes};
  }

  bool is_han(const Character& c) const { return rule_.han && c.bytes > 1 && is_han_script(c.point); }
  bool is_letter(const Character& c) const {
    if (rule_.letters == WordRule::Letters::with_joiners && (c.point == 0x200C || c.point == 0x200D))
      return true;
    return c.is(letters_) && !is_han(c);
  }
  bool may_begin_word(const Character& c) const {
    return rule_.only_space_before ? c.point == ' '
                                   : !c.is(letter | number) && c.point != '\r' && c.point != '\n';
  }

  // The end of the run of characters that `takes` at `at`; `at` where there is none.
  template <class Takes>
  std::size_t run_end(std::size_t at, const Takes& takes) const {
    for (Character c = peek(at); c.bytes != 0 && takes(c); c = peek(at)) at += c.bytes;
    return at;
  }

  // Each gives the end of its word at `at`, `at` itself where none of its kind begins there.
  std::size_t contraction_end(std::size_t at, bool any_case) const;
  std::size_t letters_end(std::size_t at, const Character& first) const;
  std::size_t lower_end(std::size_t at) const;
  std::size_t upper_end(std::size_t at) const;
  std::size_t number_end(std::size_t at, const Character& first) const;
  std::size_t others_end(std::size_t at, const Character& first) const;
  std::size_t space_end(std::size_t at) const;

  std::string_view text_;
  const WordRule& rule_;
  int letters_, no_others_;
  const CharacterClasses& classes_ = CharacterClasses::table();
};

// The letter that `c` is in lower case as the contractions are compared: U+017F is an s.
char32_t folded(const Character& c, bool any_case) {
  if (!any_case) return c.point;
  return c.point == 0x17F ? 's' : c.point >= 'A' && c.point <= 'Z' ? c.point + 'a' - 'A' : c.point;
}

std::size_t WordScanner::contraction_end(std::size_t at, bool any_case) const {
  if (at >= text_.size() || text_[at] != '\'') return at;
  const Character first = peek(at + 1);
  const char32_t one = folded(first, any_case);
  const std::size_t after = at + 1 + first.bytes;
  if (one == 's' || one == 't' || one == 'm' || one == 'd') return after;
  if (one != 'r' && one != 'v' && one != 'l') return at;
  const Character second = peek(after);
  return folded(second, any_case) == (one == 'l' ? 'l' : 'e') ? after + second.bytes : at;
}

// U*W+: where no lower-case letter follows the greedy U*, it gives back what W+ can begin with.
std::size_t WordScanner::lower_end(std::size_t at) const {
  std::size_t after_both = at, end = at;
  Character c = peek(end);
  for (; c.bytes != 0 && c.is(upper) && !is_han(c); c = peek(end)) {
    end += c.bytes;
    if (c.is(lower)) after_both = end;
  }
  if (!c.is(lower) || is_han(c)) return after_both;
  return run_end(end, [&](const Character& next) { return next.is(lower) && !is_han(next); });
}

// U+W*
std::size_t WordScanner::upper_end(std::size_t at) const {
  const std::size_t end = run_end(at, [&](const Character& c) { return c.is(upper) && !is_han(c); });
  if (end == at) return at;
  return run_end(end, [&](const Character& c) { return c.is(lower) && !is_han(c); });
}

std::size_t WordScanner::letters_end(std::size_t at, const Character& first) const {
  const std::size_t second = may_begin_word(first) ? at + first.bytes : at;
  if (rule_.letters != WordRule::Letters::upper_then_lower) {
    const auto takes = [&](const Character& c) { return is_letter(c); };
    const std::size_t end = run_end(second, takes);
    return end != second ? end : second != at ? run_end(at, takes) : at;
  }
  for (const bool begins_upper : {false, true}) {
    for (const std::size_t start : {second, at}) {
      const std::size_t end = begins_upper ? upper_end(start) : lower_end(start);
      if (end != start) return rule_.contraction_after ? contraction_end(end, true) : end;
    }
  }
  return at;
}

std::size_t WordScanner::number_end(std::size_t at, const Character& first) const {
  std::size_t begin = rule_.only_space_before && first.point == ' ' ? at + 1 : at, end = begin;
  std::uint32_t count = 0;
  for (Character c = peek(end); c.is(number) && (rule_.digits == 0 || count < rule_.digits); c = peek(end)) {
    end += c.bytes;
    ++count;
  }
  return count == 0 ? at : end;
}

std::size_t WordScanner::others_end(std::size_t at, const Character& first) const {
  const auto takes = [&](const Character& c) { return !c.is(no_others_); };
  std::size_t begin = first.point == ' ' ? at + 1 : at;
  std::size_t end = run_end(begin, takes);
  if (end == begin) return at;
  while (end < text_.size() && rule_.tail.find(text_[end]) != std::string_view::npos) ++end;
  return end;
}

std::size_t WordScanner::space_end(std::size_t at) const {
  std::size_t end = at, last = at, after_newline = at;
  for (Character c = peek(at); c.is(white_space); c = peek(end)) {
    last = end;
    end += c.bytes;
    if (c.point == '\n' || c.point == '\r') after_newline = end;
  }
  if (rule_.newlines && after_newline != at) return after_newline;
  return end == text_.size() || last == at ? end : last;
}

std::size_t WordScanner::word_end(std::size_t at) const {
  const Character first = peek(at);
  std::size_t end = at;
  if (is_han(first)) return run_end(at, [&](const Character& c) { return is_han(c); });
  if (rule_.contractions != WordRule::Contractions::none)
    end = contraction_end(at, rule_.contractions == WordRule::Contractions::any_case);
  if (end == at) end = letters_end(at, first);
  if (end == at) end = number_end(at, first);
  if (end == at) end = others_end(at, first);
  return end == at ? space_end(at) : end;
}

}  // namespace

void append_words(std::string_view text, const WordRule& rule, std::vector<std::string_view>& words) {
  const WordScanner scanner(text, rule);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = scanner.word_end(at);
    words.push_back(text.substr(at, end - at));
    at = end;
  }
}

}  // namespace rf
