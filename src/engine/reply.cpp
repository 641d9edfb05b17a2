#include "engine/reply.h"

#include <algorithm>

#include "base/error.h"

namespace rf {
namespace {

int limit_of(const Request& request, int most) {
  if (request.max_tokens < 1 && request.max_tokens != -1)
    fail("max_tokens: expected at least 1, or -1 for no limit, found {}", request.max_tokens);
  return request.max_tokens == -1 ? most : std::min(request.max_tokens, most);
}

}  // namespace

Reply::Reply(const Request& request, const Tokenizer& tokenizer, int most)
    : tokenizer_(tokenizer),
      sampler_(request.sampling, tokenizer.vocab_size()),
      stops_(request.stop),
      text_(tokenizer, false, true, request.shown_tokens),
      constraint_(request.constraint),
      ignore_eos_(request.ignore_eos),
      left_(limit_of(request, most)) {
  if (constraint_ == nullptr) return;
  matcher_ = constraint_->start();
  allowed_.resize((static_cast<std::size_t>(tokenizer.vocab_size()) + 63) / 64);
}

void Reply::next(std::span<const float> logits, std::span<const std::int32_t> history, Event& event) {
  event.token = sampler_.sample(logits, history, allowed_);
  --left_;
  if (constrained()) matcher_->accept(event.token);
  // A constraint allows an ending token only where its text is complete, and nothing can follow that.
  if ((!ignore_eos_ || constrained()) && tokenizer_.is_end_of_generation(event.token)) {
    event.text = rest();
    event.finish = Finish::end_of_text;
    return;
  }
  event.text = stops_.push(text_.push(event.token));
  if (stops_.stopped()) {
    event.finish = Finish::stop_string;
  } else if (constrained() && matcher_->ended()) {
    event.text += rest();
    event.finish = Finish::end_of_text;
  } else if (left_ == 0) {
    event.text += rest();
    event.finish = Finish::length;
  }
}

std::string Reply::rest() {
  std::string text = stops_.push(text_.finish());
  return text + stops_.finish();
}

const char* finish_name(Finish finish) {
  switch (finish) {
    case Finish::unfinished:
      return "";
    case Finish::end_of_text:
    case Finish::stop_string:
      return "stop";
    case Finish::length:
      return "length";
    case Finish::cancelled:
      return "cancelled";
  }
  return "";
}

}  // namespace rf
