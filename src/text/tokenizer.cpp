#include "text/tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "text/bpe.h"
#include "text/gemma4.h"
#include "text/plamo2.h"
#include "text/rwkv.h"
#include "text/space_marks.h"
#include "text/spm.h"
#include "text/ugm.h"
#include "text/unicode.h"
#include "text/word_cache.h"
#include "text/wpm.h"

namespace rf {
namespace {

constexpr std::size_t longest_text = std::size_t{1} << 30;

bool is_ascii_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::from(const Gguf& file) {
  const auto model = file.get<std::string_view>("tokenizer.ggml.model");
  // Some files keep the model's name of byte-level BPE though the vocabulary holds plain text with marked
  // spaces.
  const auto pre = file.get<std::string_view>("tokenizer.ggml.pre", "");
  const bool marks_spaces = pre == "gemma4" || pre == "granite-embed-multi-311m" || pre == "sarvam-moe";
  if (model == "gpt2" && !marks_spaces) return make_bpe(file);
  if (model == "llama") return make_spm(file);
  if (model == "gemma4" || model == "gpt2") return make_gemma4(file);
  if (model == "bert") return make_wpm(file);
  if (model == "t5") return make_ugm(file);
  if (model == "rwkv") return make_rwkv(file);
  if (model == "plamo2") return make_plamo2(file);
  fail("{}: key tokenizer.ggml.model: expected gpt2, llama, bert, t5, rwkv, plamo2 or gemma4; found \"{}\"",
       file.path(), model);
}

Tokenizer::Tokenizer(Vocabulary vocabulary, std::int32_t after_bos)
    : vocabulary_(std::move(vocabulary)), added_(vocabulary_) {
  if (vocabulary_.add_bos && vocabulary_.bos >= 0) prefix_.push_back(vocabulary_.bos);
  if (!prefix_.empty() && after_bos >= 0) prefix_.push_back(after_bos);
  if (vocabulary_.add_eos && vocabulary_.eos >= 0) suffix_.push_back(vocabulary_.eos);
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  if (text.size() >= longest_text) fail("text of {} bytes: expected under {}", text.size(), longest_text);
  std::string repaired;
  if (well_formed_prefix(text) != text.size()) text = repaired = repaired_utf8(text);
  std::vector<std::int32_t> ids;
  if (options.add_special) ids = prefix_;
  encode_parts(text, options.parse_special, ids);
  if (options.add_special) ids.insert(ids.end(), suffix_.begin(), suffix_.end());
  return ids;
}

std::vector<std::int32_t> Tokenizer::encode_pair(std::string_view first, std::string_view second) const {
  constexpr EncodeOptions plain{.add_special = false, .parse_special = false};
  std::vector<std::int32_t> ids = prefix_;
  const auto append = [&](const std::vector<std::int32_t>& part) {
    ids.insert(ids.end(), part.begin(), part.end());
  };
  append(encode(first, plain));
  append(suffix_);
  if (vocabulary_.add_sep && vocabulary_.separator >= 0) ids.push_back(vocabulary_.separator);
  append(encode(second, plain));
  append(suffix_);
  return ids;
}

void Tokenizer::encode_parts(std::string_view text, bool parse_special,
                             std::vector<std::int32_t>& ids) const {
  WordCache words;
  for (std::size_t at = 0; at < text.size();) {
    const AddedTokens::Match match = added_.next(text, at, parse_special);
    std::size_t end = match.begin;
    if (match.token >= 0 && match.token == vocabulary_.takes_space_before)
      while (end > at && is_ascii_space(text[end - 1])) --end;
    if (end > at) encode_plain(text.substr(at, end - at), words, ids);
    at = match.end;
    if (match.token < 0) continue;
    ids.push_back(match.token);
    if (!vocabulary_.takes_space[static_cast<std::size_t>(match.token)]) continue;
    while (at < text.size() && is_ascii_space(text[at])) ++at;
  }
}

std::string Tokenizer::piece(std::int32_t token, bool show_special) const {
  if (!vocabulary_.contains(token)) return {};
  const std::string_view text = vocabulary_.text(token);
  switch (vocabulary_.type(token)) {
    case TokenType::normal:
      return plain_piece(text);
    case TokenType::user_defined:
      return added_piece(text);
    case TokenType::byte:
      return byte_named(text);
    case TokenType::control:
    case TokenType::unknown:
      return show_special ? added_piece(text) : std::string();
    case TokenType::unused:
      return {};
  }
  return {};
}

std::string Tokenizer::decode(std::span<const std::int32_t> tokens, bool show_special) const {
  Detokenizer detokenizer(*this, show_special);
  std::string text;
  for (const std::int32_t token : tokens) text += detokenizer.push(token);
  return text += detokenizer.finish();
}

bool Tokenizer::is_end_of_generation(std::int32_t token) const {
  return vocabulary_.contains(token) && vocabulary_.ends[static_cast<std::size_t>(token)];
}

bool Tokenizer::is_special(std::int32_t token) const {
  if (!vocabulary_.contains(token)) return false;
  const TokenType type = vocabulary_.type(token);
  return type == TokenType::control || type == TokenType::unknown;
}

std::string_view Tokenizer::token_text(std::int32_t token) const {
  return vocabulary_.contains(token) ? vocabulary_.text(token) : std::string_view();
}

std::int32_t Tokenizer::find(std::string_view token_text) const {
  return vocabulary_.ids.find(token_text);
}

std::string Detokenizer::push(std::int32_t token) {
  std::string piece =
      tokenizer_.piece(token, show_special_ || std::binary_search(shown_.begin(), shown_.end(), token));
  if (piece.empty()) return {};
  if (at_start_ && piece.front() == ' ' && tokenizer_.strips_first_space()) piece.erase(0, 1);
  at_start_ = false;
  held_ += piece;
  const std::size_t whole = well_formed_prefix(held_);
  std::string text = held_.substr(0, whole);
  std::string_view rest = std::string_view(held_).substr(whole);
  while (!rest.empty()) {
    const Utf8Part part = first_utf8(rest);
    if (part.kind == Utf8::truncated) break;
    text += part.kind == Utf8::valid ? rest.substr(0, part.bytes) : replacement_character;
    rest.remove_prefix(part.bytes);
  }
  held_ = std::string(rest);
  return text;
}

std::string Detokenizer::finish() {
  std::string text = repaired_utf8(held_);
  held_.clear();
  return text;
}

}  // namespace rf
