// Pages in files: what is not exactly what was written is never taken, and nothing that fails is an error.
#include "engine/page_folder.h"

#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "base/clock.h"
#include "base/error.h"
#include "base/locked_file.h"
#include "temporary_folder.h"

namespace rf {
namespace {

namespace fs = std::filesystem;
using Tokens = std::vector<std::int32_t>;

constexpr int page_tokens = 4;
constexpr std::uint64_t plenty = 1 << 20;

Tokens tokens_of(int count, int seed) {
  Tokens tokens(static_cast<std::size_t>(count));
  std::iota(tokens.begin(), tokens.end(), 100 * seed);
  return tokens;
}

PageFolder::Bytes bytes_of(std::size_t size, int seed) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<std::byte>(i * 7 + static_cast<std::size_t>(seed));
  return std::make_shared<const std::vector<std::byte>>(std::move(bytes));
}

// Writes all that is asked for before it ends.
void write(const std::string& folder, int seed, int pages, std::size_t size = 1000,
           std::uint64_t most = plenty) {
  PageFolder to(folder, most, 7);
  for (int i = 1; i <= pages; ++i) {
    const Tokens tokens = tokens_of(i * page_tokens, seed);
    to.save(Kept::page, Prefix::of(tokens, page_tokens), bytes_of(size, i));
  }
}

std::vector<fs::path> files_in(const std::string& folder) {
  std::vector<fs::path> files;
  for (const auto& each : fs::recursive_directory_iterator(folder))
    if (each.is_regular_file() && each.path().filename() != "lock") files.push_back(each.path());
  std::ranges::sort(files);
  return files;
}

std::uint64_t bytes_in(const std::string& folder) {
  std::uint64_t sum = 0;
  for (const fs::path& file : files_in(folder)) sum += fs::file_size(file);
  return sum;
}

bool loads(PageFolder& folder, int seed, int pages, std::size_t size = 1000) {
  const Tokens tokens = tokens_of(pages * page_tokens, seed);
  const PageFolder::Bytes bytes = folder.load(Kept::page, Prefix::of(tokens, page_tokens), size);
  if (bytes != nullptr) {
    EXPECT_EQ(*bytes, *bytes_of(size, pages));
  }
  return bytes != nullptr;
}

TEST(PageFile, IsReadAsItWasWritten) {
  for (const std::size_t size : {0u, 1u, 31u, 32u, 1000u})
    for (const int count : {0, 1, 64}) {
      const auto bytes = bytes_of(size, 3);
      std::string whole = page_file_head(
          {.kind = Kept::state, .identity = 99, .tokens = tokens_of(count, 2), .bytes = *bytes});
      whole.append(reinterpret_cast<const char*>(bytes->data()), size);
      const auto as_bytes = std::as_bytes(std::span(whole));
      const PageFile file = parse_page_file(as_bytes);
      EXPECT_EQ(file.kind, Kept::state);
      EXPECT_EQ(file.identity, 99u);
      EXPECT_EQ(file.tokens, tokens_of(count, 2));
      EXPECT_TRUE(std::ranges::equal(file.bytes, *bytes));
      for (std::size_t cut = 0; cut < whole.size(); ++cut)
        EXPECT_THROW(parse_page_file(as_bytes.first(cut)), Error) << cut;
      const std::string more = whole + "x";
      EXPECT_THROW(parse_page_file(std::as_bytes(std::span(more))), Error);
      for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
        std::string damaged = whole;
        damaged[bit / 8] ^= static_cast<char>(1 << bit % 8);
        EXPECT_THROW(parse_page_file(std::as_bytes(std::span(damaged))), Error) << bit;
      }
    }
}

