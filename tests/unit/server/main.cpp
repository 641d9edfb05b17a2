// The tests of the server room, and what they start as the process of an engine: the real worker over the
// reference backend.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "chat/constraints.h"
#include "engine/worker.h"
#include "server/model_text.h"

namespace {

int run_engine(const char* model, int socket) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  rf::WorkerParts parts;
  parts.load = [&](const auto&) {
    std::vector<std::unique_ptr<rf::Backend>> backends;
    backends.push_back(rf::make_reference());
    return std::make_unique<rf::Engine>(
        model, std::move(backends),
        rf::EngineOptions{.context = 128, .parallel = 4, .page_tokens = 16, .kv = rf::KvType::f32});
  };
  parts.constraints = [](const rf::Engine& engine) {
    const rf::Tokenizer& tokenizer = engine.tokenizer();
    const auto all = std::make_shared<rf::Constraints>(
        tokenizer, rf::dialect_of(rf::template_source(engine.file(), tokenizer), tokenizer));
    return [all](const rf::message::ConstraintText& text) {
      return all->get({static_cast<rf::ConstraintSource::Kind>(text.kind), text.texts});
    };
  };
  return rf::run_worker(socket, parts);
}

// An engine that dies of the first request that it is given.
int run_mortal(int socket) {
  const std::string ready = rf::message::encode(rf::message::Ready{.context = 128, .parallel = 4});
  if (::write(socket, ready.data(), ready.size()) < 0) return 1;
  std::string header(rf::message::header_bytes, '\0'), payload;
  while (::recv(socket, header.data(), header.size(), MSG_WAITALL) == static_cast<ssize_t>(header.size())) {
    const auto [length, kind] = rf::message::decode_header(header);
    if (kind == rf::message::Kind::submit) return 1;
    payload.resize(length);
    if (length > 0 && ::recv(socket, payload.data(), length, MSG_WAITALL) <= 0) return 1;
  }
  return 0;
}

}  // namespace

int main(int count, char** words) {
  if (count == 4 && std::string_view(words[1]) == "--engine")
    return run_engine(words[2], std::atoi(words[3]));
  if (count == 3 && std::string_view(words[1]) == "--mortal") return run_mortal(std::atoi(words[2]));
  testing::InitGoogleTest(&count, words);
  return RUN_ALL_TESTS();
}
