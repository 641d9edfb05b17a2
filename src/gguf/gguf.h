// Gguf: a model file (one or several split parts), mapped and checked: metadata and tensor directory.
// Format: GGUF versions 2 and 3, little-endian (ggml's docs/gguf.md).
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "tensor/tensor.h"

namespace rf {

enum class ValueType : std::uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};

// One metadata entry: views into the mapping, already checked to lie inside it.
struct MetaValue {
  ValueType type = ValueType::u8;     // array: see element
  ValueType element = ValueType::u8;  // of an array
  std::uint64_t count = 1;            // elements of an array
  // Scalars and strings: the value itself, without a length; arrays: the elements as stored.
  std::span<const std::byte> bytes{};
};

// "STEM-00001-of-0000N.gguf": the name of part `part`, counted from 0, of `count`.
std::string split_path(const std::string& stem, std::uint32_t part, std::uint32_t count);

class Gguf {
 public:
  // Maps `path`; for the first part of a split model ("NAME-00001-of-0000N.gguf") also the other parts, which
  // may not be opened alone. The metadata is the first part's. Throws Error naming the file and the key or
  // tensor.
  static Gguf open(const std::string& path);

  // The value of `key`, converted: bool, integers (range-checked, whatever integer type is stored), float,
  // double, std::string, std::string_view (valid while this Gguf lives), and std::vector of any of these from
  // an array. Throws Error naming the key when it is absent, of another kind, or out of T's range.
  template <class T>
  T get(std::string_view key) const;
  // The same, or `fallback` when the key is absent.
  template <class T>
  T get(std::string_view key, T fallback) const {
    return has(key) ? get<T>(key) : fallback;
  }
  bool has(std::string_view key) const { return metadata_.contains(key); }

  const Tensor* find(std::string_view name) const;    // nullptr when absent
  const Tensor& tensor(std::string_view name) const;  // throws Error naming it when absent

  const std::map<std::string_view, MetaValue>& metadata() const { return metadata_; }
  // Every tensor by name, in name order (names point into the mapping).
  const std::map<std::string_view, Tensor>& tensors() const { return tensors_; }
  // The keys and the tensors' names in the order of the file, of a split model part after part.
  std::span<const std::string_view> keys() const { return keys_; }
  std::span<const std::string_view> tensor_names() const { return tensor_names_; }

  const std::string& path() const { return path_; }  // as given to open()
  std::uint32_t version() const { return version_; }
  std::size_t file_bytes() const;  // of all parts
  std::vector<std::string> part_paths() const;

 private:
  void open_siblings(std::uint32_t count);  // the other parts of a split model of `count`

  std::string path_;
  std::uint32_t version_ = 0;
  std::vector<MappedFile> parts_;
  std::map<std::string_view, MetaValue> metadata_;
  std::map<std::string_view, Tensor> tensors_;
  std::vector<std::string_view> keys_, tensor_names_;
};

}  // namespace rf
