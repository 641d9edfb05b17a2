// Importance matrices: what is written is read, in both formats, and broken files are refused.
#include "model/imatrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "gguf/writer.h"
#include "gguf_data.h"

namespace rf {
namespace {

Tensor shaped(std::int64_t columns, std::int64_t rows, std::int64_t matrices) {
  return {.type = Type::f32, .shape = {columns, rows, matrices, 1}};
}

std::string error_of(const std::vector<std::byte>& bytes) {
  const test::MemoryFile file(bytes);
  try {
    Imatrix::read(file.path());
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

class Bytes {
 public:
  Bytes& number(std::int32_t value) { return raw(&value, sizeof value); }
  Bytes& text(const std::string& value) {
    return number(static_cast<std::int32_t>(value.size())).raw(value.data(), value.size());
  }
  Bytes& floats(const std::vector<float>& values) {
    return number(static_cast<std::int32_t>(values.size())).raw(values.data(), values.size() * sizeof(float));
  }
  const std::vector<std::byte>& all() const { return bytes_; }

 private:
  Bytes& raw(const void* data, std::size_t size) {
    const auto* first = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), first, first + size);
    return *this;
  }
  std::vector<std::byte> bytes_;
};

TEST(Imatrix, IsReadAsItWasWritten) {
  Imatrix out;
  out.datasets = {"a.txt", "b.txt"};
  out.chunks = 3;
  out.chunk_tokens = 512;
  for (const float x : {1.0f, 2.0f, 4.0f}) out.add("plain", 0, 1, std::vector{x, 0.0f, -x});
  out.add("experts", 1, 3, std::vector{3.0f, 5.0f});
  const std::string path = testing::TempDir() + "rf_imatrix_" + std::to_string(::getpid());
  out.write(path);
  const Imatrix in = Imatrix::read(path);
  std::filesystem::remove(path);
  EXPECT_EQ(in.datasets, out.datasets);
  EXPECT_EQ(in.chunks, 3u);
  EXPECT_EQ(in.chunk_tokens, 512u);
  EXPECT_EQ(in.entries.size(), 2u);
  EXPECT_EQ(in.importance("plain", shaped(3, 7, 1), 0), (std::vector{7.0f, 0.0f, 7.0f}));
  EXPECT_EQ(in.importance("experts", shaped(2, 5, 3), 1), (std::vector{9.0f, 25.0f}));
  EXPECT_TRUE(in.importance("experts", shaped(2, 5, 3), 0).empty()) << "no row came here";
  EXPECT_TRUE(in.importance("absent", shaped(2, 5, 1), 0).empty());
  EXPECT_THROW(in.importance("plain", shaped(4, 7, 1), 0), Error);
  EXPECT_THROW(in.importance("experts", shaped(2, 5, 4), 0), Error);
}

TEST(Imatrix, OlderFilesHoldMeansTimesCalls) {
  const Bytes bytes = Bytes()
                          .number(2)
                          .text("one")
                          .number(4)
                          .floats({8, 4})
                          .text("three")
                          .number(2)
                          .floats({2, 4, 6, 8, 10, 12})
                          .number(17)
                          .text("wiki.txt");
  const test::MemoryFile file(bytes.all());
  const Imatrix in = Imatrix::read(file.path());
  EXPECT_EQ(in.chunks, 17u);
  EXPECT_EQ(in.datasets, std::vector<std::string>{"wiki.txt"});
  EXPECT_EQ(in.importance("one", shaped(2, 1, 1), 0), (std::vector{2.0f, 1.0f}));
  EXPECT_EQ(in.importance("three", shaped(2, 1, 3), 2), (std::vector{5.0f, 6.0f}));
}

TEST(Imatrix, BrokenFilesAreRefused) {
  const std::vector<std::byte> good = Bytes().number(1).text("one").number(4).floats({8, 4}).all();
  EXPECT_EQ(error_of(good), "no error");
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_NE(error_of({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)}), "no error") << size;
  EXPECT_NE(error_of(Bytes().number(1).text("x").number(1).floats({-1}).all()).find("'x'"),
            std::string::npos);
  EXPECT_NE(error_of(Bytes().number(1).text("x").number(1).floats({NAN}).all()).find("'x'"),
            std::string::npos);
  EXPECT_NE(error_of(Bytes().number(1 << 30).text("x").number(-1).all()), "no error");
  EXPECT_NE(error_of(Bytes().number(1).number(-5).all()), "no error");
}

TEST(Imatrix, OtherGgufFilesAreRefused) {
  const std::string path = testing::TempDir() + "rf_imatrix_other_" + std::to_string(::getpid());
  const auto message = [&](const char* type, bool sums, std::int64_t counts) -> std::string {
    GgufWriter out;
    out.set("general.type", type);
    const auto ones = [](std::span<std::byte> to) {
      const float one = 1;
      for (std::size_t at = 0; at < to.size(); at += sizeof one)
        std::memcpy(to.data() + at, &one, sizeof one);
    };
    if (sums) out.add("w.in_sum2", Type::f32, {4, 2, 1, 1}, ones);
    if (counts > 0) out.add("w.counts", Type::f32, {1, counts, 1, 1}, ones);
    out.finish(path);
    try {
      Imatrix::read(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message("imatrix", true, 2), "no error");
  EXPECT_NE(message("model", true, 2).find("general.type"), std::string::npos);
  EXPECT_NE(message("imatrix", true, 3).find("counts"), std::string::npos);
  EXPECT_NE(message("imatrix", true, 0).find("w.counts"), std::string::npos);
  EXPECT_NE(message("imatrix", false, 2), "no error");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace rf
