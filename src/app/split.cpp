// split and merge: a model file in several parts, and back.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <limits>

#include "app/commands.h"
#include "app/interrupt.h"
#include "app/load.h"
#include "app/output_model.h"
#include "app/progress.h"
#include "app/table.h"
#include "base/error.h"

namespace rf {
namespace {

// Copies tensors of one file into others, with a progress bar for all of them.
class Copier {
 public:
  explicit Copier(const Gguf& file) : file_(file) {
    for (const auto& [name, tensor] : file.tensors()) total_ += tensor.bytes();
  }

  void add(std::string_view name, GgufWriter& out) {
    const Tensor& tensor = file_.tensor(name);
    out.add(std::string(name), tensor.type, tensor.shape, [this, &tensor](std::span<std::byte> to) {
      constexpr std::size_t piece = 16 << 20;
      for (std::size_t at = 0; at < to.size(); at += piece) {
        const std::size_t bytes = std::min(piece, to.size() - at);
        std::copy_n(tensor.data + at, bytes, to.begin() + static_cast<std::ptrdiff_t>(at));
        MappedFile::release({tensor.data + at, bytes});
        if (interruptible_.interrupted()) throw Interrupted();
        bar_(file_.path(), done_ += bytes, total_);
      }
    });
  }

 private:
  const Gguf& file_;
  ProgressBar bar_;
  Interruptible interruptible_;
  std::uint64_t done_ = 0, total_ = 0;
};

// The tensors of every part, in the file's order: as many as the limits let in, at least one.
std::vector<std::vector<std::string_view>> parts_of(const Gguf& file, std::uint64_t max_bytes,
                                                    std::uint64_t max_tensors) {
  std::vector<std::vector<std::string_view>> parts(1);
  std::uint64_t bytes = 0;
  for (const std::string_view name : file.tensor_names()) {
    const std::uint64_t size = file.tensor(name).bytes();
    if (!parts.back().empty() && (bytes + size > max_bytes || parts.back().size() >= max_tensors)) {
      parts.emplace_back();
      bytes = 0;
    }
    parts.back().push_back(name);
    bytes += size;
  }
  return parts;
}

// Files that get their names together, or are removed again.
class NewFiles {
 public:
  ~NewFiles() {
    std::error_code ignored;
    for (const std::string& path : paths_) std::filesystem::remove(path + suffix, ignored);
  }
  // What to call the file until keep().
  std::string add(const std::string& path) {
    paths_.push_back(path);
    return path + suffix;
  }
  void keep() const {
    for (const std::string& path : paths_) {
      std::error_code error;
      std::filesystem::rename(path + suffix, path, error);
      if (error) fail("{}: cannot rename to it: {}", path, error.message());
    }
  }

 private:
  static constexpr const char* suffix = ".new";
  std::vector<std::string> paths_;
};

}  // namespace

int split(const SplitOptions& options) {
  const Gguf file = Gguf::open(find_model(options.in));
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  const auto parts = parts_of(file, options.max_bytes > 0 ? options.max_bytes : most,
                              options.max_tensors > 0 ? options.max_tensors : most);
  if (parts.size() > std::numeric_limits<std::uint16_t>::max())
    fail("{}: would become {} parts, expected at most {}: give larger ones", options.out_prefix, parts.size(),
         std::numeric_limits<std::uint16_t>::max());
  const auto count = static_cast<std::uint32_t>(parts.size());
  for (std::uint32_t i = 0; i < count; ++i) check_output(file, split_path(options.out_prefix, i, count));
  Copier copier(file);
  NewFiles written;
  for (std::uint32_t i = 0; i < count; ++i) {
    GgufWriter out;
    if (i == 0)
      copy_metadata(file, out);
    else if (file.has("general.alignment"))
      out.copy("general.alignment", file.metadata().at("general.alignment"));
    out.set("split.no", static_cast<std::uint16_t>(i));
    out.set("split.count", static_cast<std::uint16_t>(count));
    out.set("split.tensors.count", static_cast<std::int32_t>(file.tensors().size()));
    for (const std::string_view name : parts[i]) copier.add(name, out);
    out.finish(written.add(split_path(options.out_prefix, i, count)));
  }
  written.keep();
  std::puts(fmt::format("{}: {} tensors in {} parts", split_path(options.out_prefix, 0, count),
                        file.tensors().size(), count)
                .c_str());
  return 0;
}

int merge(const MergeOptions& options) {
  const Gguf file = Gguf::open(find_model(options.in));
  check_output(file, options.out);
  GgufWriter out;
  copy_metadata(file, out);
  {
    Copier copier(file);
    for (const std::string_view name : file.tensor_names()) copier.add(name, out);
    out.finish(options.out);
  }
  std::puts(fmt::format("{}: {} tensors of {} parts, {}", options.out, file.tensors().size(),
                        file.part_paths().size(),
                        size_text(static_cast<double>(Gguf::open(options.out).file_bytes())))
                .c_str());
  return 0;
}

}  // namespace rf