TEST(PageFile, SaysWhatIsWrong) {
  const std::string good = page_file_head({.tokens = tokens_of(2, 1)});
  const auto reason = [&](std::size_t at, char value) {
    std::string bytes = good;
    bytes[at] = value;
    try {
      parse_page_file(std::as_bytes(std::span(bytes)));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(reason(0, 'x'), "it is not a page of a cache");
  EXPECT_EQ(reason(8, 9), "expected version 1, found 9");
  EXPECT_EQ(reason(12, 2), "there is no kind 2");
  EXPECT_EQ(reason(24, 9), "expected 9 tokens and 0 bytes, found 8 bytes for both");
  EXPECT_EQ(reason(31, -1), "expected 18374686479671623682 tokens and 0 bytes, found 8 bytes for both");
  EXPECT_EQ(reason(40, 1), "its checksum is wrong");
}

TEST(PageFolder, KeepsPagesAndStates) {
  const test::TemporaryFolder folder;
  const Tokens tokens = tokens_of(8, 1);
  const Prefix prefix = Prefix::of(tokens, page_tokens);
  {
    PageFolder to(folder / "deep/er", plenty, 7);
    to.save(Kept::page, prefix, bytes_of(500, 1));
    to.save(Kept::state, prefix, bytes_of(60, 2));
  }
  PageFolder from(folder / "deep/er", plenty, 7);
  EXPECT_TRUE(from.has(Kept::page, prefix));
  EXPECT_TRUE(from.has(Kept::state, prefix));
  EXPECT_EQ(*from.load(Kept::page, prefix, 500), *bytes_of(500, 1));
  EXPECT_EQ(*from.load(Kept::state, prefix, 60), *bytes_of(60, 2));
  const Tokens shorter = tokens_of(4, 1), other = tokens_of(8, 2);
  EXPECT_FALSE(from.has(Kept::page, Prefix::of(shorter, page_tokens)));
  EXPECT_FALSE(from.has(Kept::page, Prefix::of(other, page_tokens)));
  from.set_identity(8);
  EXPECT_FALSE(from.has(Kept::page, prefix));
  EXPECT_EQ(files_in(folder.path()).size(), 2u);
}

TEST(PageFolder, RefusesAndRemovesWhatIsDamaged) {
  const auto edited = [](std::string bytes, std::size_t at) {
    bytes[at] ^= 1;
    return bytes;
  };
  const test::TemporaryFolder folder;
  int kinds = 0;
  for (const auto& damage : std::vector<std::function<std::string(std::string)>>{
           [](std::string) { return ""; }, [](std::string bytes) { return bytes.substr(0, 40); },
           [](std::string bytes) { return bytes.substr(0, bytes.size() - 1); },
           [](std::string bytes) { return bytes + "x"; }, [](std::string) { return std::string(1048, 'x'); },
           [&](std::string bytes) { return edited(bytes, 0); },   // of somebody else
           [&](std::string bytes) { return edited(bytes, 8); },   // another version
           [&](std::string bytes) { return edited(bytes, 12); },  // another kind
           [&](std::string bytes) { return edited(bytes, 16); },  // of another model
           [&](std::string bytes) { return edited(bytes, 50); },  // other tokens
           [&](std::string bytes) { return edited(bytes, 900); }}) {
    SCOPED_TRACE(kinds++);
    write(folder.path(), 1, 1);
    ASSERT_EQ(files_in(folder.path()).size(), 1u);
    const fs::path file = files_in(folder.path()).front();
    test::put(file, damage(test::contents(file)));
    PageFolder from(folder.path(), plenty, 7);
    EXPECT_FALSE(loads(from, 1, 1));
    EXPECT_FALSE(fs::exists(file));
    const Tokens tokens = tokens_of(page_tokens, 1);
    EXPECT_FALSE(from.has(Kept::page, Prefix::of(tokens, page_tokens)));
    EXPECT_FALSE(loads(from, 1, 1)) << "and again";
  }
}

// A file that holds other tokens of the same hash is not the caller's, and not damaged.
TEST(PageFolder, OtherTokensOfTheSameHashAreNotTaken) {
  const test::TemporaryFolder folder;
  const Tokens mine = tokens_of(4, 1), other = tokens_of(4, 2);
  Prefix clash = Prefix::of(other, page_tokens);
  clash.hash = Prefix::of(mine, page_tokens).hash;
  {
    PageFolder(folder.path(), plenty, 7).save(Kept::page, clash, bytes_of(1000, 1));
  }
  PageFolder from(folder.path(), plenty, 7);
  const Prefix prefix = Prefix::of(mine, page_tokens);
  EXPECT_TRUE(from.has(Kept::page, prefix));
  EXPECT_EQ(from.load(Kept::page, prefix, 1000), nullptr);
  EXPECT_FALSE(from.has(Kept::page, prefix)) << "or a caller would ask for ever";
  EXPECT_EQ(files_in(folder.path()).size(), 1u);
  from.save(Kept::page, prefix, bytes_of(1000, 1));
  while (!loads(from, 1, 1)) ::usleep(1000);
}

TEST(PageFolder, KeepsToItsBoundAndDropsWhatWasUsedLongestAgo) {
  const test::TemporaryFolder folder;
  write(folder.path(), 1, 8, 10000);
  write(folder.path(), 2, 2, 10000);
  // Long ago, but the last page of the first run was used since, and needs those before it.
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(1);
  for (const fs::path& file : files_in(folder.path())) fs::last_write_time(file, old);
  {
    PageFolder from(folder.path(), plenty, 7);
    EXPECT_TRUE(loads(from, 1, 6, 10000));
  }
  write(folder.path(), 3, 1, 10000, 80000);
  EXPECT_LE(bytes_in(folder.path()), 80000u);
  PageFolder from(folder.path(), plenty, 7);
  for (int i = 1; i <= 6; ++i) EXPECT_TRUE(loads(from, 1, i, 10000)) << i;
  EXPECT_FALSE(loads(from, 1, 8, 10000));
  EXPECT_FALSE(loads(from, 2, 2, 10000));
  EXPECT_TRUE(loads(from, 3, 1, 10000));
  write(folder.path(), 4, 1, 100000, 80000);
  EXPECT_FALSE(loads(from, 4, 1, 100000)) << "larger than the bound";
}

TEST(PageFolder, LeavesOthersFilesAlone) {
  const test::TemporaryFolder folder;
  test::put(folder / "notes.txt", std::string(5000, 'n'));
  test::put(folder / "0123456789abcdef/letter.txt", std::string(5000, 'n'));
  test::put(folder / "some/0000000000000000-0000000000000000-4.page", std::string(5000, 'n'));
  const std::string stale = folder / "0123456789abcdef/0000000000000000-0000000000000000-4.page.12.new";
  test::put(stale, "left by a writer that was killed");
  const LockedFile held(folder / "0123456789abcdef/0000000000000000-0000000000000000-8.page.34.new");
  write(folder.path(), 1, 3, 1000, 2500);
  EXPECT_TRUE(fs::exists(folder / "notes.txt"));
  EXPECT_TRUE(fs::exists(folder / "0123456789abcdef/letter.txt"));
  EXPECT_TRUE(fs::exists(folder / "some/0000000000000000-0000000000000000-4.page"));
  EXPECT_FALSE(fs::exists(stale));
  EXPECT_TRUE(fs::exists(held.path()));
  EXPECT_EQ(files_in(folder.path()).size(), 6u) << "two pages of ours";
}

TEST(PageFolder, NothingThatFailsIsAnError) {
  const test::TemporaryFolder folder;
  test::put(folder / "file", "");
  for (const std::string& path : {folder / "file/below", std::string("/proc/none/here")}) {
    write(path, 1, 2);
    PageFolder from(path, plenty, 7);
    EXPECT_FALSE(loads(from, 1, 1));
  }
  // No room on the disk.
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{}, small{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  small = limit;
  small.rlim_cur = 300;
  ::setrlimit(RLIMIT_FSIZE, &small);
  write(folder / "full", 1, 2);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, before);
  EXPECT_TRUE(files_in(folder / "full").empty());
}

TEST(PageFolder, AFullQueueSaysSoAndDrains) {
  const test::TemporaryFolder folder;
  PageFolder to(folder.path(), plenty << 10, 7);
  const auto large = bytes_of(9 << 20, 1);
  int saved = 0;
  for (; to.has_room() && saved < 100; ++saved) {
    const Tokens tokens = tokens_of(page_tokens, saved);
    to.save(Kept::page, Prefix::of(tokens, page_tokens), large);
  }
  while (!to.has_room()) to.wait_for_room();
  EXPECT_TRUE(to.has_room());
  EXPECT_GE(saved, 8);
}

// Several at the same folder at once, over its bound: whatever is found is right.
TEST(PageFolder, ManyUseTheSameFolder) {
  const test::TemporaryFolder folder;
  std::vector<std::thread> all;
  for (int user = 0; user < 4; ++user)
    all.emplace_back([&folder, user] {
      for (int round = 0; round < 10; ++round) {
        write(folder.path(), (user + round) % 5, 4, 1000, 15000);
        PageFolder from(folder.path(), 15000, 7);
        for (int i = 1; i <= 4; ++i) loads(from, round % 5, i);
      }
    });
  for (std::thread& each : all) each.join();
  write(folder.path(), 9, 1, 1000, 15000);
  EXPECT_LE(bytes_in(folder.path()), 15000u + 4 * 1200u);
  EXPECT_GT(files_in(folder.path()).size(), 3u);
}

}  // namespace
}  // namespace rf
