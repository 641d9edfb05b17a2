#include "text/merge_rules.h"

#include <string>
#include <string_view>

#include "base/error.h"

namespace rf {

MergeRules::MergeRules(const Gguf& file, const Vocabulary& vocabulary) {
  constexpr std::string_view key = "tokenizer.ggml.merges";
  const auto merges = file.get<std::vector<std::string_view>>(key);
  pairs_ = PairTable(merges.size());
  joined_.reserve(merges.size());
  std::string both;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const std::size_t space = merges[i].find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merges[i].size())
      fail("{}: key {}: entry {}: expected two texts with a space between, found \"{}\"", file.path(), key, i,
           merges[i]);
    const std::string_view first = merges[i].substr(0, space), second = merges[i].substr(space + 1);
    both.assign(first).append(second);
    const std::int32_t left = vocabulary.ids.find(first), right = vocabulary.ids.find(second);
    const std::int32_t whole = vocabulary.ids.find(both);
    if (left < 0 || right < 0 || whole < 0) continue;
    if (pairs_.insert(left, right, static_cast<std::uint32_t>(joined_.size()))) joined_.push_back(whole);
  }
}

}  // namespace rf
