// Files that one process holds, and pages that outlive what becomes of their file.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <vector>

#include "base/error.h"
#include "base/locked_file.h"
#include "base/mapped_file.h"
#include "base/memory.h"
#include "temporary_folder.h"

namespace rf {
namespace {

namespace fs = std::filesystem;

TEST(LockedFile, IsHeldByOneAtATime) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "file";
  {
    const LockedFile held(path);
    EXPECT_THROW(LockedFile second(path), Error);
    EXPECT_FALSE(LockedFile::is_abandoned(path));
  }
  EXPECT_TRUE(fs::exists(path));
  EXPECT_TRUE(LockedFile::is_abandoned(path));
  const LockedFile again(path);
  EXPECT_FALSE(LockedFile::is_abandoned(path));
  EXPECT_FALSE(LockedFile::is_abandoned(folder / "nowhere"));
  EXPECT_THROW(LockedFile(folder / "nowhere/file"), Error);
}

// Who waited for a file that was renamed meanwhile gets a new one, not that.
TEST(LockedFile, WaitsForTheOneOfItsName) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "file";
  auto held = std::make_unique<LockedFile>(path);
  std::promise<void> waits;
  auto next = std::async(std::launch::async, [&] {
    const LockedFile mine(path, {.mode = 0600, .wait = [&] { waits.set_value(); }});
    return fs::exists(path) && fs::file_size(path) == 0;
  });
  waits.get_future().wait();
  test::put(path, "all of it");
  held->rename_to(folder / "whole");
  held = nullptr;
  EXPECT_TRUE(next.get());
  EXPECT_EQ(test::contents(folder / "whole"), "all of it");
}

TEST(Memory, OwnPagesStayWhereTheFileIsCut) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "file";
  for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, std::size_t{100'000}})
    for (const std::size_t kept : {std::size_t{0}, std::size_t{1}, size / 2, size}) {
      std::string text(size, 'x');
      for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
      test::put(path, text);
      const MappedFile file(path);
      own_pages(file.bytes().first(kept));
      test::put(path, "");
      const auto bytes = file.bytes().first(kept);
      EXPECT_TRUE(std::ranges::equal(bytes, std::as_bytes(std::span(text)).first(kept)));
    }
}

}  // namespace
}  // namespace rf
