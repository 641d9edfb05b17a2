// The commands that ask a running server about its requests.
#pragma once
#include <string>

namespace rf {

struct RequestOptions {
  std::string id;
  std::string host = "127.0.0.1:8080";
  std::string api_key;
};
int request_status(const RequestOptions& options);  // without an id: of all that are under way
int request_cancel(const RequestOptions& options);

}  // namespace rf
