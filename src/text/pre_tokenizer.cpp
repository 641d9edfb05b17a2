#include "text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"

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

}  // namespace

struct PreTokenizer::Pattern {
  Code code;

  void split(std::string_view text, pcre2_match_data* data, pcre2_match_context* context,
             std::vector<std::string_view>& words) const;
};

PreTokenizer::PreTokenizer(const PreTokenizerSpec& spec) {
  for (const char* pattern : spec.patterns)
    patterns_.push_back({compiled(with_unicode_spaces(pattern), PCRE2_UTF | PCRE2_UCP)});
  for (const char* pattern : spec.byte_patterns) patterns_.push_back({compiled(pattern, 0)});
}

PreTokenizer::~PreTokenizer() = default;

// A match that runs out of stack or patience leaves the rest as one word: other ids, but the same text.
void PreTokenizer::Pattern::split(std::string_view text, pcre2_match_data* data, pcre2_match_context* context,
                                  std::vector<std::string_view>& words) const {
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const std::size_t* ends = pcre2_get_ovector_pointer(data);
  std::size_t done = 0;
  while (done < text.size()) {
    if (pcre2_match(code.get(), subject, text.size(), done, PCRE2_NO_UTF_CHECK, data, context) < 0) break;
    if (ends[0] == ends[1]) break;  // no pattern of the table matches nothing
    if (ends[0] > done) words.push_back(text.substr(done, ends[0] - done));
    words.push_back(text.substr(ends[0], ends[1] - ends[0]));
    done = ends[1];
  }
  if (done < text.size()) words.push_back(text.substr(done));
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  const MatchContext context(pcre2_match_context_create(nullptr));
  const MatchData data(pcre2_match_data_create(1, nullptr));
  if (!context || !data) throw std::bad_alloc();
  pcre2_set_match_limit(context.get(), ~std::uint32_t{0});
  std::vector<std::string_view> words{text}, parts;
  for (const Pattern& pattern : patterns_) {
    parts.clear();
    for (const std::string_view word : words) pattern.split(word, data.get(), context.get(), parts);
    words.swap(parts);
  }
  return words;
}

}  // namespace rf
