#include "server/running.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "base/clock.h"
#include "chat/constraints.h"

namespace rf {
namespace {

double seconds(std::int64_t ns) {
  return static_cast<double>(ns) * 1e-9;
}

}  // namespace

int Answer::prompt_tokens() const {
  int sum = 0, last = -1;
  for (const Choice& choice : choices) {
    if (choice.prompt != last) sum += choice.prompt_tokens;
    last = choice.prompt;
  }
  return sum;
}

int Answer::cached_tokens() const {
  int sum = 0, last = -1;
  for (const Choice& choice : choices) {
    if (choice.prompt != last) sum += choice.prompt_cached;
    last = choice.prompt;
  }
  return sum;
}

int Answer::tokens() const {
  int sum = 0;
  for (const Choice& choice : choices) sum += static_cast<int>(choice.tokens.size());
  return sum;
}

Running::Running(ExchangePtr exchange, ServedModel& model, Generation generation, Metrics& metrics,
                 Traces& traces)
    : exchange_(std::move(exchange)),
      model_(model),
      text_(model.text),
      generation_(std::move(generation)),
      metrics_(metrics),
      traces_(traces) {
  answer_.id = exchange_->id;
  answer_.model = model.name;
  answer_.tokenizer = &text_->tokenizer();
  answer_.created = std::time(nullptr);
  answer_.started_ns = exchange_->started_ns;
}

void Running::start() {
  const auto self = shared_from_this();
  exchange_->on_gone = [self] { self->leave(); };
  for (std::size_t p = 0; p < generation_.prompts.size(); ++p)
    for (int n = 0; n < generation_.choices; ++n)
      answer_.choices.push_back({.index = static_cast<int>(answer_.choices.size()),
                                 .prompt = static_cast<int>(p),
                                 .prompt_tokens = static_cast<int>(generation_.prompts[p].size())});
  last_token_ns_.resize(answer_.choices.size(), 0);
  // A reply that is held to a form begins with it, whatever the prompt has opened.
  const message::ConstraintText& constraint = generation_.constraint;
  const bool formed = !constraint.texts.empty() &&
                      constraint.kind != static_cast<std::uint8_t>(ConstraintSource::Kind::tool_calls);
  const std::string_view prompt = formed ? std::string_view() : generation_.prompt_end;
  for (std::size_t i = 0; i < answer_.choices.size() && generation_.dialect != nullptr; ++i)
    parsers_.emplace_back(*generation_.dialect,
                          MessageParserOptions{.prompt = prompt, .tools = generation_.tools});
  for (std::size_t i = 0; i < answer_.choices.size() && !over_; ++i) {
    Job job;
    job.request = generation_.request;
    job.request.prompt = generation_.prompts[static_cast<std::size_t>(answer_.choices[i].prompt)];
    job.request.sampling.seed = *generation_.request.sampling.seed + i;
    job.constraint = generation_.constraint;
    job.accepted = [self] { self->accepted(); };
    job.event = [self, i](const Event& event) { self->event(i, event); };
    job.failed = [self](int status, const std::string& what) { self->failed(status, what); };
    jobs_.push_back(model_.engine.submit(std::move(job)));
  }
}

void Running::cancel() {
  for (const std::uint64_t job : jobs_) model_.engine.cancel(job);
}

// A stream begins when the engine has taken all of its jobs, so that what is wrong with them can still be
// told.
void Running::accepted() {
  if (++accepted_ < answer_.choices.size() || over_ || !generation_.stream) return;
  begun_ = true;
  exchange_->begin(
      {.content_type = generation_.shape->stream_type(), .body = generation_.shape->begin(answer_)});
}

void Running::event(std::size_t index, const Event& event) {
  if (over_) return;
  if (generation_.stream && !begun_) {  // cancelled before it was taken
    accepted_ = answer_.choices.size() - 1;
    accepted();
  }
  Choice& choice = answer_.choices[index];
  const bool read = event.prompt_done > choice.prompt_done;
  choice.prompt_done = std::max(choice.prompt_done, event.prompt_done);
  if (choice.tokens.empty()) choice.prompt_cached = event.prompt_cached;
  if (read && generation_.progress && generation_.stream)
    exchange_->write(generation_.shape->progress(answer_, choice));
  for (const PromptLogprob& each : event.prompt)  // those of a prompt that is read again are known already
    if (each.position == static_cast<int>(choice.prompt_logprobs.size()) + 1)
      choice.prompt_logprobs.push_back(each);
  if (event.token >= 0) {
    const std::int64_t now = now_ns();
    choice.tokens.push_back(event.token);
    if (answer_.first_ns == 0) answer_.first_ns = now;
    if (last_token_ns_[index] == 0)
      metrics_.first_token(seconds(now - answer_.started_ns));
    else
      metrics_.next_token(seconds(now - last_token_ns_[index]));
    last_token_ns_[index] = answer_.last_ns = now;
  }
  give(choice, event);
  if (choice.finish != Finish::unfinished && ++finished_ == answer_.choices.size()) finish();
}

// The deltas of what was generated, the last of which come with the end of it.
void Running::parse(Choice& choice, Piece& piece) {
  const bool ended = choice.finish != Finish::unfinished;
  if (parsers_.empty()) {
    choice.message.content += piece.text;
    if (!piece.text.empty()) piece.deltas = {{.text = piece.text, .id = {}, .name = {}}};
    return;
  }
  MessageParser& parser = parsers_[static_cast<std::size_t>(choice.index)];
  piece.deltas = parser.feed(piece.text);
  if (!ended) return;
  for (MessageDelta& delta : parser.finish()) piece.deltas.push_back(std::move(delta));
  choice.message = parser.message();
}

void Running::give(Choice& choice, const Event& event) {
  Piece piece{
      .text = event.text, .deltas = {}, .token = event.token, .logprob = event.logprob, .top = event.top};
  choice.text += piece.text;
  choice.stop = event.stop;
  choice.finish = event.finish;
  parse(choice, piece);
  const bool wanted = generation_.request.logprobs >= 0 && event.token >= 0;
  if (generation_.stream && (!piece.deltas.empty() || wanted))
    exchange_->write(generation_.shape->piece(answer_, choice, piece));
  if (wanted && !generation_.stream) choice.pieces.push_back(std::move(piece));
  if (generation_.stream && choice.finish != Finish::unfinished)
    exchange_->write(generation_.shape->finished(answer_, choice));
}

void Running::finish() {
  if (answer_.first_ns == 0) answer_.first_ns = answer_.last_ns = now_ns();  // it has no token
  metrics_.finished(answer_.prompt_tokens(), answer_.cached_tokens(), seconds(now_ns() - answer_.started_ns));
  if (generation_.stream) {
    exchange_->write(generation_.shape->end(answer_));
    exchange_->end();
  } else {
    exchange_->respond({.body = dump(generation_.shape->whole(answer_))});
  }
  close();
}

void Running::failed(int status, const std::string& what) {
  if (over_) return;
  const bool of_form = what.starts_with("constraint:");
  const ApiError error =
      engine_fault(status, what, of_form ? generation_.constraint_field : generation_.prompt_field);
  for (const std::uint64_t job : jobs_) model_.engine.forget(job);
  if (begun_) {
    exchange_->write(generation_.shape->broken(error));
    exchange_->end();
  } else {
    exchange_->respond(error_response(generation_.shape->errors(), error));
  }
  close();
}

void Running::leave() {
  if (over_) return;
  for (const std::uint64_t job : jobs_) model_.engine.forget(job);
  close();
}

void Running::close() {
  over_ = true;
  traces_.add({.id = answer_.id,
               .parent = std::string(exchange_->request.header("traceparent")),
               .route = exchange_->route,
               .model = answer_.model,
               .started_ns = answer_.started_ns,
               .first_ns = answer_.first_ns,
               .ended_ns = now_ns(),
               .prompt_tokens = answer_.prompt_tokens(),
               .cached_tokens = answer_.cached_tokens(),
               .tokens = answer_.tokens()});
  const auto keep = shared_from_this();
  exchange_->on_gone = nullptr;
  if (on_over) std::exchange(on_over, nullptr)();
}

Json Running::status() const {
  Json choices = Json::array();
  for (const Choice& choice : answer_.choices)
    choices.push_back(
        {{"index", choice.index},
         {"prompt_tokens", choice.prompt_tokens},
         {"prompt_done", choice.prompt_done},
         {"prompt_cached", choice.prompt_cached},
         {"tokens", choice.tokens.size()},
         {"finish", choice.finish == Finish::unfinished ? Json() : Json(finish_name(choice.finish))}});
  const bool begun = std::ranges::any_of(answer_.choices, [](const Choice& c) { return c.prompt_done > 0; });
  const bool complete = finished_ == answer_.choices.size() && !answer_.choices.empty();
  const char* state = over_ ? (complete ? "done" : "gone") : begun ? "running" : "waiting";
  return {{"id", answer_.id},
          {"model", answer_.model},
          {"state", state},
          {"created", answer_.created},
          {"choices", choices}};
}

}  // namespace rf
