// download() against servers that behave, break off, lie and refuse.
#include "app/download.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <future>
#include <thread>

#include "app/digest.h"
#include "app/progress.h"
#include "base/error.h"
#include "base/locked_file.h"
#include "http_server.h"
#include "temporary_folder.h"

namespace rf {
namespace {

using test::answer;
using test::file_answer;
using test::header_of;
using test::HttpServer;

std::string content(std::size_t size) {
  std::string out(size, '\0');
  std::uint32_t state = 1;
  for (char& c : out) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return out;
}

class DownloadTest : public testing::Test {
 protected:
  DownloadTest() {
    options_.backoff = std::chrono::milliseconds(1);
    options_.retries = 2;
  }
  std::string error(const std::string& url) {
    try {
      download(url, target_, options_);
    } catch (const Error& fault) {
      EXPECT_EQ(std::string(fault.what()).find('\n'), std::string::npos);
      return fault.what();
    }
    return "";
  }
  bool only_the_target() const { return folder_.files() == 1 && std::filesystem::exists(target_); }

  const std::string file_ = content(300000);
  const std::string tag_ = "\"one\"";
  test::TemporaryFolder folder_;
  const std::string target_ = folder_ / "model.gguf";
  DownloadOptions options_;
};

TEST_F(DownloadTest, FetchesChecksAndRenames) {
  HttpServer server([&](const std::string& request) { return file_answer(request, file_, tag_); });
  options_.sha256 = sha256_of(file_);
  options_.size = file_.size();
  std::uint64_t last = 0, total = 0;
  options_.progress = [&](std::string_view name, std::uint64_t done, std::uint64_t all) {
    EXPECT_EQ(name, "model.gguf");
    EXPECT_GT(done, last);
    last = done;
    total = all;
  };
  EXPECT_EQ(error(server.url("/m")), "");
  EXPECT_EQ(test::contents(target_), file_);
  EXPECT_EQ(last, file_.size());
  EXPECT_EQ(total, file_.size());
  EXPECT_TRUE(only_the_target());
}

TEST_F(DownloadTest, EmptyFile) {
  HttpServer server([&](const std::string&) { return answer("200 OK", "", ""); });
  EXPECT_EQ(error(server.url("/m")), "");
  EXPECT_TRUE(only_the_target());
  EXPECT_EQ(std::filesystem::file_size(target_), 0u);
}

TEST_F(DownloadTest, ContinuesWhereTheConnectionBroke) {
  HttpServer server([&](const std::string& request) {
    std::string whole = file_answer(request, file_, tag_);
    return whole.substr(0, std::min<std::size_t>(whole.size(), 50000));
  });
  EXPECT_EQ(error(server.url("/m")), "");
  EXPECT_EQ(test::contents(target_), file_);
  const auto requests = server.requests();
  ASSERT_GE(requests.size(), 6u);  // more breaks than retries: each brought new bytes
  EXPECT_EQ(header_of(requests[0], "Range"), "");
  EXPECT_EQ(header_of(requests[1], "If-Range"), tag_);
}

TEST_F(DownloadTest, ALaterCallContinues) {
  std::atomic<bool> cut = true;
  HttpServer server([&](const std::string& request) {
    const std::string whole = file_answer(request, file_, tag_);
    return cut ? whole.substr(0, header_of(request, "Range").empty() ? 100000 : 10) : whole;
  });
  EXPECT_NE(error(server.url("/m")), "");
  EXPECT_FALSE(std::filesystem::exists(target_));
  const auto there = std::filesystem::file_size(target_ + ".part");
  EXPECT_GT(there, 90000u);
  cut = false;
  EXPECT_EQ(error(server.url("/m")), "");
  EXPECT_EQ(test::contents(target_), file_);
  EXPECT_EQ(header_of(server.requests().back(), "Range"), "bytes=" + std::to_string(there) + "-");
  EXPECT_TRUE(only_the_target());
}

TEST_F(DownloadTest, ChangedContentBeginsAnew) {
  test::put(target_ + ".part", "old bytes");
  test::put(target_ + ".part.etag", "\"old\"\n");
  HttpServer server([&](const std::string& request) { return file_answer(request, file_, tag_); });
  EXPECT_EQ(error(server.url("/m")), "");
  EXPECT_EQ(header_of(server.requests()[0], "If-Range"), "\"old\"");
  EXPECT_EQ(test::contents(target_), file_);
}

TEST_F(DownloadTest, PartOfUnknownContentBeginsAnew) {
  test::put(target_ + ".part", "bytes of who knows what");
  HttpServer server([&](const std::string& request) { return file_answer(request, file_, tag_); });
  EXPECT_EQ(error(server.url("/m")), "");
  EXPECT_EQ(header_of(server.requests()[0], "Range"), "");
  EXPECT_EQ(test::contents(target_), file_);
}

TEST_F(DownloadTest, ServerWithoutRanges) {
  std::atomic<int> calls = 0;
  HttpServer server([&](const std::string&) {
    const std::string whole = answer("200 OK", "ETag: \"one\"\r\n", file_);
    return ++calls == 1 ? whole.substr(0, 100000) : whole;
  });
  EXPECT_EQ(error(server.url("/m")), "");
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(test::contents(target_), file_);
}

TEST_F(DownloadTest, ServerWithoutValidatorsIsNeverResumed) {
  std::atomic<int> calls = 0;
  HttpServer server([&](const std::string& request) {
    EXPECT_EQ(header_of(request, "Range"), "");
    const std::string whole = answer("200 OK", "", file_);
    return ++calls == 1 ? whole.substr(0, 100000) : whole;
  });
  EXPECT_EQ(error(server.url("/m")), "");
  EXPECT_EQ(test::contents(target_), file_);
}

TEST_F(DownloadTest, CompletePartIsTaken) {
  test::put(target_ + ".part", file_);
  test::put(target_ + ".part.etag", tag_ + "\n");
  HttpServer server([&](const std::string& request) { return file_answer(request, file_, tag_); });
  EXPECT_EQ(error(server.url("/m")), "");
  EXPECT_EQ(server.requests().size(), 1u);
  EXPECT_TRUE(only_the_target());
}

TEST_F(DownloadTest, PartLongerThanTheFileBeginsAnew) {
  test::put(target_ + ".part", file_ + "more");
  test::put(target_ + ".part.etag", tag_ + "\n");
  HttpServer server([&](const std::string& request) { return file_answer(request, file_, tag_); });
  EXPECT_EQ(error(server.url("/m")), "");
  EXPECT_EQ(test::contents(target_), file_);
}

TEST_F(DownloadTest, WrongRangeIsRefused) {
  test::put(target_ + ".part", "0123456789");
  test::put(target_ + ".part.etag", tag_ + "\n");
  HttpServer server([&](const std::string&) {
    return answer("206 Partial Content", "Content-Range: bytes 5-9/10\r\n", "56789");
  });
  EXPECT_EQ(error(server.url("/m")),
            server.url("/m") + ": asked for the bytes from 10 on, the server sent 'bytes 5-9/10'");
}

TEST_F(DownloadTest, WrongChecksum) {
  HttpServer server([&](const std::string& request) { return file_answer(request, file_, tag_); });
  options_.sha256 = sha256_of("something else");
  const std::string message = error(server.url("/m"));
  EXPECT_NE(message.find("SHA-256"), std::string::npos) << message;
  EXPECT_NE(message.find(options_.sha256), std::string::npos) << message;
  EXPECT_EQ(folder_.files(), 0u);
}

TEST_F(DownloadTest, WrongSize) {
  HttpServer server([&](const std::string& request) { return file_answer(request, file_, tag_); });
  options_.size = 5;
  EXPECT_EQ(error(server.url("/m")), server.url("/m") + ": the server offers 300000 bytes, expected 5");
  HttpServer silent(
      [&](const std::string&) { return "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + file_; });
  EXPECT_EQ(error(silent.url("/m")), silent.url("/m") + ": got 300000 bytes, expected 5");
  EXPECT_EQ(folder_.files(), 0u);
}

TEST_F(DownloadTest, ServerThatPromisesMoreThanItSends) {
  std::atomic<int> calls = 0;
  HttpServer server([&](const std::string&) {
    ++calls;
    return std::string("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort");
  });
  const std::string message = error(server.url("/m"));
  EXPECT_NE(message.find("995 bytes"), std::string::npos) << message;
  EXPECT_EQ(calls, 4);  // the first brought bytes, then the retries without any new
}

TEST_F(DownloadTest, NotFoundIsNotRetried) {
  HttpServer server([&](const std::string&) { return answer("404 Not Found", "", "no such thing"); });
  EXPECT_EQ(error(server.url("/m")), server.url("/m") + ": the server answered HTTP 404");
  EXPECT_EQ(folder_.files(), 0u) << "nothing is left of it";
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(DownloadTest, BusyServerIsRetried) {
  std::atomic<int> calls = 0;
  HttpServer server([&](const std::string& request) {
    return ++calls < 3 ? answer("503 Service Unavailable", "", "") : file_answer(request, file_, tag_);
  });
  EXPECT_EQ(error(server.url("/m")), "");
  HttpServer always([&](const std::string&) { return answer("503 Service Unavailable", "", ""); });
  EXPECT_EQ(error(always.url("/m")), always.url("/m") + ": the server answered HTTP 503");
  EXPECT_EQ(always.requests().size(), 3u);
}

TEST_F(DownloadTest, RefusedConnection) {
  std::string url;
  {
    url = HttpServer([](const std::string&) { return ""; }).url("/m");
  }
  const std::string message = error(url);
  EXPECT_EQ(message.rfind(url + ": Failed to connect", 0), 0u) << message;
}

TEST_F(DownloadTest, RedirectsAreFollowedUpToALimit) {
  HttpServer server([&](const std::string& request) {
    if (request.starts_with("GET /loop"))
      return answer("302 Found", "Location: /loop\r\nETag: \"no\"\r\n", "moved");
    if (request.starts_with("GET /old"))
      return answer("302 Found", "Location: /new\r\nETag: \"no\"\r\n", "moved");
    if (request.starts_with("GET /ftp")) return answer("302 Found", "Location: file:///etc/passwd\r\n", "");
    return file_answer(request, file_, tag_);
  });
  EXPECT_EQ(error(server.url("/old")), "");
  EXPECT_EQ(test::contents(target_), file_);
  EXPECT_NE(error(server.url("/loop")).find("redirects"), std::string::npos);
  EXPECT_NE(error(server.url("/ftp")).find("\"file\""), std::string::npos);
}

TEST_F(DownloadTest, TokenStaysWithItsHost) {
  HttpServer other([&](const std::string& request) {
    EXPECT_EQ(header_of(request, "Authorization"), "");
    return file_answer(request, file_, tag_);
  });
  HttpServer server([&](const std::string& request) {
    EXPECT_EQ(header_of(request, "Authorization"), "Bearer secret");
    return answer("302 Found", "Location: " + other.url("/m") + "\r\n", "");
  });
  options_.bearer_token = "secret";
  EXPECT_EQ(error(server.url("/m")), "");
  EXPECT_EQ(other.requests().size(), 1u);
}

TEST_F(DownloadTest, DiskThatCannotHoldTheFile) {
  HttpServer server([&](const std::string&) {
    return std::string("HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000\r\n\r\nx");
  });
  EXPECT_NE(error(server.url("/m")).find("MB are free on this disk"), std::string::npos);
}

TEST_F(DownloadTest, FailedWriteNamesTheFile) {
  HttpServer server([&](const std::string& request) { return file_answer(request, file_, tag_); });
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{100000, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const std::string message = error(server.url("/m"));
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(message, target_ + ".part: cannot write: File too large");
}

TEST_F(DownloadTest, FolderThatCannotBeMade) {
  test::put(folder_ / "plain", "");
  try {
    download("http://127.0.0.1:1/m", folder_ / "plain/m.gguf", options_);
    FAIL();
  } catch (const Error& fault) {
    EXPECT_EQ(std::string(fault.what()).rfind(folder_ / "plain: ", 0), 0u) << fault.what();
  }
}

TEST_F(DownloadTest, TwoAtOnceFetchOnce) {
  HttpServer server([&](const std::string& request) { return file_answer(request, file_, tag_); });
  const auto one = [&] { return error(server.url("/m")); };
  auto held = std::make_unique<LockedFile>(target_ + ".part");
  const auto holders = [&] {
    return std::ranges::count_if(std::filesystem::directory_iterator("/proc/self/fd"), [&](const auto& each) {
      std::error_code gone;
      return std::filesystem::read_symlink(each, gone) == target_ + ".part";
    });
  };
  auto first = std::async(std::launch::async, one), second = std::async(std::launch::async, one);
  while (holders() < 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  held = nullptr;
  EXPECT_EQ(first.get(), "");
  EXPECT_EQ(second.get(), "");
  EXPECT_EQ(server.requests().size(), 1u);
  EXPECT_EQ(test::contents(target_), file_);
  EXPECT_TRUE(only_the_target());
}

TEST(ProgressLine, SaysWhatIsKnown) {
  EXPECT_EQ(progress_line("m", 50000000, 200000000, 40000000, 4),
            "m  25%  50.0 of 200.0 MB  10.0 MB/s  16 s left");
  EXPECT_EQ(progress_line("m", 1000000, 10000000000, 1000000, 1),
            "m  0%  1.0 of 10000.0 MB  1.0 MB/s  166 min left");
  EXPECT_EQ(progress_line("m", 200, 200, 0, 0), "m  100%  0.0 of 0.0 MB");
  EXPECT_EQ(progress_line("m", 5000000, 0, 5000000, 2), "m  5.0 MB  2.5 MB/s");
}

TEST(ProgressBar, WritesATenthALineWhereThereIsNoTerminal) {
  testing::internal::CaptureStderr();
  {
    ProgressBar bar;
    for (std::uint64_t done = 1; done <= 1000; ++done) bar("file", done, 1000);
    bar("unknown", 5, 0);
  }
  const std::string out = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 10) << out;
  EXPECT_EQ(out.find('\r'), std::string::npos);
}

TEST(Sha256, KnownValue) {  // FIPS 180-2, appendix B.1
  EXPECT_EQ(sha256_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace rf
