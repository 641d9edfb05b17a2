// What GgufWriter writes, Gguf reads: every value type, alignment, tensors, split files.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/error.h"
#include "gguf/writer.h"
#include "gguf_data.h"

namespace rf {
namespace {

std::string temporary(const std::string& name) {
  return testing::TempDir() + "rf_gguf_" + std::to_string(::getpid()) + "_" + name;
}

template <class T>
MetaValue stored(ValueType type, const T& value) {
  return {.type = type, .element = type, .bytes = std::as_bytes(std::span(&value, 1))};
}

std::function<void(std::span<std::byte>)> filled_with(int value) {
  return
      [value](std::span<std::byte> out) { std::fill(out.begin(), out.end(), static_cast<std::byte>(value)); };
}

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(RoundTrip, EveryScalarType) {
  const std::string path = temporary("scalars.gguf");
  GgufWriter out;
  const std::uint8_t u8 = 200;
  const std::int8_t i8 = -100;
  const std::uint16_t u16 = 60000;
  const std::int16_t i16 = -30000;
  const std::int64_t i64 = std::numeric_limits<std::int64_t>::min();
  const double f64 = 1e300;
  out.copy("u8", stored(ValueType::u8, u8));
  out.copy("i8", stored(ValueType::i8, i8));
  out.copy("u16", stored(ValueType::u16, u16));
  out.copy("i16", stored(ValueType::i16, i16));
  out.copy("i64", stored(ValueType::i64, i64));
  out.copy("f64", stored(ValueType::f64, f64));
  out.set("u32", std::uint32_t{4000000000});
  out.set("i32", std::int32_t{-2000000000});
  out.set("u64", std::numeric_limits<std::uint64_t>::max());
  out.set("f32", 0.1f);
  out.set("yes", true);
  out.set("no", false);
  out.set("text", "first");
  out.set("text", "h\xc3\xa9llo");
  out.finish(path);

  const Gguf in = Gguf::open(path);
  EXPECT_EQ(in.version(), 3u);
  EXPECT_EQ(in.metadata().size(), 13u);
  EXPECT_EQ(in.get<std::uint8_t>("u8"), u8);
  EXPECT_EQ(in.get<std::int8_t>("i8"), i8);
  EXPECT_EQ(in.get<std::uint16_t>("u16"), u16);
  EXPECT_EQ(in.get<std::int16_t>("i16"), i16);
  EXPECT_EQ(in.get<std::int64_t>("i64"), i64);
  EXPECT_EQ(in.get<double>("f64"), f64);
  EXPECT_EQ(in.get<std::uint32_t>("u32"), 4000000000u);
  EXPECT_EQ(in.get<std::int32_t>("i32"), -2000000000);
  EXPECT_EQ(in.get<std::uint64_t>("u64"), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(in.get<float>("f32"), 0.1f);
  EXPECT_EQ(in.get<double>("f32"), static_cast<double>(0.1f));
  EXPECT_TRUE(in.get<bool>("yes"));
  EXPECT_FALSE(in.get<bool>("no"));
  EXPECT_EQ(in.get<std::string>("text"), "h\xc3\xa9llo");
  EXPECT_EQ(in.get<std::uint64_t>("u8"), 200u);
  EXPECT_EQ(in.get<std::uint32_t>("absent", 7u), 7u);
  std::filesystem::remove(path);
}

TEST(RoundTrip, Arrays) {
  const std::string path = temporary("arrays.gguf");
  const std::vector<std::string> words = {"a", "", "long enough to leave the small buffer of a string"};
  const std::vector<float> floats = {1.5f, -0.0f, std::numeric_limits<float>::infinity()};
  const std::vector<std::int32_t> ints = {-1, 0, 1 << 30};
  const std::uint8_t bools[] = {1, 0, 1};
  const std::uint16_t shorts[] = {1, 65535};
  GgufWriter out;
  out.set("words", std::span<const std::string>(words));
  out.set("floats", std::span<const float>(floats));
  out.set("ints", std::span<const std::int32_t>(ints));
  out.set("none", std::span<const float>());
  out.copy("bools", {ValueType::array, ValueType::boolean, 3, std::as_bytes(std::span(bools))});
  out.copy("shorts", {ValueType::array, ValueType::u16, 2, std::as_bytes(std::span(shorts))});
  out.finish(path);

  const Gguf in = Gguf::open(path);
  EXPECT_EQ(in.get<std::vector<std::string>>("words"), words);
  const auto views = in.get<std::vector<std::string_view>>("words");
  EXPECT_TRUE(std::equal(views.begin(), views.end(), words.begin(), words.end()));
  EXPECT_EQ(in.get<std::vector<float>>("floats"), floats);
  EXPECT_EQ(in.get<std::vector<std::int32_t>>("ints"), ints);
  EXPECT_EQ(in.get<std::vector<std::int64_t>>("ints"), (std::vector<std::int64_t>{-1, 0, 1 << 30}));
  EXPECT_TRUE(in.get<std::vector<float>>("none").empty());
  EXPECT_EQ(in.get<std::vector<bool>>("bools"), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(in.get<std::vector<int>>("shorts"), (std::vector<int>{1, 65535}));

  GgufWriter again;  // entries of every kind survive a copy from file to file
  for (const auto& [key, value] : in.metadata()) again.copy(key, value);
  const std::string second = temporary("arrays2.gguf");
  again.finish(second);
  const Gguf copied = Gguf::open(second);
  EXPECT_EQ(copied.get<std::vector<std::string>>("words"), words);
  EXPECT_EQ(copied.get<std::vector<float>>("floats"), floats);
  std::filesystem::remove(path);
  std::filesystem::remove(second);
}

TEST(RoundTrip, WrongKindsAndRangesNameTheKey) {
  const std::string path = temporary("kinds.gguf");
  const std::uint8_t two = 2;
  const double huge = 1e300;
  GgufWriter out;
  out.set("negative", std::int32_t{-1});
  out.set("big", std::uint32_t{70000});
  out.set("text", "x");
  out.set("real", 1.0f);
  out.copy("bool2", stored(ValueType::boolean, two));
  out.copy("huge", stored(ValueType::f64, huge));
  out.finish(path);
  const Gguf in = Gguf::open(path);
  const auto error = [&](auto read) { return error_of([&] { read(); }); };
  EXPECT_EQ(error([&] { in.get<std::uint32_t>("gone"); }), path + ": key 'gone' is missing");
  EXPECT_EQ(error([&] { in.get<std::uint32_t>("negative"); }),
            path + ": key 'negative': found -1, expected 0 to 4294967295");
  EXPECT_EQ(error([&] { in.get<std::uint16_t>("big"); }),
            path + ": key 'big': found 70000, expected 0 to 65535");
  EXPECT_EQ(error([&] { in.get<int>("text"); }), path + ": key 'text': expected an integer, found string");
  EXPECT_EQ(error([&] { in.get<int>("real"); }), path + ": key 'real': expected an integer, found f32");
  EXPECT_EQ(error([&] { in.get<std::string>("big"); }), path + ": key 'big': expected a string, found u32");
  EXPECT_EQ(error([&] { in.get<std::vector<int>>("big"); }),
            path + ": key 'big': expected an array, found u32");
  EXPECT_EQ(error([&] { in.get<bool>("bool2"); }),
            path + ": key 'bool2': found 2, expected a bool of 0 or 1");
  EXPECT_NE(error([&] { in.get<float>("huge"); }).find("out of range"), std::string::npos);
  EXPECT_EQ(error([&] { in.tensor("w"); }), path + ": tensor 'w' is missing");
  EXPECT_EQ(in.find("w"), nullptr);
  std::filesystem::remove(path);
}

TEST(RoundTrip, TensorsAtEachAlignment) {
  for (const std::uint32_t alignment : {0u, 8u, 32u, 64u, 4096u}) {
    const std::string path = temporary("tensors.gguf");
    GgufWriter out;
    if (alignment > 0) out.set("general.alignment", alignment);
    out.add("b", Type::f32, {3, 5, 1, 1}, filled_with(1));
    out.add("a", Type::q8_0, {64, 2, 3, 1}, filled_with(2));
    out.add("one", Type::f16, {1, 1, 1, 1}, filled_with(3));
    out.finish(path);
    const Gguf in = Gguf::open(path);
    ASSERT_EQ(in.tensors().size(), 3u);
    const Tensor& a = in.tensor("a");
    EXPECT_EQ(a.type, Type::q8_0);
    EXPECT_EQ(a.shape, (std::array<std::int64_t, 4>{64, 2, 3, 1}));
    EXPECT_EQ(a.row_bytes, 68u);
    ASSERT_EQ(a.bytes(), 6u * 68u);
    EXPECT_TRUE(std::all_of(a.data, a.data + a.bytes(), [](std::byte b) { return b == std::byte{2}; }));
    EXPECT_EQ(in.tensor("b").data[59], std::byte{1});
    EXPECT_EQ(in.tensor("one").data[1], std::byte{3});
    const std::uint32_t expected = alignment == 0 ? 32 : alignment;
    for (const auto& [name, tensor] : in.tensors())
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data) % expected, 0u) << name;
    EXPECT_EQ(in.file_bytes(), std::filesystem::file_size(path));
    std::filesystem::remove(path);
  }
}

TEST(RoundTrip, WriterNamesThePath) {
  GgufWriter out;
  EXPECT_EQ(error_of([&] { out.finish("/nonexistent/x.gguf"); }),
            "/nonexistent/x.gguf.part: cannot create: No such file or directory");
}

// A model of three parts in a folder of its own.
class Split : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string part(int i) const { return fmt::format("{}/m-{:05}-of-00003.gguf", folder_, i); }
  void write(int i, std::int32_t total = 3, const std::string& tensor = "", std::uint16_t claimed = 3) {
    const auto index = static_cast<std::uint16_t>(i - 1);
    GgufWriter out;
    out.copy("split.no", stored(ValueType::u16, index));
    out.copy("split.count", stored(ValueType::u16, claimed));
    out.set("split.tensors.count", total);
    if (i == 1) out.set("general.name", "split");
    out.add(tensor.empty() ? fmt::format("t{}", i) : tensor, Type::f32, {4, 1, 1, 1}, filled_with(i));
    out.finish(part(i));
  }
  void write_all() {
    for (int i = 1; i <= 3; ++i) write(i);
  }
  std::string error(int i) const {
    return error_of([&] { Gguf::open(part(i)); });
  }

