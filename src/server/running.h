// Running: one generation from its jobs to the client, and the list of those under way.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/generation.h"
#include "server/metrics.h"
#include "server/traces.h"

namespace rf {

class Running : public std::enable_shared_from_this<Running> {
 public:
  Running(ExchangePtr exchange, ServedModel& model, Generation generation, Metrics& metrics, Traces& traces);
  void start();
  void cancel();
  Json status() const;
  bool over() const { return over_; }
  std::function<void()> on_over;

 private:
  void accepted();
  void event(std::size_t choice, const Event& event);
  void failed(int status, const std::string& what);
  void give(Choice& choice, const Event& event);
  void parse(Choice& choice, Piece& piece);
  void finish();
  void leave();  // nobody listens any more
  void close();

  ExchangePtr exchange_;
  ServedModel& model_;
  std::shared_ptr<const ModelText> text_;
  Generation generation_;
  Metrics& metrics_;
  Traces& traces_;
  Answer answer_;
  std::vector<std::uint64_t> jobs_;  // by choice
  std::size_t accepted_ = 0, finished_ = 0;
  bool begun_ = false, over_ = false;
  std::vector<std::int64_t> last_token_ns_;  // by choice
  std::vector<MessageParser> parsers_;       // by choice; none: no parsing
};

}  // namespace rf
