#include "text/charsmap.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace rf {
namespace {

std::uint32_t load_u32(const char* at) {
  std::uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// The parts of a unit (darts-clone's DoubleArrayUnit).
bool has_leaf(std::uint32_t unit) {
  return (unit >> 8 & 1) != 0;
}
std::uint32_t label(std::uint32_t unit) {
  return unit & (1u << 31 | 0xFF);
}
std::uint32_t offset(std::uint32_t unit) {
  return unit >> 10 << ((unit & 1u << 9) >> 6);
}
std::uint32_t value(std::uint32_t unit) {
  return unit & ~(1u << 31);
}

}  // namespace

Charsmap::Charsmap(const Gguf& file) {
  constexpr std::string_view key = "tokenizer.ggml.precompiled_charsmap";
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) return;
  const MetaValue& stored = found->second;
  if (stored.type != ValueType::array || (stored.element != ValueType::u8 && stored.element != ValueType::i8))
    fail("{}: key {}: expected an array of bytes", file.path(), key);
  if (stored.bytes.empty()) return;
  const std::string_view bytes(reinterpret_cast<const char*>(stored.bytes.data()), stored.bytes.size());
  const std::size_t size = bytes.size() < 4 ? bytes.size() : load_u32(bytes.data());
  if (size % 4 != 0 || size > bytes.size() - 4 || size == bytes.size())
    fail("{}: key {}: expected a trie and its replacements, found {} bytes of which {} are the trie's",
         file.path(), key, bytes.size(), size);
  trie_ = bytes.substr(4, size);
  replacements_ = bytes.substr(4 + size);
}

std::uint32_t Charsmap::unit(std::size_t index) const {
  return index < trie_.size() / 4 ? load_u32(trie_.data() + 4 * index) : 0;
}

std::optional<Charsmap::Replacement> Charsmap::first(std::string_view text) const {
  std::optional<Replacement> longest;
  std::uint32_t at = offset(unit(0));
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    at ^= byte;
    const std::uint32_t node = unit(at);
    if (byte == 0 || label(node) != byte) break;
    at ^= offset(node);
    if (!has_leaf(node)) continue;
    const std::string_view rest =
        replacements_.substr(std::min<std::size_t>(value(unit(at)), replacements_.size()));
    longest = {rest.substr(0, rest.find('\0')), i + 1};
  }
  return longest;
}

}  // namespace rf
