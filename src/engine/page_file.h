// The file of one page of the cache, or of the recurrent states at its end: a header, all tokens up to the
// page's end, and the bytes as the back ends gave them. Little-endian, as everything here.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"

namespace rf {

enum class Kept : std::uint32_t { page, state };

// The beginning of a sequence up to some token, which is what a page or a state stands for.
struct Prefix {
  std::span<const std::int32_t> tokens;
  std::uint64_t hash = 1, parent = 1;  // of all tokens, and of those up to the page before

  // With the tokens of `all`, which it begins, up to `end`: one more page, or a part of one.
  Prefix grown(std::span<const std::int32_t> all, std::size_t end) const {
    const auto more = all.subspan(tokens.size(), end - tokens.size());
    return {.tokens = all.first(end), .hash = hash_tokens(hash, more), .parent = hash};
  }
  static Prefix of(std::span<const std::int32_t> tokens, int page_tokens) {
    const auto page = static_cast<std::size_t>(page_tokens);
    const std::size_t border = tokens.empty() ? 0 : (tokens.size() - 1) / page * page;
    return Prefix{}.grown(tokens, border).grown(tokens, tokens.size());
  }
};

struct PageFile {
  Kept kind = Kept::page;
  std::uint64_t identity = 0;  // of the model, how it runs and the program: others' bytes mean nothing to it
  std::vector<std::int32_t> tokens{};
  std::span<const std::byte> bytes{};
};

inline constexpr std::size_t page_file_header_bytes = 48;

// Header and tokens, which the bytes follow in the file.
std::string page_file_head(const PageFile& file);
// The bytes of the result lie in `whole`. Throws Error that says what is wrong with it.
PageFile parse_page_file(std::span<const std::byte> whole);

}  // namespace rf
