#include "app/hub.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "app/download.h"
#include "base/error.h"

namespace rf {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string endpoint() {
  std::string base = environment("ROCMFORGE_HF_ENDPOINT");
  while (base.ends_with('/')) base.pop_back();
  return base.empty() ? "https://huggingface.co" : base;
}

// Letters, digits, '.', '_', '-' in each part, and no part that begins with a dot.
bool plain_path(std::string_view path) {
  char before = '/';
  for (const char c : path) {
    if (c == '/' || c == '.' ? before == '/'
                             : !std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '-')
      return false;
    before = c;
  }
  return before != '/';
}

// "-00001-of-00005.gguf": which part of how many; part 0 where the name is not of this form.
struct PartOf {
  int part = 0, count = 0;
};
PartOf part_of(std::string_view file) {
  constexpr std::string_view form = "-00001-of-00005.gguf";
  PartOf out;
  if (file.size() < form.size()) return out;
  const std::string_view end = file.substr(file.size() - form.size());
  for (std::size_t i = 0; i < form.size(); ++i)
    if (std::isdigit(static_cast<unsigned char>(form[i])) ? !std::isdigit(static_cast<unsigned char>(end[i]))
                                                          : form[i] != end[i])
      return out;
  std::from_chars(end.data() + 1, end.data() + 6, out.part);
  std::from_chars(end.data() + 10, end.data() + 15, out.count);
  return out;
}

}  // namespace

HubName parse_hub_name(std::string_view name) {
  constexpr std::string_view prefix = "hf:";
  const std::string_view rest = name.starts_with(prefix) ? name.substr(prefix.size()) : "";
  const auto colon = rest.find(':');
  const std::string_view repo = rest.substr(0, colon);
  const std::string_view file = colon == std::string_view::npos ? "" : rest.substr(colon + 1);
  const bool has_file = colon != std::string_view::npos;
  if (!plain_path(repo) || std::count(repo.begin(), repo.end(), '/') != 1 ||
      (has_file && (!plain_path(file) || !file.ends_with(".gguf"))))
    fail("'{}': expected hf:owner/repo or hf:owner/repo:file.gguf", name);
  return {std::string(repo), std::string(file)};
}

std::string hub_token() {
  return environment("HF_TOKEN");
}

std::string hub_url(const std::string& repo, const std::string& file) {
  return fmt::format("{}/{}/resolve/main/{}", endpoint(), repo, file);
}

std::vector<HubFile> list_hub_files(const std::string& repo) {
  const std::string url = fmt::format("{}/api/models/{}?blobs=true", endpoint(), repo);
  DownloadOptions options;
  options.bearer_token = hub_token();
  const auto answer = nlohmann::json::parse(download_text(url, options), nullptr, false);
  if (!answer.is_object() || !answer.contains("siblings") || !answer["siblings"].is_array())
    fail("{}: the answer is not a repository's description (JSON with a list 'siblings')", url);
  std::vector<HubFile> out;
  try {
    for (const auto& entry : answer["siblings"]) {
      HubFile file;
      file.name = entry.value("rfilename", "");
      if (!plain_path(file.name) || !file.name.ends_with(".gguf")) continue;
      file.size = entry.value("size", std::uint64_t{0});
      if (entry.contains("lfs") && entry["lfs"].is_object()) file.sha256 = entry["lfs"].value("sha256", "");
      out.push_back(std::move(file));
    }
  } catch (const nlohmann::json::exception& error) {
    fail("{}: 'siblings' is not a list of files: {}", url, error.what());
  }
  return out;
}

std::string choose_file(const std::string& repo, const std::vector<std::string>& files) {
  std::vector<std::string> firsts;
  for (const std::string& file : files)
    if (part_of(file).part <= 1) firsts.push_back(file);
  std::sort(firsts.begin(), firsts.end());
  for (const std::string& file : firsts) {
    std::string upper = file;
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    if (upper.find("Q4_K_M") != std::string::npos) return file;
  }
  if (firsts.empty()) fail("hf:{}: there is no GGUF file in this repository", repo);
  if (firsts.size() > 1)
    fail("hf:{0}: name a file, as hf:{0}:FILE; there are {1}", repo, fmt::join(firsts, ", "));
  return firsts[0];
}

std::vector<std::string> all_parts(const std::string& file) {
  const PartOf of = part_of(file);
  if (of.part != 1) return {file};
  constexpr std::size_t suffix = 20;
  std::vector<std::string> out;
  for (int i = 1; i <= of.count; ++i)
    out.push_back(fmt::format("{}-{:05}-of-{:05}.gguf", file.substr(0, file.size() - suffix), i, of.count));
  return out;
}

}  // namespace rf
