// All that the server can be told, in plain structs.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace rf {

struct HttpLimits {
  std::uint64_t body_bytes = 8 << 20;
  std::uint32_t header_bytes = 32 << 10;
  int connections = 4096;
  int idle_seconds = 75;     // of a connection between requests
  int receive_seconds = 30;  // for a request to arrive, and for the client to take a piece of an answer
};

struct HttpOptions {
  std::string host = "127.0.0.1";  // an address, or a name that resolves to one
  int port = 8080;                 // 0: any free one
  std::string socket;              // a path: listen there instead
  std::string certificate, key;    // PEM files; both for TLS
  HttpLimits limits;
};

struct ServiceOptions {
  std::vector<std::string> api_keys{};
  std::string key_file{};
  std::vector<std::string> cors_origins{};  // "*": any
  int parallel = 4;                         // sequences at once of one model
  int queue = 64;                           // requests that wait beyond them, of one model
  int most_choices = 16;
  int request_seconds = 3600;  // that one request may take
  bool log_prompts = false;
  bool context_shift = false;  // prompts that are too long lose their oldest part unless a request objects
};

struct ModelEntry {
  std::string name, path;
  std::vector<std::string> command;  // of its engine's process: "{}" stands for the socket's descriptor
  bool required = true;              // the server ends where it cannot be loaded as the first
};

struct HostingOptions {
  std::uint64_t memory_bytes = 0;  // all loaded models together; 0: no limit
  int keep_alive_seconds = -1;     // of a model that nobody uses; -1: for ever
  int watchdog_seconds = 120;      // an engine that has work and does nothing for so long is killed
};

struct ServerOptions {
  HttpOptions http;
  ServiceOptions service;
  HostingOptions models;
  std::string otlp_endpoint;  // of an OTLP/HTTP collector; "": none
  int drain_seconds = 30;     // that requests under way may still take once the server is told to end
};

}  // namespace rf
