#include "text/vocabulary.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <string>

#include "base/error.h"
#include "text/space_marks.h"

namespace rf {
namespace {

constexpr std::string_view tokens_key = "tokenizer.ggml.tokens";
constexpr std::string_view types_key = "tokenizer.ggml.token_type";
constexpr std::string_view scores_key = "tokenizer.ggml.scores";

// Texts by which control tokens of published models end a turn, a message, a document or a filled-in gap.
constexpr std::string_view end_texts[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "</s>",
    "<|eot|>",
    "<|eom|>",
    "<turn|>",
    "<|fim_pad|>",
    "<fim_pad>",
    "<fim-pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<eos>",
    "<|tool_response>",
    "[e~[",
    "<\uFF5Cend\u2581of\u2581sentence\uFF5C>",
};

bool is_end_text(std::string_view text) {
  return std::find(std::begin(end_texts), std::end(end_texts), text) != std::end(end_texts);
}

template <class T>
std::vector<T> list(const Gguf& file, std::string_view key, std::size_t count) {
  auto values = file.get<std::vector<T>>(key);
  if (values.size() < count)
    fail("{}: key {}: expected {} entries, one for each of {}, found {}", file.path(), key, count, tokens_key,
         values.size());
  values.resize(count);
  return values;
}

void read_texts(const Gguf& file, Vocabulary& vocabulary) {
  vocabulary.texts = file.get<std::vector<std::string_view>>(tokens_key);
  const std::size_t count = vocabulary.texts.size();
  if (count == 0 || count > std::numeric_limits<std::int32_t>::max())
    fail("{}: key {}: expected 1 to 2147483647 tokens, found {}", file.path(), tokens_key, count);
  vocabulary.ids = StringTable(count);
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.text(id).size() > std::numeric_limits<std::uint32_t>::max())
      fail("{}: key {}: token {} has {} bytes, expected under 4 GiB", file.path(), tokens_key, id,
           vocabulary.text(id).size());
    vocabulary.ids.insert(vocabulary.text(id), id);
  }
}

void read_types(const Gguf& file, Vocabulary& vocabulary) {
  const auto count = static_cast<std::size_t>(vocabulary.size());
  vocabulary.types.assign(count, TokenType::normal);
  if (!file.has(types_key)) {
    for (std::size_t id = 0; id < count; ++id)
      if (!byte_named(vocabulary.texts[id]).empty()) vocabulary.types[id] = TokenType::byte;
    return;
  }
  const auto types = list<std::int32_t>(file, types_key, count);
  for (std::size_t id = 0; id < count; ++id) {
    if (types[id] < 0 || types[id] > 6)
      fail("{}: key {}: entry {}: expected a type of 0 to 6, found {}", file.path(), types_key, id,
           types[id]);
    if (types[id] != 0) vocabulary.types[id] = static_cast<TokenType>(types[id]);
  }
}

// Some converters take a turn's end for a user-defined or an ordinary token: it could be written by users, or
// would be cut into pieces. But "</s>" may be what pages of HTML have: in vocabularies of Gemma 4, and where
// it is an ordinary token.
void mark_ends(Vocabulary& vocabulary) {
  const bool gemma4 = vocabulary.ids.find("<|tool_response>") >= 0;
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    TokenType& type = vocabulary.types[static_cast<std::size_t>(id)];
    if (!is_end_text(vocabulary.text(id))) continue;
    const bool html = vocabulary.text(id) == "</s>" && (gemma4 || type == TokenType::normal);
    if (!html && (type == TokenType::user_defined || type == TokenType::normal)) type = TokenType::control;
  }
}

// Some writers round scores to integers.
void read_scores(const Gguf& file, Vocabulary& vocabulary) {
  const auto stored = file.metadata().find(scores_key);
  if (stored == file.metadata().end()) return;
  if (stored->second.element == ValueType::i32) {
    const auto rounded = list<std::int32_t>(file, scores_key, vocabulary.texts.size());
    vocabulary.scores.assign(rounded.begin(), rounded.end());
  } else {
    vocabulary.scores = list<float>(file, scores_key, vocabulary.texts.size());
  }
}

// The id under `key`, or -1 where it is stored as -1.
std::int32_t read_id(const Gguf& file, const Vocabulary& vocabulary, std::string_view key,
                     std::int32_t fallback = -1) {
  if (!file.has(key)) return vocabulary.contains(fallback) ? fallback : -1;
  const auto id = file.get<std::int64_t>(key);
  if (id == -1 || id == std::numeric_limits<std::uint32_t>::max()) return -1;
  if (id < 0 || id >= vocabulary.size())
    fail("{}: key {}: expected a token id under {}, found {}", file.path(), key, vocabulary.size(), id);
  return static_cast<std::int32_t>(id);
}

