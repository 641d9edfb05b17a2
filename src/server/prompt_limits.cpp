#include "server/prompt_limits.h"

#include <algorithm>

#include "server/api_error.h"

namespace rf {

bool asks_to_truncate(const Fields& fields, bool otherwise) {
  for (const char* name : {"truncate_prompt", "truncate", "shift"})
    if (const auto asked = fields.boolean(name)) return *asked;
  const auto how = fields.text("truncation", 64);
  if (!how) return otherwise;
  if (*how != "auto" && *how != "disabled")
    fail_field(fields.path("truncation"), "expected auto or disabled, found '{}'", *how);
  return *how == "auto";
}

Truncation::Truncation(const Fields& fields, const PromptLimits& limits, int answer_tokens) {
  const bool wanted = asks_to_truncate(fields, limits.shift);
  keep_ = static_cast<int>(fields.integer("n_keep", -1, 1 << 30).value_or(0));
  context_ = limits.context;
  if (!wanted || context_ == 0) return;
  const int room = answer_tokens < 0 ? context_ / 4 : std::min(answer_tokens, context_ / 2);
  most_ = context_ - std::max(room, 1);
}

int Truncation::cut(std::vector<std::int32_t>& prompt, std::int32_t bos) const {
  if (fits(prompt) || keep_ < 0) return 0;
  const bool begins = bos >= 0 && prompt.front() == bos;
  const std::size_t keep = static_cast<std::size_t>(keep_) + (begins ? 1 : 0);
  if (keep >= limit()) fail_field("n_keep", "expected under {} tokens, found {}", limit(), keep_);
  const auto from = prompt.begin() + static_cast<std::ptrdiff_t>(keep);
  const std::size_t gone = prompt.size() - limit();
  prompt.erase(from, from + static_cast<std::ptrdiff_t>(gone));
  return static_cast<int>(gone);
}

int Truncation::cut(const Json& messages, const Encode& encode, std::vector<std::int32_t>& prompt) const {
  if (fits(prompt)) return 0;
  const auto is = [&](std::size_t i, const char* role) { return messages[i].value("role", "") == role; };
  std::size_t first = 0;
  while (first < messages.size() && is(first, "system")) ++first;
  std::vector<std::size_t> begins;  // of what may be left
  for (std::size_t i = first + 1; i < messages.size(); ++i)
    if (is(i, "user")) begins.push_back(i);
  const auto rest = [&](std::size_t begin) {
    Json kept = Json::array();
    for (std::size_t i = 0; i < messages.size(); ++i)
      if (i < first || i >= begin) kept.push_back(messages[i]);
    return encode(kept);
  };
  const std::size_t before = prompt.size();
  std::size_t shortest = before;
  for (std::size_t low = 0, high = begins.size(); low < high;) {
    const std::size_t middle = (low + high) / 2;
    std::vector<std::int32_t> found = rest(begins[middle]);
    shortest = std::min(shortest, found.size());
    if (found.size() <= limit()) {
      prompt = std::move(found);
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  if (fits(prompt)) return static_cast<int>(before - prompt.size());
  throw ApiError(400,
                 fmt::format("messages: expected the newest to leave room for an answer in a context of {}, "
                             "found {} tokens where at most {} may be",
                             context_, shortest, limit()),
                 "messages", "context_length_exceeded");
}

}  // namespace rf
