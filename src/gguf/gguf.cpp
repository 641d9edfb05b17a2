#include "gguf/gguf.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/memory.h"
#include "gguf/parse.h"

namespace rf {
namespace {

// Of a first part's path, what stands before "-00001-of-0000N.gguf".
std::string split_stem(const std::string& path, std::uint32_t part, std::uint32_t count) {
  const std::string suffix = split_path("", part, count);
  if (!path.ends_with(suffix))
    fail("{}: holds part {} of {}, so its name must end in {} for the others to be found", path, part + 1,
         count, suffix);
  return path.substr(0, path.size() - suffix.size());
}

// What is read of a file again and again must not go where the file is cut or written anew under us.
Directory kept_directory(const MappedFile& file, const std::string& path) {
  Directory directory = parse_directory(file.bytes(), path);
  own_pages(file.bytes().first(std::min<std::uint64_t>(directory.data_start, file.bytes().size())));
  return directory;
}

}  // namespace

std::string split_path(const std::string& stem, std::uint32_t part, std::uint32_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", stem, part + 1, count);
}

Gguf Gguf::open(const std::string& path) {
  Gguf out;
  out.path_ = path;
  out.parts_.emplace_back(path);
  Directory first = kept_directory(out.parts_[0], path);
  out.version_ = first.version;
  out.metadata_ = std::move(first.metadata);
  out.tensors_ = std::move(first.tensors);
  out.keys_ = std::move(first.keys);
  out.tensor_names_ = std::move(first.tensor_names);
  if (const auto count = out.get<std::uint32_t>("split.count", 1); count > 1) out.open_siblings(count);
  return out;
}

void Gguf::open_siblings(std::uint32_t count) {
  const auto number = get<std::uint32_t>("split.no");
  if (number >= count) fail("{}: key 'split.no': found {}, but split.count is {}", path_, number, count);
  const std::string stem = split_stem(path_, number, count);
  if (number != 0)
    fail("{}: part {} of {} of a split model; open its first part, {}", path_, number + 1, count,
         split_path(stem, 0, count));

  for (std::uint32_t i = 1; i < count; ++i) {
    Gguf part;
    part.path_ = split_path(stem, i, count);
    part.parts_.emplace_back(part.path_);
    Directory directory = kept_directory(part.parts_[0], part.path_);
    part.metadata_ = std::move(directory.metadata);
    if (part.get<std::uint32_t>("split.no") != i || part.get<std::uint32_t>("split.count") != count)
      fail("{}: holds part {} of {}, its name says {} of {}", part.path_,
           part.get<std::uint32_t>("split.no") + 1ull, part.get<std::uint32_t>("split.count"), i + 1, count);
    tensor_names_.insert(tensor_names_.end(), directory.tensor_names.begin(), directory.tensor_names.end());
    tensors_.merge(directory.tensors);
    if (!directory.tensors.empty())
      fail("{}: tensor {} is in an earlier part already", part.path_,
           quoted(directory.tensors.begin()->first));
    parts_.push_back(std::move(part.parts_[0]));
  }
  if (const auto total = get<std::uint64_t>("split.tensors.count", tensors_.size()); total != tensors_.size())
    fail("{}: key 'split.tensors.count': found {}, but the {} parts hold {} tensors", path_, total, count,
         tensors_.size());
}

const Tensor* Gguf::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

const Tensor& Gguf::tensor(std::string_view name) const {
  const Tensor* found = find(name);
  if (found == nullptr) fail("{}: tensor '{}' is missing", path_, name);
  return *found;
}

std::vector<std::string> Gguf::part_paths() const {
  if (parts_.size() == 1) return {path_};
  const auto count = static_cast<std::uint32_t>(parts_.size());
  std::vector<std::string> paths;
  for (std::uint32_t i = 0; i < count; ++i)
    paths.push_back(split_path(split_stem(path_, 0, count), i, count));
  return paths;
}

std::size_t Gguf::file_bytes() const {
  std::size_t sum = 0;
  for (const MappedFile& part : parts_) sum += part.bytes().size();
  return sum;
}

}  // namespace rf
