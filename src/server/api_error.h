// ApiError: what is wrong with a request, or why it cannot be served now, as every API's clients are told.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "server/http.h"

namespace rf {

class ApiError : public Error {
 public:
  ApiError(int http_status, std::string what, std::string field = "", std::string short_code = "")
      : Error(what), status(http_status), param(std::move(field)), code(std::move(short_code)) {}

  int status;
  std::string param;    // the field, "" where none is at fault
  std::string code;     // a word for programs
  int retry_after = 0;  // seconds; 0: not said
};

template <class... Args>
[[noreturn]] void fail_field(const std::string& field, fmt::format_string<Args...> format, Args&&... args) {
  throw ApiError(400, field + ": " + fmt::format(format, std::forward<Args>(args)...), field);
}

// What `work` throws, as clients are told of it.
std::optional<ApiError> fault_of(const std::function<void()>& work);
// What the engine finds wrong with a request whose tokens, or whose constraint, came of its field `field`.
ApiError engine_fault(int status, std::string what, const std::string& field);

enum class ErrorStyle : std::uint8_t { openai, anthropic, ollama };
HttpResponse error_response(ErrorStyle style, const ApiError& error);
// The same as JSON text, for a stream that has begun.
std::string error_body(ErrorStyle style, const ApiError& error);

}  // namespace rf
