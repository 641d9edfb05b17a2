#include "chat/jinja/word_wrap.h"

#include <algorithm>

#include "chat/jinja/text.h"

namespace rf::jinja {
namespace {

bool is_blank(char32_t c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_letter(char32_t c) {
  return is_word(c) && !is_decimal(c);
}
bool ends_words(char32_t c) {  // what a dash between words may come after
  return is_word(c) ||
         (c < 0x80 && std::string_view("!\"'&.,?").find(static_cast<char>(c)) != std::string_view::npos);
}

// The pieces that may stand on different lines: runs of blanks, words, parts of words up to a hyphen, dashes.
class Pieces {
 public:
  Pieces(std::u32string_view text, bool hyphens) : text_(text), hyphens_(hyphens) {}

  std::vector<std::u32string_view> all() const {
    std::vector<std::u32string_view> pieces;
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t end = end_of(at);
      pieces.push_back(text_.substr(at, end - at));
      at = end;
    }
    return pieces;
  }

 private:
  std::size_t end_of(std::size_t at) const {
    std::size_t end = at + 1;
    if (is_blank(text_[at])) {
      while (end < text_.size() && is_blank(text_[end])) ++end;
      return end;
    }
    if (hyphens_ && dash(at)) return text_.find_first_not_of(U'-', at);
    for (; end < text_.size() && !is_blank(text_[end]); ++end) {
      if (!hyphens_) continue;
      if (hyphen(end)) return end + 1;
      if (dash(end)) return end;
    }
    return end;
  }
  bool letter(std::size_t at) const { return at < text_.size() && is_letter(text_[at]); }
  // Two hyphens or more between words.
  bool dash(std::size_t at) const {
    const std::size_t end = std::min(text_.find_first_not_of(U'-', at), text_.size());
    return at > 0 && end >= at + 2 && end < text_.size() && ends_words(text_[at - 1]) && is_word(text_[end]);
  }
  // A hyphen within a word, after two letters, or after a letter, a hyphen and a character; never before a
  // single letter.
  bool hyphen(std::size_t at) const {
    if (text_[at] != U'-') return false;
    const bool after = (at >= 2 && letter(at - 1) && letter(at - 2)) ||
                       (at >= 3 && ends_words(text_[at - 1]) && text_[at - 2] == U'-' && letter(at - 3));
    const std::size_t second = at + 2 < text_.size() && text_[at + 2] == U'-' ? at + 3 : at + 2;
    return after && letter(at + 1) && letter(second);
  }

  std::u32string_view text_;
  bool hyphens_;
};

// How much of a word that no line holds goes into the `room` left on this one.
std::size_t cut_of(std::u32string_view word, std::size_t room, bool hyphens) {
  if (!hyphens || word.size() <= room) return std::min(room, word.size());
  const std::size_t hyphen = word.substr(0, room).rfind(U'-');
  if (hyphen == std::u32string_view::npos || hyphen == 0) return room;
  return word.substr(0, hyphen).find_first_not_of(U'-') == std::u32string_view::npos ? room : hyphen + 1;
}

}  // namespace

std::vector<std::string> wrapped(std::string_view line, std::int64_t width, bool long_words, bool hyphens) {
  std::u32string text;
  for (std::size_t at = 0; at < line.size();) text += next_char(line, at);
  std::vector<std::u32string_view> pieces = Pieces(text, hyphens).all();
  const auto blank = [](std::u32string_view piece) { return std::ranges::all_of(piece, is_space); };
  const auto most = static_cast<std::size_t>(width);
  std::vector<std::string> lines;
  for (std::size_t next = 0; next < pieces.size();) {
    if (!lines.empty() && blank(pieces[next]) && ++next == pieces.size()) break;
    std::vector<std::u32string_view> now;
    std::size_t length = 0;
    while (next < pieces.size() && length + pieces[next].size() <= most) {
      length += pieces[next].size();
      now.push_back(pieces[next++]);
    }
    if (next < pieces.size() && pieces[next].size() > most) {
      if (long_words) {
        const std::size_t cut = cut_of(pieces[next], most - length, hyphens);
        now.push_back(pieces[next].substr(0, cut));
        pieces[next].remove_prefix(cut);
      } else if (now.empty()) {
        now.push_back(pieces[next++]);
      }
    }
    if (!now.empty() && blank(now.back())) now.pop_back();
    if (now.empty()) continue;
    std::string& out = lines.emplace_back();
    for (const std::u32string_view piece : now)
      for (const char32_t c : piece) append_utf8(out, c);
  }
  return lines;
}

}  // namespace rf::jinja
