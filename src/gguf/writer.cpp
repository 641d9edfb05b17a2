#include "gguf/writer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "base/locked_file.h"
#include "gguf/parse.h"

namespace rf {
namespace {

using Bytes = std::vector<std::byte>;

void append(Bytes& out, std::span<const std::byte> bytes) {
  const std::size_t before = out.size();
  out.resize(before + bytes.size());
  std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<std::ptrdiff_t>(before));
}
template <class T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
void append(Bytes& out, T value) {
  append(out, std::as_bytes(std::span(&value, 1)));
}
void append(Bytes& out, std::string_view text) {
  append(out, std::uint64_t{text.size()});
  append(out, std::as_bytes(std::span(text.data(), text.size())));
}

template <class T>
Bytes scalar(ValueType type, T value) {
  Bytes out;
  append(out, type);
  append(out, value);
  return out;
}

Bytes array(ValueType element, std::uint64_t count) {
  Bytes out;
  append(out, ValueType::array);
  append(out, element);
  append(out, count);
  return out;
}

// A new file of a fixed size, mapped for writing by this process alone; removed again unless it is kept.
class NewFile {
 public:
  NewFile(std::string path, std::size_t size) : file_(std::move(path)), size_(size) {
    try {
      file_.clear();
      // Room is claimed before mapping: a full disk is an error here, not a signal later.
      if (const int why = ::posix_fallocate(file_.descriptor(), 0, static_cast<off_t>(size)); why != 0)
        fail("{}: cannot reserve {} bytes: {}", file_.path(), size, std::strerror(why));
      data_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file_.descriptor(), 0);
      if (data_ == MAP_FAILED) fail("{}: cannot map {} bytes: {}", file_.path(), size, std::strerror(errno));
    } catch (const Error&) {
      discard();
      throw;
    }
  }
  ~NewFile() { discard(); }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  std::span<std::byte> bytes() { return {static_cast<std::byte*>(data_), size_}; }

  void keep_as(const std::string& path) {
    file_.sync();
    file_.rename_to(path);
    kept_ = true;
  }

 private:
  void discard() {
    if (data_ != MAP_FAILED) ::munmap(data_, size_);
    if (!kept_) ::unlink(file_.path().c_str());
  }

  const LockedFile file_;
  std::size_t size_;
  void* data_ = MAP_FAILED;
  bool kept_ = false;
};

}  // namespace

void GgufWriter::put(std::string key, std::vector<std::byte> encoded) {
  for (auto& [name, value] : metadata_)
    if (name == key) {
      value = std::move(encoded);
      return;
    }
  metadata_.emplace_back(std::move(key), std::move(encoded));
}

void GgufWriter::set(std::string key, bool value) {
  put(std::move(key), scalar(ValueType::boolean, static_cast<std::uint8_t>(value)));
}
void GgufWriter::set(std::string key, std::uint16_t value) {
  put(std::move(key), scalar(ValueType::u16, value));
}
void GgufWriter::set(std::string key, std::uint32_t value) {
  put(std::move(key), scalar(ValueType::u32, value));
}
void GgufWriter::set(std::string key, std::int32_t value) {
  put(std::move(key), scalar(ValueType::i32, value));
}
void GgufWriter::set(std::string key, std::uint64_t value) {
  put(std::move(key), scalar(ValueType::u64, value));
}
void GgufWriter::set(std::string key, float value) {
  put(std::move(key), scalar(ValueType::f32, value));
}
void GgufWriter::set(std::string key, std::string_view value) {
  put(std::move(key), scalar(ValueType::string, value));
}
void GgufWriter::set(std::string key, std::span<const std::string> values) {
  Bytes out = array(ValueType::string, values.size());
  for (const std::string& value : values) append(out, std::string_view(value));
  put(std::move(key), std::move(out));
}
void GgufWriter::set(std::string key, std::span<const float> values) {
  Bytes out = array(ValueType::f32, values.size());
  append(out, std::as_bytes(values));
  put(std::move(key), std::move(out));
}
void GgufWriter::set(std::string key, std::span<const std::int32_t> values) {
  Bytes out = array(ValueType::i32, values.size());
  append(out, std::as_bytes(values));
  put(std::move(key), std::move(out));
}

void GgufWriter::copy(std::string_view key, const MetaValue& value) {
  Bytes out;
  if (value.type == ValueType::array) {
    out = array(value.element, value.count);
  } else {
    append(out, value.type);
    if (value.type == ValueType::string) append(out, std::uint64_t{value.bytes.size()});
  }
  append(out, value.bytes);
  put(std::string(key), std::move(out));
}

void GgufWriter::add(std::string name, Type type, std::array<std::int64_t, 4> shape,
                     std::function<void(std::span<std::byte>)> fill) {
  tensors_.push_back({std::move(name), type, shape, std::move(fill)});
}

std::uint64_t GgufWriter::alignment() const {
  for (const auto& [key, encoded] : metadata_)
    if (key == alignment_key && encoded.size() == 2 * sizeof(std::uint32_t)) {
      std::uint32_t value = 0;
      std::memcpy(&value, encoded.data() + sizeof(ValueType), sizeof value);
      if (good_alignment(value)) return value;
    }
  return default_alignment;
}

void GgufWriter::finish(const std::string& path) {
  const std::uint64_t alignment = this->alignment();
  Bytes head;
  append(head, std::as_bytes(std::span("GGUF", 4)));
  append(head, std::uint32_t{3});
  append(head, std::uint64_t{tensors_.size()});
  append(head, std::uint64_t{metadata_.size()});
  for (const auto& [key, encoded] : metadata_) {
    append(head, std::string_view(key));
    append(head, std::span<const std::byte>(encoded));
  }

  std::vector<std::pair<std::uint64_t, std::uint64_t>> places;  // offset and bytes of each tensor
  std::uint64_t end = 0;
  for (const Declared& tensor : tensors_) {
    const auto rows = static_cast<std::uint64_t>(tensor.shape[1] * tensor.shape[2] * tensor.shape[3]);
    places.emplace_back(align_up(end, alignment), rows * row_bytes(tensor.type, tensor.shape[0]));
    end = places.back().first + places.back().second;
    std::uint32_t dimensions = 4;
    while (dimensions > 1 && tensor.shape[dimensions - 1] == 1) --dimensions;
    append(head, std::string_view(tensor.name));
    append(head, dimensions);
    append(head, std::as_bytes(std::span(tensor.shape).first(dimensions)));
    append(head, tensor.type);
    append(head, places.back().first);
  }
  const std::uint64_t data_start = align_up(head.size(), alignment);

  NewFile file(path + ".part", static_cast<std::size_t>(data_start + align_up(end, alignment)));
  std::copy(head.begin(), head.end(), file.bytes().begin());
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    tensors_[i].fill(file.bytes().subspan(static_cast<std::size_t>(data_start + places[i].first),
                                          static_cast<std::size_t>(places[i].second)));
  file.keep_as(path);
}

}  // namespace rf
