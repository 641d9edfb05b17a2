// Writes small vocabulary files for tests.
#pragma once
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gguf/writer.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"

namespace rf::test {

using Ids = std::vector<std::int32_t>;

inline Ids plain_ids(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.encode(text, {.add_special = false});
}

// Types of tokens.
inline constexpr std::int32_t control = 3, user_defined = 4, unused = 5, single_byte = 6;

struct Entry {
  std::string text;
  std::int32_t type = 1;
  float score = 0.0f;
};

// A vocabulary of SentencePiece: what all of them have, then `more`.
inline std::vector<Entry> spm_entries(const std::vector<Entry>& more) {
  std::vector<Entry> entries = {{"<unk>", 2}, {"<s>", control}, {"</s>", control}};
  for (int i = 0; i < 256; ++i) entries.push_back({fmt::format("<0x{:02X}>", i), single_byte});
  entries.insert(entries.end(), more.begin(), more.end());
  return entries;
}

// A file that holds what `fill` sets, read back; gone when the object is.
class VocabularyFile {
 public:
  explicit VocabularyFile(const std::function<void(GgufWriter&)>& fill) {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("rf_text_" + std::to_string(getpid()) + "_" + std::to_string(count++) + ".gguf");
    GgufWriter writer;
    writer.set("general.architecture", "llama");
    fill(writer);
    writer.finish(path_.string());
    file_ = Gguf::open(path_.string());
  }
  ~VocabularyFile() { std::filesystem::remove(path_); }
  VocabularyFile(const VocabularyFile&) = delete;
  VocabularyFile& operator=(const VocabularyFile&) = delete;

  const Gguf& file() const { return file_; }

 private:
  std::filesystem::path path_;
  Gguf file_;
};

inline void set_entries(GgufWriter& writer, const std::vector<Entry>& entries) {
  std::vector<std::string> texts;
  std::vector<std::int32_t> types;
  std::vector<float> scores;
  for (const Entry& entry : entries) {
    texts.push_back(entry.text);
    types.push_back(entry.type);
    scores.push_back(entry.score);
  }
  writer.set("tokenizer.ggml.tokens", texts);
  writer.set("tokenizer.ggml.token_type", types);
  writer.set("tokenizer.ggml.scores", scores);
}

// The 256 bytes as tokens 0 to 255, then `more`.
inline std::vector<Entry> byte_entries(const std::vector<Entry>& more = {}) {
  std::vector<Entry> entries;
  const ByteAlphabet alphabet;
  for (int byte = 0; byte < 256; ++byte)
    entries.push_back({alphabet.character(static_cast<std::uint8_t>(byte))});
  entries.insert(entries.end(), more.begin(), more.end());
  return entries;
}

// A tokenizer and the file it looks into.
struct Loaded {
  std::unique_ptr<VocabularyFile> file;
  std::unique_ptr<Tokenizer> tokenizer;
  const Tokenizer* operator->() const { return tokenizer.get(); }
  const Tokenizer& operator*() const { return *tokenizer; }
};

inline Loaded load(const std::function<void(GgufWriter&)>& fill) {
  Loaded loaded;
  loaded.file = std::make_unique<VocabularyFile>(fill);
  loaded.tokenizer = Tokenizer::from(loaded.file->file());
  return loaded;
}

inline Loaded load_bpe(
    const std::vector<Entry>& more, const std::vector<std::string>& merges, const std::string& pre = "gpt-2",
    const std::function<void(GgufWriter&)>& extra = [](GgufWriter&) {}) {
  return load([&](GgufWriter& writer) {
    writer.set("tokenizer.ggml.model", "gpt2");
    writer.set("tokenizer.ggml.pre", pre);
    set_entries(writer, byte_entries(more));
    writer.set("tokenizer.ggml.merges", merges);
    extra(writer);
  });
}

inline Loaded load_wpm(
    const std::vector<Entry>& entries, const std::function<void(GgufWriter&)>& extra = [](GgufWriter&) {}) {
  return load([&](GgufWriter& writer) {
    writer.set("tokenizer.ggml.model", "bert");
    std::vector<Entry> all = {{"[PAD]", 3}, {"[UNK]", 2}, {"[CLS]", 3}, {"[SEP]", 3}, {"[MASK]", 3}};
    all.insert(all.end(), entries.begin(), entries.end());
    set_entries(writer, all);
    writer.set("tokenizer.ggml.bos_token_id", std::uint32_t{2});
    writer.set("tokenizer.ggml.seperator_token_id", std::uint32_t{3});
    extra(writer);
  });
}

inline Loaded load_spm(
    const std::vector<Entry>& entries, const std::function<void(GgufWriter&)>& extra = [](GgufWriter&) {}) {
  return load([&](GgufWriter& writer) {
    writer.set("tokenizer.ggml.model", "llama");
    set_entries(writer, entries);
    extra(writer);
  });
}

}  // namespace rf::test
