#include "app/serve_options.h"

#include <CLI/CLI.hpp>

#include "app/command_options.h"

namespace rf {
namespace {

void add_listening(CLI::App& app, HttpOptions& http, double& body_mib) {
  const auto add = [&](const char* name, auto& value, const char* help) {
    return add_value(app, "Listening", name, value, help);
  };
  add("--host", http.host, "The address to listen on; 0.0.0.0 or :: for all");
  add("--port", http.port, "The port; 0: any free one")->check(CLI::Range(0, 65535));
  add("--unix-socket", http.socket, "Listen on this socket file instead");
  add("--tls-cert", http.certificate, "A PEM file with the certificate chain: speak HTTPS");
  add("--tls-key", http.key, "A PEM file with its private key");
  add("--max-body", body_mib, "MiB that a request may have")->check(CLI::Range(0.001, 1024.0));
  add("--max-header", http.limits.header_bytes, "Bytes that a request's headers may have")
      ->check(CLI::Range(1024, 1 << 20));
  add("--max-connections", http.limits.connections, "Open connections at once")
      ->check(CLI::Range(1, 1 << 20));
  add("--idle-timeout", http.limits.idle_seconds, "Seconds that a connection may wait for its next request")
      ->check(CLI::Range(1, 86400));
  add("--receive-timeout", http.limits.receive_seconds,
      "Seconds for a request to arrive, and for a client to take a piece of its answer")
      ->check(CLI::Range(1, 86400));
}

void add_service(CLI::App& app, ServeOptions& o) {
  ServiceOptions& service = o.server.service;
  const auto add = [&](const char* name, auto& value, const char* help) {
    return add_value(app, "Serving", name, value, help);
  };
  add("--parallel", service.parallel, "Sequences that a model runs at once")->check(CLI::Range(1, 1024));
  add("--queue", service.queue, "Requests that may wait beyond them; more get status 429")
      ->check(CLI::Range(0, 1 << 20));
  add("--cache-tokens", o.cache_tokens, "Positions of a model's cache; 0: --parallel times --ctx")
      ->check(CLI::Range(0, 1 << 30));
  add("--host-cache", o.host_cache_mib,
      "MiB of a model's cache that are kept in host memory when others need its room; -1: as many as the "
      "cache has, but at most an eighth of the memory")
      ->check(CLI::Range(-1.0, 1e9));
  add("--cache-dir", o.cache_folder,
      "A folder for what prompts and answers were read to, so that a restart finds it; several servers may "
      "share it");
  add("--cache-size", o.cache_folder_mib, "MiB that its files may take")->check(CLI::Range(0.0, 1e9));
  add("--max-gap", o.gap,
      "How much longer a step may take because it reads prompts too, as a factor above 1; 0: as long as it "
      "likes")
      ->check(CLI::Range(0.0, 1000.0));
  add("--max-choices", service.most_choices, "The largest n of a request")->check(CLI::Range(1, 128));
  add("--request-timeout", service.request_seconds, "Seconds after which a request is cut off")
      ->check(CLI::Range(1, 1 << 30));
  add("--api-key", service.api_keys, "A key that clients must have; may be repeated")
      ->allow_extra_args(false);
  add("--api-key-file", service.key_file, "A file of keys, one a line: KEY [name=NAME] [priority=N]");
  add("--cors-origin", service.cors_origins,
      "A web page's origin that may use this server; * for all; may be repeated")
      ->allow_extra_args(false);
  add("--memory-limit", o.memory_gib, "GiB for all loaded models together; 0: no limit")
      ->check(CLI::Range(0.0, 1e9));
  add("--keep-alive", o.server.models.keep_alive_seconds,
      "Seconds that a model stays loaded unused; -1: for ever")
      ->check(CLI::Range(-1, 1 << 30));
  add("--watchdog", o.server.models.watchdog_seconds,
      "Seconds after which an engine that does nothing is started again")
      ->check(CLI::Range(1, 86400));
  add("--drain-timeout", o.server.drain_seconds, "Seconds that requests may still take after SIGTERM")
      ->check(CLI::Range(0, 86400));
  add("--otlp-endpoint", o.server.otlp_endpoint, "Send traces to this OTLP/HTTP collector");
  app.add_flag("--context-shift", service.context_shift,
               "Take the oldest part out of prompts that are too long, instead of status 400")
      ->group("Serving");
  app.add_flag("--log-prompts", service.log_prompts, "Write requests to the log, prompts included")
      ->group("Serving");
}

}  // namespace

void declare_serve(CLI::App& app, ServeOptions& o) {
  app.add_option("-m,--model", o.models,
                 "NAME=MODEL or a path, a catalogue name, hf:owner/repo[:file] or a URL; may be "
                 "repeated, the first one is loaded at once")
      ->allow_extra_args(false);
  app.add_option("--models-dir", o.models_folder, "Serve all models in this folder");
  app.add_flag("--check-config", o.check_config, "Check the options, keys and models, and end");
  add_listening(app, o.server.http, o.body_mib);
  add_service(app, o);
  add_load(app, o.load);
  app.add_option("--worker-socket", o.worker_socket)->group("");
  app.add_option("--worker-model", o.worker_model)->group("");
}

}  // namespace rf