void find_ends(const Gguf& file, Vocabulary& vocabulary) {
  vocabulary.ends.assign(vocabulary.texts.size(), false);
  // Formats with channels, where <|end|> only separates messages, name the ends of answers and of calls.
  bool answers = false, calls = false;
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.type(id) != TokenType::control || !is_end_text(vocabulary.text(id))) continue;
    vocabulary.ends[static_cast<std::size_t>(id)] = true;
    answers = answers || vocabulary.text(id) == "<|return|>" || vocabulary.text(id) == "<|flush|>";
    calls = calls || vocabulary.text(id) == "<|call|>" || vocabulary.text(id) == "<|calls|>";
  }
  if (const std::int32_t id = vocabulary.ids.find("<|end|>"); answers && calls && id >= 0)
    vocabulary.ends[static_cast<std::size_t>(id)] = false;
  for (const char* key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
    if (const std::int32_t id = read_id(file, vocabulary, key); id >= 0)
      vocabulary.ends[static_cast<std::size_t>(id)] = true;
  // After a gap is filled in; who fills none in does not mind what these are.
  for (const char* key : {"tokenizer.ggml.fim_pad_token_id", "tokenizer.ggml.fim_rep_token_id",
                          "tokenizer.ggml.fim_sep_token_id"})
    if (const auto id = file.get<std::int64_t>(key, -1); id >= 0 && id < vocabulary.size())
      vocabulary.ends[static_cast<std::size_t>(id)] = true;
}

// Published masked models let their mask swallow the whitespace before it, and Phi-3 its role tokens that
// after them; a GGUF file has no key for either, so that texts and a name have to tell.
void find_space_takers(const Gguf& file, Vocabulary& vocabulary) {
  vocabulary.takes_space.assign(vocabulary.texts.size(), false);
  const std::int32_t mask = read_id(file, vocabulary, "tokenizer.ggml.mask_token_id");
  if (mask >= 0 && (vocabulary.text(mask) == "<mask>" || vocabulary.text(mask) == "[MASK]"))
    vocabulary.takes_space_before = mask;
  auto name = file.get<std::string>("general.name", "");
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (name.find("phi-3") == std::string::npos && name.find("phi3") == std::string::npos) return;
  for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
    const TokenType type = vocabulary.type(id);
    const std::string_view text = vocabulary.text(id);
    vocabulary.takes_space[static_cast<std::size_t>(id)] =
        (type == TokenType::control || type == TokenType::user_defined) && text != "<s>" && text != "<unk>" &&
        text != "<|endoftext|>";
  }
}

// What the file names, and the image tokens of Chameleon, which its text model lets nobody choose
// (arXiv:2405.09818 and its published code).
void find_suppressed(const Gguf& file, Vocabulary& vocabulary) {
  constexpr std::string_view key = "tokenizer.ggml.suppress_tokens";
  if (file.has(key))
    for (const std::int64_t id : file.get<std::vector<std::int64_t>>(key))
      if (id >= 0 && id < vocabulary.size()) vocabulary.suppressed.push_back(static_cast<std::int32_t>(id));
  if (file.get<std::string_view>("tokenizer.ggml.pre", "") != "chameleon") return;
  for (std::int32_t id = 0; id < vocabulary.size(); ++id)
    if (vocabulary.text(id).starts_with("IMGIMG")) vocabulary.suppressed.push_back(id);
}

}  // namespace

Vocabulary Vocabulary::from(const Gguf& file, const VocabularyDefaults& defaults) {
  Vocabulary vocabulary;
  read_texts(file, vocabulary);
  read_types(file, vocabulary);
  mark_ends(vocabulary);
  read_scores(file, vocabulary);
  vocabulary.bos = read_id(file, vocabulary, "tokenizer.ggml.bos_token_id", defaults.bos);
  vocabulary.eos = read_id(file, vocabulary, "tokenizer.ggml.eos_token_id", defaults.eos);
  // The key as writers of files spell it.
  vocabulary.separator = read_id(file, vocabulary, "tokenizer.ggml.seperator_token_id", defaults.separator);
  const auto found = std::find(vocabulary.types.begin(), vocabulary.types.end(), TokenType::unknown);
  const auto marked = static_cast<std::int32_t>(found - vocabulary.types.begin());
  vocabulary.unknown = read_id(file, vocabulary, "tokenizer.ggml.unknown_token_id",
                               vocabulary.contains(marked) ? marked : defaults.unknown);
  vocabulary.add_bos = file.get<bool>("tokenizer.ggml.add_bos_token", defaults.add_bos);
  vocabulary.add_eos = file.get<bool>("tokenizer.ggml.add_eos_token", defaults.add_eos);
  vocabulary.add_sep = file.get<bool>("tokenizer.ggml.add_sep_token", defaults.add_sep);
  find_ends(file, vocabulary);
  find_space_takers(file, vocabulary);
  find_suppressed(file, vocabulary);
  return vocabulary;
}

}  // namespace rf
