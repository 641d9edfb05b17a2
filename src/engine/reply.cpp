#include "engine/reply.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/clock.h"
#include "base/error.h"

namespace rf {
namespace {

constexpr int most_logprobs = 1 << 20;

// The log-probabilities of `token` and of the `count` best, lowest ids first among equals.
void tell_logprobs(std::span<const float> logits, std::int32_t token, int count, TokenLogprob& logprob,
                   std::vector<TokenLogprob>& top) {
  double highest = -std::numeric_limits<double>::infinity(), sum = 0.0;
  for (const float logit : logits)
    if (!std::isnan(logit)) highest = std::max(highest, static_cast<double>(logit));
  for (const float logit : logits)
    if (!std::isnan(logit)) sum += std::exp(static_cast<double>(logit) - highest);
  const double total = highest + std::log(sum);
  const auto of = [&](std::int32_t id) {
    const double value = static_cast<double>(logits[static_cast<std::size_t>(id)]) - total;
    return static_cast<float>(std::isnan(value) ? -std::numeric_limits<double>::infinity() : value);
  };
  logprob = {token, of(token)};
  if (count == 0) return;
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto best = std::min(static_cast<std::ptrdiff_t>(count), std::ssize(order));
  std::partial_sort(order.begin(), order.begin() + best, order.end(), [&](std::int32_t a, std::int32_t b) {
    const float x = of(a), y = of(b);
    return x != y ? x > y : a < b;
  });
  for (std::ptrdiff_t i = 0; i < best; ++i) {
    const std::int32_t id = order[static_cast<std::size_t>(i)];
    top.push_back({id, of(id)});
  }
}

// With what the vocabulary keeps out of every answer.
SamplerOptions sampling_of(const Request& request, const Tokenizer& tokenizer) {
  SamplerOptions options = request.sampling;
  for (const std::int32_t token : tokenizer.suppressed())
    options.logit_bias.emplace_back(token, -std::numeric_limits<float>::infinity());
  return options;
}

int limit_of(const Request& request, int most) {
  const int least = request.prompt_logprobs ? 0 : 1;
  if (request.max_tokens < least && request.max_tokens != -1)
    fail("max_tokens: expected at least {}, or -1 for no limit, found {}", least, request.max_tokens);
  return request.max_tokens == -1 ? most : std::min(request.max_tokens, most);
}

}  // namespace

Reply::Reply(const Request& request, const Tokenizer& tokenizer, int most)
    : tokenizer_(tokenizer),
      sampler_(sampling_of(request, tokenizer), tokenizer.vocab_size()),
      stops_(request.stop),
      text_(tokenizer, false, true, request.shown_tokens),
      constraint_(request.constraint),
      ignore_eos_(request.ignore_eos),
      logprobs_(request.logprobs),
      left_(limit_of(request, most)) {
  if (request.logprobs < -1 || request.logprobs > most_logprobs)
    fail("logprobs: expected -1 to {}, found {}", most_logprobs, request.logprobs);
  if (request.prompt_logprobs && request.logprobs < 0)
    fail("logprobs: expected at least 0 where those of the prompt are asked for, found {}", request.logprobs);
  if (request.sampling.dry.multiplier > 0.0f)
    sampler_.set_breaks([&tokenizer, breakers = request.sampling.dry_breakers](std::int32_t token) {
      const std::string piece = tokenizer.piece(token);
      return std::ranges::any_of(
          breakers, [&](const std::string& each) { return piece.find(each) != std::string::npos; });
    });
  if (constraint_ == nullptr) return;
  matcher_ = constraint_->start();
  allowed_.resize((static_cast<std::size_t>(tokenizer.vocab_size()) + 63) / 64);
}

void Reply::resume(std::span<const std::int32_t> given, float surprise) {
  for (const std::int32_t token : given) {
    if (--left_ < 1) fail("given: the answer was over before its last token");
    if (constrained() && !matcher_->accept(token))
      fail("given: the constraint does not allow token {}", token);
    stops_.push(text_.push(token));
    if (stops_.stopped()) fail("given: the answer was over before its last token");
  }
  sampler_.resume(given.size(), surprise);
}

void Reply::prepare() {
  const std::int64_t begin = now_ns();
  matcher_->mask(allowed_);
  expected_ns_ = std::max(now_ns() - begin, expected_ns_ / 2);
}

void Reply::next(std::span<const float> logits, std::span<const std::int32_t> history, Event& event) {
  if (left_ == 0) {
    event.finish = Finish::length;
    return;
  }
  event.token = sampler_.sample(logits, history, allowed_);
  event.surprise = sampler_.surprise();
  if (logprobs_ >= 0) tell_logprobs(logits, event.token, logprobs_, event.logprob, event.top);
  tell(event);
}

void Reply::next_of_best(std::span<const Candidate> best, Event& event) {
  if (left_ == 0) {
    event.finish = Finish::length;
    return;
  }
  event.token = sampler_.sample_best(best);
  event.surprise = sampler_.surprise();
  tell(event);
}

void Reply::tell(Event& event) {
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
    event.stop = stops_.matched();
  } else if (constrained() && matcher_->ended()) {
    event.text += rest();
    event.finish = Finish::end_of_text;
  } else if (left_ == 0) {
    event.text += rest();
    event.finish = Finish::length;
  }
}

PromptLogprob Reply::logprob_of(std::span<const float> logits, std::int32_t token, int position) const {
  PromptLogprob value{.position = position};
  tell_logprobs(logits, token, logprobs_, value.logprob, value.top);
  return value;
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
