// A request's body: an ApiError that blames the request, or fields that are within their limits.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/request_fields.h"

namespace {

void read(const rf::Json& body) {
  const rf::Fields fields(body);
  rf::Generation generation;
  rf::read_sampling(fields, generation.request);
  rf::read_stop(fields, "stop", generation.request);
  rf::read_max_tokens(fields, "max_tokens", generation.request);
  rf::read_delivery(fields, generation, false);
  rf::read_constraint(fields, generation);
  if (generation.request.max_tokens == 0 || generation.request.stop.size() > rf::most_stops) std::abort();
  generation.request.sampling.check(1 << 30);
  rf::read_tools(fields);
  rf::read_messages(fields, "messages");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    read(rf::parse_body({reinterpret_cast<const char*>(data), size}));
  } catch (const rf::ApiError& error) {
    if (error.status != 400) std::abort();
    (void)rf::error_body(rf::ErrorStyle::openai, error);
  } catch (const rf::Error&) {  // of SamplerOptions::check
  }
  return 0;
}
