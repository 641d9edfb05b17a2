// Tokenizer: text to token ids and back, as the vocabulary inside a GGUF file defines it.
// The text room owns the tokenizer families (one file each), their Unicode work and incremental decoding.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/added_tokens.h"
#include "text/vocabulary.h"

namespace rf {

class WordCache;

struct EncodeOptions {
  bool add_special = true;    // BOS and EOS as the file's flags say
  bool parse_special = true;  // control tokens written in the text become their ids
};

// Immutable once made: any number of threads may use one at the same time.
class Tokenizer {
 public:
  // The tokenizer that tokenizer.ggml.model and .pre ask for. It keeps views into `file`'s mapping, so `file`
  // must outlive it. Throws Error naming the key; for an unknown model or pre-tokenizer it lists those known.
  static std::unique_ptr<Tokenizer> from(const Gguf& file);
  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Each maximal ill-formed part of `text` (UTF-8) counts as one U+FFFD. User-defined tokens are found in the
  // text whatever the options. n log n time. Throws Error for a text of 1 GiB or more.
  std::vector<std::int32_t> encode(std::string_view text, EncodeOptions options = {}) const;

  // Two texts as one sequence, as classifiers of pairs read them: what add_special puts around each, the
  // second without BOS, with the separator between them that some vocabularies add ("<s> a </s></s> b </s>").
  std::vector<std::int32_t> encode_pair(std::string_view first, std::string_view second) const;

  // The bytes that a token stands for, perhaps only a part of a UTF-8 character. "" for an id outside the
  // vocabulary, for an unused token and, unless `show_special`, for a special one.
  std::string piece(std::int32_t token, bool show_special = true) const;

  // The text of `tokens`, always well-formed UTF-8: what a Detokenizer gives for them.
  std::string decode(std::span<const std::int32_t> tokens, bool show_special = true) const;

  std::int32_t vocab_size() const { return vocabulary_.size(); }
  std::int32_t bos() const { return vocabulary_.bos; }  // -1 where absent
  std::int32_t eos() const { return vocabulary_.eos; }  // -1 where absent
  bool add_bos() const { return vocabulary_.add_bos; }
  // Tokens that no answer may have.
  std::span<const std::int32_t> suppressed() const { return vocabulary_.suppressed; }

  // EOS, the end-of-turn and end-of-message ids that the file names, and control tokens well known to end a
  // turn.
  bool is_end_of_generation(std::int32_t token) const;
  bool is_special(std::int32_t token) const;              // a control or unknown token
  std::string_view token_text(std::int32_t token) const;  // as stored; "" for an id outside the vocabulary
  std::int32_t find(std::string_view token_text) const;   // the id of a stored text, -1 when absent

  // Whether the first piece of a text loses its leading space when it is decoded, encoding having put one
  // there.
  virtual bool strips_first_space() const { return false; }

 protected:
  // `after_bos`: a token that follows BOS wherever that is added, or -1.
  explicit Tokenizer(Vocabulary vocabulary, std::int32_t after_bos = -1);
  const Vocabulary& vocabulary() const { return vocabulary_; }

  // Appends the ids of `text`, well-formed UTF-8 in which no added token is left; never empty. `words`: what
  // the whole text's parts share.
  virtual void encode_plain(std::string_view text, WordCache& words,
                            std::vector<std::int32_t>& ids) const = 0;
  // The bytes of a normal token's stored text.
  virtual std::string plain_piece(std::string_view stored) const = 0;
  // The bytes of a user-defined token's text, and of a special one's where they are shown.
  virtual std::string added_piece(std::string_view stored) const { return std::string(stored); }

 private:
  void encode_parts(std::string_view text, bool parse_special, std::vector<std::int32_t>& ids) const;

  Vocabulary vocabulary_;
  AddedTokens added_;
  std::vector<std::int32_t> prefix_, suffix_;  // what add_special adds
};

// Turns tokens into text piece by piece, holding back bytes until they form whole UTF-8 characters; bytes
// that never do become U+FFFD. With `continues` the tokens carry on a text, so that a leading space of the
// first one is theirs. `shown`, in ascending order: special tokens that are shown in any case. `tokenizer`
// must outlive it.
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer, bool show_special = false, bool continues = false,
                       std::vector<std::int32_t> shown = {})
      : tokenizer_(tokenizer), show_special_(show_special), at_start_(!continues), shown_(std::move(shown)) {}

  std::string push(std::int32_t token);  // the text that became whole
  std::string finish();                  // what is still held back

 private:
  const Tokenizer& tokenizer_;
  bool show_special_;
  bool at_start_;
  std::vector<std::int32_t> shown_;
  std::string held_;  // the beginning of one character, at most 3 bytes
};

}  // namespace rf
