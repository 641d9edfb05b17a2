#include "text/pre_tokenizer.h"

#include <algorithm>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"
#include "text/character_class.h"
#include "text/unicode.h"

namespace rf {
namespace {

template <auto free>
struct Freed {
  template <class T>
  void operator()(T* resource) const {
    free(resource);
  }
};
using Code = std::unique_ptr<pcre2_code, Freed<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freed<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freed<pcre2_match_context_free>>;

// PCRE2's \s has U+180E as well, which is no white space since Unicode 6.3: the patterns mean the property.
std::string with_unicode_spaces(std::string_view pattern) {
  std::string out;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    const std::string_view two = pattern.substr(at, 2);
    if (two.front() != '\\' || two.size() < 2) {
      out += two.front();
      continue;
    }
    if (two == "\\s")
      out += "\\p{White_Space}";
    else if (two == "\\S")
      out += "\\P{White_Space}";
    else
      out += two;
    ++at;
  }
  return out;
}

Code compiled(const std::string& pattern, std::uint32_t options) {
  int error = 0;
  std::size_t offset = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &error,
                          &offset, nullptr));
  if (!code) fail("pre-tokenizer pattern {}: PCRE2 error {} at {}", pattern, error, offset);
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // without JIT the same code is interpreted
  return code;
}

// Whether a run of digits ends a word before `rest`.
bool ends_word(std::string_view rest) {
  if (rest.empty()) return true;
  const char32_t next = code_point(rest);
  return next != '_' && (CharacterClasses::table()[next] & (letter | mark)) == 0;
}

void append_digit_groups(std::string_view text, const DigitGroups& groups,
                         std::vector<std::string_view>& words) {
  const auto& classes = CharacterClasses::table();
  std::vector<std::size_t> digits;  // where each of a run begins
  std::size_t done = 0;
  const auto cut = [&](std::size_t at) {
    if (at > done) words.push_back(text.substr(done, at - done));
    done = at;
  };
  const auto close_run = [&](std::size_t end) {
    if (digits.empty() || (groups.only_before_word_ends && !ends_word(text.substr(end))))
      return digits.clear();
    cut(digits.front());
    for (std::size_t i = digits.size() % 3; i < digits.size(); i += 3) cut(digits[i]);
    cut(end);
    digits.clear();
  };
  std::size_t at = 0;
  for_each_character(text, [&](std::string_view character) {
    if ((classes[code_point(character)] & number) != 0)
      digits.push_back(at);
    else
      close_run(at);
    at += character.size();
  });
  close_run(at);
  cut(text.size());
}

}  // namespace

// What a match needs besides its pattern.
struct PreTokenizer::Matcher {
  Matcher() : data(pcre2_match_data_create(1, nullptr)), context(pcre2_match_context_create(nullptr)) {
    if (!context || !data) throw std::bad_alloc();
    pcre2_set_match_limit(context.get(), ~std::uint32_t{0});
  }
  void append_matches(std::string_view text, const pcre2_code* code,
                      std::vector<std::string_view>& words) const;

  MatchData data;
  MatchContext context;
};

struct PreTokenizer::Step {
  SplitStep how;
  Code code;  // of a regular expression
};

PreTokenizer::PreTokenizer(const PreTokenizerSpec& spec) {
  for (const SplitStep& step : spec.steps) {
    Code code;
    if (const auto* regex = std::get_if<RegexCut>(&step))
      code = regex->sees_bytes ? compiled(regex->pattern, 0)
                               : compiled(with_unicode_spaces(regex->pattern), PCRE2_UTF | PCRE2_UCP);
    steps_.push_back({step, std::move(code)});
  }
}

PreTokenizer::~PreTokenizer() = default;

// A match that runs out of stack or patience leaves the rest as one word: other ids, but the same text.
void PreTokenizer::Matcher::append_matches(std::string_view text, const pcre2_code* code,
                                           std::vector<std::string_view>& words) const {
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const std::size_t* ends = pcre2_get_ovector_pointer(data.get());
  std::size_t done = 0;
  while (done < text.size()) {
    if (pcre2_match(code, subject, text.size(), done, PCRE2_NO_UTF_CHECK, data.get(), context.get()) < 0)
      break;
    if (ends[0] == ends[1]) break;  // no pattern of the table matches nothing
    if (ends[0] > done) words.push_back(text.substr(done, ends[0] - done));
    words.push_back(text.substr(ends[0], ends[1] - ends[0]));
    done = ends[1];
  }
  if (done < text.size()) words.push_back(text.substr(done));
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  const Matcher matcher;
  std::vector<std::string_view> words{text}, parts;
  for (const Step& step : steps_) {
    parts.clear();
    parts.reserve(std::max(words.size(), std::min<std::size_t>(text.size() / 5, 1 << 20)));
    for (const std::string_view word : words) {
      if (const auto* rule = std::get_if<WordRule>(&step.how))
        append_words(word, *rule, parts);
      else if (const auto* groups = std::get_if<DigitGroups>(&step.how))
        append_digit_groups(word, *groups, parts);
      else
        matcher.append_matches(word, step.code.get(), parts);
    }
    words.swap(parts);
  }
  return words;
}

}  // namespace rf
