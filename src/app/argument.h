// Arguments that hold more than one value in a text. Each throws Error saying what was expected and found.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rf {

// "1,2,3": token ids, separated by commas or spaces; "" is no token at all.
std::vector<std::int32_t> parse_tokens(std::string_view text);

// "ID=VALUE": a token id and what is added to its logit, "-inf" included.
std::pair<std::int32_t, float> parse_logit_bias(const std::string& text);

// A whole number of 64 bits, signed or not; "-1" asks for none.
std::optional<std::uint64_t> parse_seed(std::string_view text);

// "2G", "500M", "64K" or "1000": bytes, in decimal units; at least 1.
std::uint64_t parse_size(std::string_view text);

// auto, cpu, reference, gpu, gpu:N or sim.
bool is_device_name(std::string_view name);

// "GLOB=cpu" or "GLOB=gpu".
struct PlaceRule {
  std::string glob;
  bool gpu = false;
};
bool is_place_rule(const std::string& text);
PlaceRule parse_place_rule(const std::string& text);

}  // namespace rf
