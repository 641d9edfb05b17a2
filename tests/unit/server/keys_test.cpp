// Key files: what stands in them, and who is let in.
#include "server/keys.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace rf {
namespace {

class KeyFile {
 public:
  explicit KeyFile(const std::string& text)
      : path_(std::filesystem::temp_directory_path() / fmt::format("rf_keys_{}", ::getpid())) {
    std::ofstream(path_) << text;
  }
  ~KeyFile() { std::filesystem::remove(path_); }
  KeyFile(const KeyFile&) = delete;
  KeyFile& operator=(const KeyFile&) = delete;
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

TEST(Keys, LinesOfAFile) {
  const KeyFile file(
      "# people\n\nalpha name=anna priority=5\n  beta   # a comment\ngamma priority=-100\ndelta name=7up\n");
  const Keys keys({"first"}, file.path());
  ASSERT_TRUE(keys.any());
  EXPECT_EQ(keys.find("alpha")->name, "anna");
  EXPECT_EQ(keys.find("alpha")->priority, 5);
  EXPECT_EQ(keys.find("beta")->name, "line4");
  EXPECT_EQ(keys.find("gamma")->priority, -100);
  EXPECT_EQ(keys.find("delta")->name, "7up");
  EXPECT_EQ(keys.find("delta")->priority, 0);
  EXPECT_EQ(keys.find("first")->name, "key1");
  for (const char* wrong : {"", "alph", "alphaa", "ALPHA", "#", "name=anna", "alpha name=anna", "alpha\n"})
    EXPECT_EQ(keys.find(wrong), nullptr) << wrong;
  EXPECT_EQ(keys.find(std::string_view("alpha\0", 6)), nullptr);
  EXPECT_FALSE(Keys({}, "").any());
}

TEST(Keys, ManyAreAllTried) {
  std::vector<std::string> many;
  for (int i = 0; i < 500; ++i) many.push_back(fmt::format("key-number-{}", i));
  const Keys keys(many, "");
  for (int i = 0; i < 500; i += 50)
    EXPECT_EQ(keys.find(many[static_cast<std::size_t>(i)])->name, fmt::format("key{}", i + 1));
}

TEST(Keys, WrongFilesNameTheLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"a\nb rank=1\n", ":2: expected name=NAME or priority=N (-100 to 100), found 'rank=1'"},
      {"a priority=101\n", "found 'priority=101'"},
      {"a priority=1x\n", "found 'priority=1x'"},
      {"a name=\n", "found 'name='"},
      {"a b\n", "found 'b'"},
      {"# nothing\n", "expected at least one API key"}};
  for (const auto& [text, expected] : cases) {
    const KeyFile file(text);
    try {
      const Keys keys({}, file.path());
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(file.path()), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(Keys({}, "/nowhere/keys"), Error);
  EXPECT_THROW(Keys({"a", ""}, ""), Error);  // a variable that is not set must not open the server
}

}  // namespace
}  // namespace rf