  const std::string folder_ = temporary("split");
};

TEST_F(Split, FirstPartOpensAll) {
  write_all();
  const Gguf in = Gguf::open(part(1));
  EXPECT_EQ(in.tensors().size(), 3u);
  EXPECT_EQ(in.tensor("t3").data[0], std::byte{3});
  EXPECT_EQ(in.get<std::string>("general.name"), "split");
  EXPECT_EQ(in.file_bytes(), std::filesystem::file_size(part(1)) + 2 * std::filesystem::file_size(part(2)));
}

TEST_F(Split, OtherPartPointsToTheFirst) {
  write_all();
  EXPECT_EQ(error(2), part(2) + ": part 2 of 3 of a split model; open its first part, " + part(1));
}

TEST_F(Split, MissingPartIsNamed) {
  write_all();
  std::filesystem::remove(part(3));
  EXPECT_EQ(error(1), part(3) + ": cannot open: No such file or directory");
}

TEST_F(Split, RenamedPartIsNoticed) {
  write_all();
  std::filesystem::copy_file(part(2), part(3), std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(error(1), part(3) + ": holds part 2 of 3, its name says 3 of 3");
  std::filesystem::rename(part(1), folder_ + "/other.gguf");
  EXPECT_NE(error_of([&] { Gguf::open(folder_ + "/other.gguf"); }).find("-00001-of-00003.gguf"),
            std::string::npos);
}

TEST_F(Split, TensorTwiceOrCountWrong) {
  write_all();
  write(3, 3, "t1");
  EXPECT_EQ(error(1), part(3) + ": tensor 't1' is in an earlier part already");
  write_all();
  write(1, 4);
  EXPECT_EQ(error(1), part(1) + ": key 'split.tensors.count': found 4, but the 3 parts hold 3 tensors");
  write(1, 3, "", 0);  // a count of 0 or 1 is no split at all
  EXPECT_EQ(Gguf::open(part(1)).tensors().size(), 1u);
}

}  // namespace
}  // namespace rf
