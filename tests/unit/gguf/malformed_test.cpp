// Broken files are errors that name what is wrong: never a crash, a hang or a large allocation.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "gguf/writer.h"
#include "gguf_data.h"
#include "golden.h"

namespace rf {
namespace {

using Bytes = std::vector<std::byte>;

Bytes read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  Bytes out(text.size());
  std::memcpy(out.data(), text.data(), text.size());
  return out;
}

// "" when everything in the file could be read, else the error's message.
std::string open_error(const std::string& path) {
  try {
    test::touch(Gguf::open(path));
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}
std::string open_error(const Bytes& bytes) {
  return open_error(test::MemoryFile(bytes).path());
}

// What each rejected file's message must name. Absent: a fault of the model, not of the container.
const std::map<std::string, std::string> named = {
    {"empty-file", "not a GGUF file"},
    {"truncated-header", "tensor count"},
    {"truncated-in-metadata", "key 'tokenizer.ggml.tokens'"},
    {"truncated-in-tensor-info", "12 tensors declared"},
    {"truncated-tensor-data", "tensor 'blk.0.ffn_down.weight'"},
    {"wrong-magic", "not a GGUF file"},
    {"version-1", "version 1"},
    {"version-99", "version 99"},
    {"version-big-endian", "big-endian"},
    {"tensor-count-2p60", "tensor count"},
    {"kv-count-2p60", "metadata count"},
    {"key-length-2p63", "metadata entry 1"},
    {"array-length-2p61", "key 'test.arr'"},
    {"tensor-offset-out-of-range", "tensor 'blk.0.attn_q.weight'"},
    {"overlapping-tensors", "tensor 'token_embd.weight'"},
    {"zero-dimension", "tensor 'blk.0.ffn_up.weight'"},
    {"block-size-mismatch", "rows of 33 elements"},
    {"duplicate-key", "key 'llama.block_count' appears twice"},
    {"alignment-0", "key 'general.alignment'"},
    {"alignment-3", "key 'general.alignment'"},
    {"tensor-name-over-64", "100 bytes"},
    {"unknown-tensor-type", "tensor type 999"},
    {"unknown-kv-type", "key 'test.bad'"},
};
const std::set<std::string> faults_of_the_model = {"missing-tokenizer", "missing-tensor", "head-count-zero",
                                                   "tokens-fewer-than-embedding-rows"};

TEST(Malformed, EveryCaseOfTheIndex) {
  const std::string folder = test::golden("malformed");
  const auto index = nlohmann::json::parse(std::ifstream(folder + "/index.json"));
  std::size_t rejected = 0;
  for (const auto& entry : index["cases"]) {
    const std::string file = entry["file"];
    const std::string name = file.substr(0, file.size() - std::strlen(".gguf"));
    if (name == "nested-array-depth-200000") continue;  // made in DeeplyNestedArray
    SCOPED_TRACE(name);
    const std::string path = folder + "/" + file;
    const std::string message = open_error(path);
    if (entry["expect"] == "reject" && !faults_of_the_model.contains(name)) {
      ASSERT_TRUE(named.contains(name));
      EXPECT_EQ(message.rfind(path + ": ", 0), 0u) << message;
      EXPECT_NE(message.find(named.at(name)), std::string::npos) << message;
      ++rejected;
    } else {
      EXPECT_EQ(message, "");
    }
  }
  EXPECT_EQ(rejected, named.size());
}

void append(Bytes& out, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::byte*>(data);
  for (std::size_t i = 0; i < size; ++i) out.push_back(bytes[i]);
}
template <class T>
void append(Bytes& out, T value) {
  append(out, &value, sizeof value);
}

// A file with no tensors and one entry, "k", of which the caller appends type and value.
Bytes one_entry() {
  Bytes out;
  append(out, "GGUF", 4);
  append(out, std::uint32_t{3});
  append(out, std::uint64_t{0});
  append(out, std::uint64_t{1});
  append(out, std::uint64_t{1});
  append(out, "k", 1);
  return out;
}

TEST(Malformed, DeeplyNestedArray) {
  Bytes file = one_entry();
  append(file, ValueType::array);
  for (int i = 0; i < 200000; ++i) {
    append(file, ValueType::array);
    append(file, std::uint64_t{1});
  }
  EXPECT_NE(open_error(file).find("key 'k': arrays nested deeper"), std::string::npos);
}

TEST(Malformed, WideNestedArrayTakesLinearTime) {
  Bytes file = one_entry();
  const std::uint64_t count = 1000000;
  append(file, ValueType::array);
  append(file, ValueType::array);
  append(file, count);
  for (std::uint64_t i = 0; i < count; ++i) {
    append(file, ValueType::u8);
    append(file, std::uint64_t{0});
  }
  const std::clock_t start = std::clock();  // of the processor, which may be somebody else's for a while
  EXPECT_EQ(open_error(file), "");
  EXPECT_LT(std::clock() - start, 10 * CLOCKS_PER_SEC);
}

TEST(Malformed, AlignmentMustBeU32) {
  GgufWriter writer;
  writer.set("general.alignment", "32");
  const std::string path = testing::TempDir() + "rf_alignment.gguf";
  writer.finish(path);
  EXPECT_EQ(open_error(path), path + ": key 'general.alignment': expected u32, found string");
  std::remove(path.c_str());
}

TEST(Malformed, NamesInMessagesAreEscapedAndShort) {
  Bytes file;
  append(file, "GGUF", 4);
  append(file, std::uint32_t{3});
  append(file, std::uint64_t{0});
  append(file, std::uint64_t{1});
  append(file, std::uint64_t{1000});
  for (int i = 0; i < 1000; ++i) append(file, '\x1b');
  append(file, std::uint32_t{99});
  const std::string message = open_error(file);
  EXPECT_NE(message.find("\\x1b"), std::string::npos);
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_LT(message.size(), 600u);
}

// A small file that has every kind of thing in its directory.
Bytes small_file() {
  const std::string path = testing::TempDir() + "rf_small_" + std::to_string(::getpid()) + ".gguf";
  const std::vector<std::string> words = {"a", "bc", ""};
  const std::vector<std::int32_t> ints = {1, 2};
  GgufWriter out;
  out.set("general.alignment", std::uint32_t{8});
  out.set("s", "text");
  out.set("b", true);
  out.set("f", 1.0f);
  out.set("w", std::span<const std::string>(words));
  out.set("i", std::span<const std::int32_t>(ints));
  const auto zeros = [](std::span<std::byte> bytes) { std::fill(bytes.begin(), bytes.end(), std::byte{0}); };
  out.add("t0", Type::q4_0, {32, 2, 1, 1}, zeros);
  out.add("t1", Type::f32, {2, 1, 3, 1}, zeros);
  out.finish(path);
  const Bytes bytes = read_bytes(path);
  std::remove(path.c_str());
  return bytes;
}

TEST(Malformed, EveryTruncationIsAnError) {
  const Bytes whole = small_file();
  ASSERT_EQ(open_error(whole), "");
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_NE(open_error(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))), "")
        << size;
}

TEST(Malformed, EveryByteChangedIsAnErrorOrReadable) {
  const Bytes whole = small_file();
  std::size_t errors = 0;
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (const int change : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      Bytes changed = whole;
      changed[at] ^= static_cast<std::byte>(change);
      errors += open_error(changed).empty() ? 0 : 1;
    }
  EXPECT_GT(errors, whole.size());
}

TEST(Malformed, EveryFieldMadeHugeIsAnErrorOrReadable) {
  const Bytes whole = small_file();
  for (std::size_t at = 0; at + 8 <= whole.size(); ++at)
    for (const std::uint64_t value : {~0ull, 1ull << 63, (1ull << 63) - 1, 1ull << 32, 0xffffffffull, 0ull}) {
      Bytes changed = whole;
      std::memcpy(changed.data() + at, &value, sizeof value);
      open_error(changed);
    }
}

}  // namespace
}  // namespace rf
