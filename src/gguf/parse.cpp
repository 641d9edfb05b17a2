#include "gguf/parse.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "base/error.h"

namespace rf {
namespace {

constexpr std::size_t longest_key = 65535;  // the format's own limit
constexpr std::size_t longest_name = 63;    // ggml's names hold 64 bytes with the NUL
constexpr int deepest_array = 4;
constexpr std::size_t smallest_entry = 8 + 4 + 1;            // empty key, type, one byte
constexpr std::size_t smallest_tensor_info = 8 + 4 + 4 + 8;  // empty name, no dimensions, type, offset

// A position in the file that cannot leave it. `what_` says for messages what is being read.
class Cursor {
 public:
  Cursor(std::span<const std::byte> file, const std::string& path) : file_(file), path_(path) {}

  std::size_t position() const { return position_; }
  std::size_t left() const { return file_.size() - position_; }
  const std::string& path() const { return path_; }
  const std::string& what() const { return what_; }
  void reading(std::string what) { what_ = std::move(what); }

  std::span<const std::byte> take(std::uint64_t bytes) {
    if (bytes > left())
      fail("{}: {}: needs {} bytes at offset {}, but the file ends after {} more", path_, what_, bytes,
           position_, left());
    const auto part = file_.subspan(position_, static_cast<std::size_t>(bytes));
    position_ += part.size();
    return part;
  }

  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  std::string_view text() {
    const auto bytes = take(number<std::uint64_t>());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  // A count of things that take at least `smallest` bytes each.
  std::uint64_t count(std::size_t smallest) {
    const auto n = number<std::uint64_t>();
    if (n > left() / smallest)
      fail("{}: {}: count {} is more than the {} bytes that follow can hold", path_, what_, n, left());
    return n;
  }

 private:
  std::span<const std::byte> file_;
  const std::string& path_;
  std::string what_ = "header";
  std::size_t position_ = 0;
};

ValueType read_value_type(Cursor& in) {
  const auto id = in.number<std::uint32_t>();
  if (find_value_type(id) == nullptr)
    fail("{}: {}: value type {} is unknown, expected 0 to 12", in.path(), in.what(), id);
  return static_cast<ValueType>(id);
}

std::size_t value_bytes(ValueType type) {
  return find_value_type(static_cast<std::uint32_t>(type))->bytes;
}

MetaValue read_array(Cursor& in, std::span<const std::byte> file, int depth) {
  if (depth > deepest_array)
    fail("{}: {}: arrays nested deeper than {}", in.path(), in.what(), deepest_array);
  MetaValue value{.type = ValueType::array, .element = read_value_type(in)};
  const std::size_t each = value_bytes(value.element);
  const std::size_t smallest = each > 0 ? each : value.element == ValueType::string ? 8 : 12;
  value.count = in.count(smallest);
  const std::size_t begin = in.position();
  if (each > 0) {
    in.take(value.count * each);
  } else if (value.element == ValueType::string) {
    for (std::uint64_t i = 0; i < value.count; ++i) in.text();
  } else {
    for (std::uint64_t i = 0; i < value.count; ++i) read_array(in, file, depth + 1);
  }
  value.bytes = file.subspan(begin, in.position() - begin);
  return value;
}

MetaValue read_value(Cursor& in, std::span<const std::byte> file) {
  const ValueType type = read_value_type(in);
  if (type == ValueType::array) return read_array(in, file, 1);
  MetaValue value{.type = type, .element = type};
  if (type == ValueType::string) {
    const std::string_view text = in.text();
    value.bytes = std::as_bytes(std::span(text.data(), text.size()));
  } else {
    value.bytes = in.take(value_bytes(type));
  }
  return value;
}

void check_version(Cursor& in, std::uint32_t version) {
  if (version == 2 || version == 3) return;
  if (const std::uint32_t swapped = __builtin_bswap32(version); swapped >= 1 && swapped <= 3)
    fail("{}: GGUF version {} stored big-endian; only little-endian files can be read", in.path(), swapped);
  fail("{}: GGUF version {} is not supported, expected 2 or 3", in.path(), version);
}

void read_metadata(Cursor& in, std::span<const std::byte> file, std::uint64_t count, Directory& out) {
  for (std::uint64_t i = 0; i < count; ++i) {
    in.reading(fmt::format("metadata entry {} of {}", i + 1, count));
    const std::string_view key = in.text();
    if (key.empty() || key.size() > longest_key)
      fail("{}: {}: key of {} bytes, expected 1 to {}", in.path(), in.what(), key.size(), longest_key);
    in.reading("key " + quoted(key));
    if (!out.metadata.try_emplace(key, read_value(in, file)).second)
      fail("{}: {} appears twice", in.path(), in.what());
    out.keys.push_back(key);
  }
}

std::uint32_t read_alignment(const Directory& directory, const std::string& path) {
  const auto found = directory.metadata.find(alignment_key);
  if (found == directory.metadata.end()) return default_alignment;
  if (found->second.type != ValueType::u32)
    fail("{}: key '{}': expected u32, found {}", path, alignment_key,
         find_value_type(static_cast<std::uint32_t>(found->second.type))->name);
  std::uint32_t alignment = 0;
  std::memcpy(&alignment, found->second.bytes.data(), sizeof alignment);
  if (!good_alignment(alignment))
    fail("{}: key '{}': found {}, expected a power of two of at least 8", path, alignment_key, alignment);
  return alignment;
}

// Where a tensor's bytes lie, counted from the start of the data section.
struct Placed {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::map<std::string_view, Tensor>::iterator entry;
};

// Fills type, shape and row_bytes; returns the tensor's size in bytes.
std::uint64_t read_shape(Cursor& in, Tensor& tensor) {
  const auto dimensions = in.number<std::uint32_t>();
  if (dimensions > tensor.shape.size())
    fail("{}: {}: {} dimensions, expected at most {}", in.path(), in.what(), dimensions, tensor.shape.size());
  tensor.shape = {1, 1, 1, 1};
  std::int64_t elements = 1;
  for (std::uint32_t d = 0; d < dimensions; ++d) {
    const auto size = in.number<std::int64_t>();
    if (size <= 0 || __builtin_mul_overflow(elements, size, &elements))
      fail("{}: {}: dimension {} is {}; sizes must be positive and their product below 2^63", in.path(),
           in.what(), d, static_cast<std::uint64_t>(size));
    tensor.shape[d] = size;
  }
  const auto id = in.number<std::uint32_t>();
  const TypeInfo* type = find_type(id);
  if (type == nullptr) fail("{}: {}: tensor type {} is unknown", in.path(), in.what(), id);
  if (tensor.columns() % type->block_elements != 0)
    fail("{}: {}: rows of {} elements are not whole {} blocks of {}", in.path(), in.what(), tensor.columns(),
         type->name, type->block_elements);
  tensor.type = type->type;
  std::uint64_t bytes = 0;  // 64-bit throughout: shapes may be absurd until the file's size bounds them
  const std::uint64_t blocks = static_cast<std::uint64_t>(elements) / type->block_elements;
  if (__builtin_mul_overflow(blocks, type->block_bytes, &bytes))
    fail("{}: {}: {} elements of {} overflow 64 bits of size", in.path(), in.what(), elements, type->name);
  tensor.row_bytes = row_bytes(type->type, tensor.columns());
  return bytes;
}

std::vector<Placed> read_tensor_infos(Cursor& in, std::uint64_t count, std::uint32_t alignment,
                                      Directory& out) {
  std::vector<Placed> placed;
  placed.reserve(static_cast<std::size_t>(count));
  for (std::uint64_t i = 0; i < count; ++i) {
    in.reading(fmt::format("tensor {} of {}", i + 1, count));
    const std::string_view name = in.text();
    if (name.empty() || name.size() > longest_name)
      fail("{}: {}: name {} has {} bytes, expected 1 to {}", in.path(), in.what(), quoted(name), name.size(),
           longest_name);
    in.reading("tensor " + quoted(name));
    Placed here;
    Tensor tensor;
    here.bytes = read_shape(in, tensor);
    here.offset = in.number<std::uint64_t>();
    if (here.offset % alignment != 0)
      fail("{}: {}: offset {} is not a multiple of the alignment {}", in.path(), in.what(), here.offset,
           alignment);
    const auto [entry, fresh] = out.tensors.try_emplace(name, tensor);
    if (!fresh) fail("{}: {} appears twice", in.path(), in.what());
    here.entry = entry;
    placed.push_back(here);
    out.tensor_names.push_back(name);
  }
  return placed;
}

// Checks that every tensor lies inside the data section and shares no byte with another; sets the data
// pointers.
void place_tensors(std::vector<Placed>& placed, std::span<const std::byte> file, std::uint64_t data_start,
                   const std::string& path) {
  const std::uint64_t room = data_start < file.size() ? file.size() - data_start : 0;
  std::sort(placed.begin(), placed.end(),
            [](const Placed& a, const Placed& b) { return a.offset < b.offset; });
  const Placed* before = nullptr;
  for (const Placed& here : placed) {
    const auto& [name, tensor] = *here.entry;
    if (here.offset > room || here.bytes > room - here.offset)
      fail(
          "{}: tensor {}: {} bytes at data offset {} run past the end of the file, whose data section has {} "
          "bytes",
          path, quoted(name), here.bytes, here.offset, room);
    if (before != nullptr && here.offset < before->offset + before->bytes)
      fail("{}: tensor {} at data offset {} overlaps tensor {}, which ends at {}", path, quoted(name),
           here.offset, quoted(before->entry->first), before->offset + before->bytes);
    here.entry->second.data = file.data() + data_start + here.offset;
    here.entry->second.mapped = true;
    before = &here;
  }
}

}  // namespace

const ValueTypeInfo* find_value_type(std::uint32_t id) {
  static constexpr ValueTypeInfo infos[] = {{"u8", 1},  {"i8", 1},  {"u16", 2},  {"i16", 2},    {"u32", 4},
                                            {"i32", 4}, {"f32", 4}, {"bool", 1}, {"string", 0}, {"array", 0},
                                            {"u64", 8}, {"i64", 8}, {"f64", 8}};
  return id < std::size(infos) ? &infos[id] : nullptr;
}

std::string quoted(std::string_view text) {
  constexpr std::size_t shown = 80;
  std::string out = "'";
  for (const char c : text.substr(0, shown)) {
    if (c >= 0x20 && c != 0x7f)
      out += c;
    else
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return out + (text.size() > shown ? "...'" : "'");
}

Directory parse_directory(std::span<const std::byte> file, const std::string& path) {
  Cursor in(file, path);
  if (in.left() < 4 || std::memcmp(in.take(4).data(), "GGUF", 4) != 0)
    fail("{}: not a GGUF file: it does not begin with the letters GGUF", path);
  Directory out;
  out.version = in.number<std::uint32_t>();
  check_version(in, out.version);
  in.reading("tensor count");
  const std::uint64_t tensors = in.count(smallest_tensor_info);
  in.reading("metadata count");
  const std::uint64_t entries = in.count(smallest_entry);
  read_metadata(in, file, entries, out);

  const std::uint32_t alignment = read_alignment(out, path);
  in.reading("tensor infos");
  if (tensors > in.left() / smallest_tensor_info)
    fail("{}: {} tensors declared, but only {} bytes follow the metadata", path, tensors, in.left());
  std::vector<Placed> placed = read_tensor_infos(in, tensors, alignment, out);
  out.data_start = align_up(in.position(), alignment);
  place_tensors(placed, file, out.data_start, path);
  return out;
}

}  // namespace rf
