// TokenConstraint: what the tokens of a reply may be, as samplers see it; the chat room has grammars behind
// it.
#pragma once
#include <cstdint>
#include <memory>
#include <span>

namespace rf {

// Follows one reply, for one thread at a time.
class TokenMatcher {
 public:
  virtual ~TokenMatcher() = default;

  // Sets `allowed`, bit t % 64 of word t / 64 for token t, to the tokens that may come next: every one of
  // them can be followed up to a complete text. Tokens that end a generation are allowed exactly where the
  // text is complete. `allowed` covers at least the vocabulary; bits beyond it are cleared.
  virtual void mask(std::span<std::uint64_t> allowed) = 0;
  // `token` was chosen. False, and nothing changes, where mask() does not allow it.
  virtual bool accept(std::int32_t token) = 0;
  // No token is allowed any more, not even one that ends a generation.
  virtual bool ended() const = 0;
};

// Immutable to its users: any number of threads may start matchers.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // The constraint must outlive the matcher.
  virtual std::unique_ptr<TokenMatcher> start() const = 0;
};

}  // namespace rf
