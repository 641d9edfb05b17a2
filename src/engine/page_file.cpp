#include "engine/page_file.h"

#include <cstring>

#include "base/error.h"
#include "base/hash.h"

namespace rf {
namespace {

constexpr char magic[8] = {'R', 'F', '-', 'P', 'A', 'G', 'E', '\n'};
constexpr std::uint32_t version = 1;

struct Header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t kind;
  std::uint64_t identity;
  std::uint64_t tokens;
  std::uint64_t bytes;
  std::uint64_t checksum;  // of all before it, the tokens and the bytes
};
static_assert(sizeof(Header) == page_file_header_bytes);

std::uint64_t checksum_of(const Header& header, std::span<const std::byte> tokens,
                          std::span<const std::byte> bytes) {
  const auto before = std::as_bytes(std::span(&header, 1)).first(offsetof(Header, checksum));
  return hash_bytes(hash_bytes(hash_bytes(0, before), tokens), bytes);
}

}  // namespace

std::string page_file_head(const PageFile& file) {
  Header header{.magic = {},
                .version = version,
                .kind = static_cast<std::uint32_t>(file.kind),
                .identity = file.identity,
                .tokens = file.tokens.size(),
                .bytes = file.bytes.size(),
                .checksum = 0};
  std::memcpy(header.magic, magic, sizeof magic);
  const auto tokens = std::as_bytes(std::span(file.tokens));
  header.checksum = checksum_of(header, tokens, file.bytes);
  std::string head(sizeof header + tokens.size(), '\0');
  std::memcpy(head.data(), &header, sizeof header);
  if (!tokens.empty()) std::memcpy(head.data() + sizeof header, tokens.data(), tokens.size());
  return head;
}

PageFile parse_page_file(std::span<const std::byte> whole) {
  Header header;
  if (whole.size() < sizeof header)
    fail("expected a header of {} bytes, found {}", sizeof header, whole.size());
  std::memcpy(&header, whole.data(), sizeof header);
  if (std::memcmp(header.magic, magic, sizeof magic) != 0) fail("it is not a page of a cache");
  if (header.version != version) fail("expected version {}, found {}", version, header.version);
  if (header.kind > static_cast<std::uint32_t>(Kept::state)) fail("there is no kind {}", header.kind);
  const std::span<const std::byte> rest = whole.subspan(sizeof header);
  if (header.tokens > rest.size() / sizeof(std::int32_t) ||
      header.bytes != rest.size() - header.tokens * sizeof(std::int32_t))
    fail("expected {} tokens and {} bytes, found {} bytes for both", header.tokens, header.bytes,
         rest.size());
  const auto tokens = rest.first(header.tokens * sizeof(std::int32_t));
  PageFile file{.kind = static_cast<Kept>(header.kind),
                .identity = header.identity,
                .tokens = std::vector<std::int32_t>(header.tokens),
                .bytes = rest.subspan(tokens.size())};
  if (checksum_of(header, tokens, file.bytes) != header.checksum) fail("its checksum is wrong");
  if (!tokens.empty()) std::memcpy(file.tokens.data(), tokens.data(), tokens.size());
  return file;
}

}  // namespace rf
