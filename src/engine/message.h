// What the process that serves and the process that runs a model tell each other: length-prefixed messages of
// one version over a stream socket, both ends on one machine. docs/architecture.md tells who sends what when.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"

namespace rf::message {

inline constexpr std::uint32_t version = 3;
inline constexpr std::size_t header_bytes = 5;         // u32 length of the rest, u8 kind
inline constexpr std::size_t most_bytes = 256u << 20;  // of one message
enum class Kind : std::uint8_t {
  submit = 1,
  cancel,
  ping,
  embed,  // to the engine
  loading = 64,
  ready,
  failed,
  accepted,
  rejected,
  events,
  pong,
  embedding  // from it
};

// What a reply must be, as the engine's process is told to make it: a kind of chat's ConstraintSource.
struct ConstraintText {
  std::uint8_t kind = 0;
  std::vector<std::string> texts{};  // none: any reply will do
};

struct Submit {
  std::uint64_t id = 0;  // chosen by the sender, not in use
  Request request{};     // its constraint stays empty
  ConstraintText constraint{};
};
struct Cancel {
  std::uint64_t id = 0;
};
struct Ping {
  std::uint64_t number = 0;
};
struct Embed {
  std::uint64_t id = 0;  // like that of Submit
  std::vector<std::int32_t> tokens{};
  std::optional<Pooling> pooling{};  // none: as the model says
};
struct Loading {
  std::uint64_t done = 0, total = 0;  // bytes
};
struct Ready {
  std::uint32_t version = message::version;
  std::int32_t context = 0, parallel = 0, pages = 0, page_tokens = 0;
  double load_seconds = 0;
  std::uint64_t weight_bytes = 0, cache_bytes = 0;
  std::uint64_t host_bytes = 0;  // the most that the cache may come to keep in host memory
};
struct Failed {
  std::string text{};  // the model cannot be loaded
};
struct Accepted {
  std::uint64_t id = 0;
};
struct Rejected {
  std::uint64_t id = 0;
  std::string text{};  // names the field
};
// What one step did, and what it gave.
struct Events {
  std::int64_t ns = 0;
  std::int32_t rows = 0, decoding = 0;  // of the rows, those of sequences that only decode
  double bytes = 0;                     // that its operations stand for
  std::vector<Event> events{};          // Event::request: the sender's ids
};
struct Pong {
  std::uint64_t number = 0, steps = 0;  // steps since the start
  bool idle = true;
  EngineLoad load{};
};
struct Embedding {
  std::uint64_t id = 0;
  std::vector<float> values{};
};

// The whole message, header included.
template <class Message>
std::string encode(const Message& message);
// What stands after the header. Throws Error naming the message where it is cut short, too long or holds a
// value that its field cannot have.
template <class Message>
Message decode(std::string_view payload);

struct Header {
  std::size_t length;  // of what follows the kind
  Kind kind;
};
// `bytes`: header_bytes of them. Throws Error for a length out of bounds.
Header decode_header(std::string_view bytes);

}  // namespace rf::message
