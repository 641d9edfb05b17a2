// Generation: what an API was asked to generate, in no API's terms; and Shape: how an API writes what comes
// of it.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "chat/message_parser.h"
#include "engine/message.h"
#include "server/api_error.h"
#include "server/fields.h"
#include "server/http.h"
#include "server/models.h"

namespace rf {

// What came of one token, or of what was held back at the end.
struct Piece {
  std::string text;                  // as generated
  std::vector<MessageDelta> deltas;  // what it adds to the message
  std::int32_t token = -1;
  TokenLogprob logprob{};
  std::vector<TokenLogprob> top{};
};

struct Choice {
  int index = 0;
  int prompt = 0;               // the number of its prompt
  std::string text{};           // as generated
  Message message{};            // what it stands for
  std::vector<Piece> pieces{};  // kept where log-probabilities are asked for
  std::vector<PromptLogprob> prompt_logprobs{};
  std::vector<std::int32_t> tokens{};
  int prompt_tokens = 0, prompt_done = 0, prompt_cached = 0;
  Finish finish = Finish::unfinished;
  std::string stop{};  // the stop string that ended it
};

struct Answer {
  std::string id;     // of the request
  std::string model;  // as it is called here
  const Tokenizer* tokenizer = nullptr;
  std::int64_t created = 0;  // seconds since 1970
  std::vector<Choice> choices;
  std::int64_t started_ns = 0, first_ns = 0, last_ns = 0;  // of the request, its first token and its last
  std::int64_t load_ns = 0;

  int prompt_tokens() const;  // each prompt once
  int cached_tokens() const;
  int tokens() const;
};

// One of these belongs to one request.
class Shape {
 public:
  virtual ~Shape() = default;
  virtual ErrorStyle errors() const { return ErrorStyle::openai; }

  virtual Json whole(const Answer& answer) = 0;  // of a request that is not streamed

  // What a stream says, as bytes to send.
  virtual const char* stream_type() const { return "text/event-stream"; }
  virtual std::string begin(const Answer&) { return {}; }
  virtual std::string progress(const Answer&, const Choice&) { return {}; }  // more of the prompt was read
  virtual std::string piece(const Answer& answer, const Choice& choice, const Piece& piece) = 0;
  virtual std::string finished(const Answer&, const Choice&) { return {}; }
  virtual std::string end(const Answer&) { return {}; }
  virtual std::string broken(const ApiError& error) {
    return "data: " + error_body(errors(), error) + "\n\n";
  }
};

struct Generation {
  std::vector<std::vector<std::int32_t>> prompts;
  std::string prompt_field = "prompt";  // where they stand in the request, for messages
  int cut_tokens = 0;                   // of the prompts, that were taken out for want of room
  int choices = 1;                      // of each prompt
  Request request;                      // all but the prompt
  message::ConstraintText constraint;
  std::string constraint_field;  // where that stands
  bool stream = false, progress = false;
  // Of chats: what the reply is parsed with. Without a dialect all text is content.
  const Dialect* dialect = nullptr;
  Json tools = nullptr;
  std::string prompt_end;  // the last bytes of the rendered prompt
  std::unique_ptr<Shape> shape;
};

inline std::string event_line(const Json& value) {
  return "data: " + dump(value) + "\n\n";
}
inline std::string named_event(const std::string& name, const Json& value) {
  return "event: " + name + "\ndata: " + dump(value) + "\n\n";
}

}  // namespace rf
