// Hashes of tokens and bytes: quick, well spread, and of no use against an adversary.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace rf {

// The finaliser of MurmurHash3: every bit of the sum moves every bit of the hash.
inline std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  std::uint64_t x = (hash + value) * 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 33) * 0xff51afd7ed558ccdu;
  x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
  return x ^ x >> 33;
}

inline std::uint64_t hash_tokens(std::uint64_t hash, std::span<const std::int32_t> tokens) {
  for (const std::int32_t token : tokens) hash = mix(hash, static_cast<std::uint32_t>(token));
  return hash;
}

// Four words at a time in lanes of their own, so that they do not wait for each other.
inline std::uint64_t hash_bytes(std::uint64_t hash, std::span<const std::byte> bytes) {
  constexpr std::size_t lanes = 4, word = sizeof(std::uint64_t);
  std::uint64_t lane[lanes] = {hash, hash + 1, hash + 2, hash + 3};
  std::size_t at = 0;
  for (; at + lanes * word <= bytes.size(); at += lanes * word)
    for (std::size_t i = 0; i < lanes; ++i) {
      std::uint64_t value;
      std::memcpy(&value, bytes.data() + at + i * word, word);
      value = (lane[i] ^ value) * 0x9e3779b97f4a7c15u;
      lane[i] = value ^ value >> 29;
    }
  for (const std::uint64_t each : lane) hash = mix(hash, each);
  for (; at < bytes.size(); ++at) hash = mix(hash, static_cast<std::uint64_t>(bytes[at]));
  return mix(hash, bytes.size());
}
inline std::uint64_t hash_text(std::uint64_t hash, std::string_view text) {
  return hash_bytes(hash, std::as_bytes(std::span(text)));
}

}  // namespace rf
