#include "server/api_error.h"

#include "server/fields.h"

namespace rf {
namespace {

const char* openai_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    case 503:
      return "unavailable_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

const char* anthropic_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

}  // namespace

std::optional<ApiError> fault_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const ApiError& error) {
    return error;
  } catch (const Error& error) {
    return ApiError(400, error.what());
  } catch (const std::exception& error) {
    return ApiError(500, error.what());
  }
  return std::nullopt;
}

ApiError engine_fault(int status, std::string what, const std::string& field) {
  if (status != 400) return {status, std::move(what)};
  const bool full = what.find("in a context of") != std::string::npos;
  std::string name = what.substr(0, what.find_first_of(":["));
  std::string rest = what.substr(name.size());
  if (name == "prompt" || name == "tokens" || name == "constraint") name = field;
  if (name.find('/') != std::string::npos) name = "model";  // it is named by its file
  return {400, name + rest, name, full ? "context_length_exceeded" : ""};
}

std::string error_body(ErrorStyle style, const ApiError& error) {
  const std::string message = error.what();
  if (style == ErrorStyle::ollama) return dump({{"error", message}});
  if (style == ErrorStyle::anthropic)
    return dump(
        {{"type", "error"}, {"error", {{"type", anthropic_type(error.status)}, {"message", message}}}});
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  return dump({{"error",
                {{"message", message},
                 {"type", openai_type(error.status)},
                 {"param", or_null(error.param)},
                 {"code", or_null(error.code)}}}});
}

HttpResponse error_response(ErrorStyle style, const ApiError& error) {
  HttpResponse response{.status = error.status, .body = error_body(style, error)};
  if (error.retry_after > 0) response.headers.emplace_back("Retry-After", std::to_string(error.retry_after));
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace rf
