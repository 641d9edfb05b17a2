// The Hugging Face hub: which files an "hf:owner/repo[:file]" stands for.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rf {

struct HubName {
  std::string repo;  // owner/name
  std::string file;  // a path in the repository, or empty: the one that choose_file picks
};
// Of "hf:owner/repo[:file]". Throws Error on any other form and on names that could leave a folder.
HubName parse_hub_name(std::string_view name);

struct HubFile {
  std::string name;
  std::string sha256;  // empty where the hub states none
  std::uint64_t size = 0;
};
// The GGUF files of a repository. Throws Error.
std::vector<HubFile> list_hub_files(const std::string& repo);
std::string hub_url(const std::string& repo, const std::string& file);
std::string hub_token();  // HF_TOKEN, or ""

// The Q4_K_M file (for a split model its first part), else the only one. Throws Error listing what is there.
std::string choose_file(const std::string& repo, const std::vector<std::string>& files);

// `file` and, if it is the first part of a split model, the names of the other parts.
std::vector<std::string> all_parts(const std::string& file);

}  // namespace rf
