// A message between the server and an engine, its kind by the first byte: an Error, or one that is written as
// it was read.
#include "engine/message.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"

namespace {

template <class Message>
void round_trip(std::string_view payload) {
  const Message read = rf::message::decode<Message>(payload);
  const std::string written = rf::message::encode(read);
  if (std::string_view(written).substr(rf::message::header_bytes) != payload) std::abort();
}

void dispatch(std::uint8_t kind, std::string_view payload) {
  using namespace rf::message;
  switch (kind % 12) {
    case 0:
      return round_trip<Submit>(payload);
    case 1:
      return round_trip<Cancel>(payload);
    case 2:
      return round_trip<Ping>(payload);
    case 3:
      return round_trip<Embed>(payload);
    case 4:
      return round_trip<Loading>(payload);
    case 5:
      return round_trip<Ready>(payload);
    case 6:
      return round_trip<Failed>(payload);
    case 7:
      return round_trip<Accepted>(payload);
    case 8:
      return round_trip<Rejected>(payload);
    case 9:
      return round_trip<Events>(payload);
    case 10:
      return round_trip<Pong>(payload);
    default:
      return round_trip<Embedding>(payload);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    dispatch(data[0], bytes.substr(1));
    if (size >= rf::message::header_bytes)
      (void)rf::message::decode_header(bytes.substr(0, rf::message::header_bytes));
  } catch (const rf::Error&) {
  }
  return 0;
}
