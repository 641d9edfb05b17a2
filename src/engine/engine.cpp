#include "engine/engine.h"

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "engine/embedder.h"
#include "engine/mask_thread.h"
#include "engine/pace.h"
#include "engine/reply.h"
#include "engine/scheduler.h"
#include "engine/setup.h"
#include "text/textless.h"

namespace rf {
namespace {

// A vocabulary that cannot be used is no obstacle to those who bring tokens: null, with the reason in `why`.
std::unique_ptr<Tokenizer> tokenizer_of(const Gguf& file, std::string& why) {
  try {
    return Tokenizer::from(file);
  } catch (const Error& error) {
    why = error.what();
    return nullptr;
  }
}

class PlanMemory : public CacheMemory {
 public:
  explicit PlanMemory(Plan& plan) : plan_(plan) {}
  std::size_t page_bytes() const override { return plan_.page_bytes(); }
  void read_page(int page, std::byte* out) override { plan_.read_page(page, out); }
  void write_page(int page, const std::byte* in) override { plan_.write_page(page, in); }
  std::size_t state_bytes() const override { return plan_.state_bytes(); }
  void copy_state(int from, int to) override { plan_.copy_state(from, to); }
  void read_state(int slot, std::byte* out) override { plan_.read_state(slot, out); }
  void write_state(int slot, const std::byte* in) override { plan_.write_state(slot, in); }

 private:
  Plan& plan_;
};

// What is held is let go whatever the sink does.
struct Held {
  PagePool& pool;
  Scheduler& scheduler;
  int state = scheduler.take_state();
  std::vector<std::int32_t> pages{};
  ~Held() {
    pool.release(pages);
    scheduler.give_back_state(state);
  }
};

// Of the batch that ran.
struct Result {
  std::span<const float> logits{};    // f32 [wanted, vocab], or
  std::span<const Candidate> best{};  // [wanted, best_candidates]
};

}  // namespace

struct Engine::State {
  // One request, from submit() to its last event.
  struct Active {
    Sequence sequence;
    std::optional<Reply> reply{};  // one of the two
    std::optional<Embedder> embedder{};
    int prompt_tokens = 0;
    int given = 0;  // tokens of the sequence that are not of the prompt
    int prompt_done = 0;
    bool cancelled = false;
  };

  State(const std::string& path, std::vector<std::unique_ptr<Backend>> backends, const EngineOptions& given)
      : started(now_ns()),
        file(Gguf::open(path)),
        spec(read_spec(file)),
        options(resolve(given, spec)),
        program(checked_program(file, spec, options)),
        tokenizer(tokenizer_of(file, tokenizer_error)),
        textless(tokenizer == nullptr ? make_textless(static_cast<std::int32_t>(program.vocab)) : nullptr),
        plan(program, std::move(backends), limits_of(options, program), preference(), options.progress),
        memory(plan),
        store(memory, store_options(options, file, plan)),
        cache({.pages = plan.limits().cache_pages,
               .page_tokens = options.page_tokens,
               .snapshots = program.states.empty() ? 0 : options.state_snapshots,
               .first_snapshot = options.parallel},
              store),
        scheduler(cache, plan.limits().batch),
        pace(options.gap > 0 ? std::optional<Pace>(std::in_place, options.gap, options.batch_rows)
                             : std::nullopt),
        load_seconds(static_cast<double>(now_ns() - started) * 1e-9) {}

  // Goes on without the device that failed: everything is read again.
  void recover(const DeviceError& error) {
    plan.recover(error);
    scheduler.restart();
    cache.forget_all(cache_identity(file, plan, options.context));
  }

  // Copies a page of a finished request to the folder, and more of them where nothing else is to be done.
  bool save(bool idle) {
    if (!cache.unsaved()) return false;
    if (idle) store.folder()->wait_for_room();
    try {
      return cache.save_one();
    } catch (const DeviceError& error) {
      recover(error);
      return true;
    }
  }

  const Tokenizer& usable_tokenizer() const {
    if (tokenizer == nullptr) throw Error(tokenizer_error);
    return *tokenizer;
  }

  // What writes a reply's text: nothing at all where there is no vocabulary, and no text is asked about.
  const Tokenizer& tokenizer_for(const Request& request) const {
    const bool about_text = !request.stop.empty() || request.constraint != nullptr;
    return tokenizer == nullptr && !about_text ? *textless : usable_tokenizer();
  }

  // Queues `active`, whose sequence has its tokens.
  std::uint64_t add(Active request) {
    const std::uint64_t id = request.sequence.id = ++last_id;
    request.prompt_tokens = static_cast<int>(request.sequence.tokens.size()) - request.given;
    scheduler.add(active.try_emplace(id, std::move(request)).first->second.sequence);
    return id;
  }

  std::function<int(const Step&)> preference() const {
    if (!options.prefer) return {};
    return [this](const Step& step) { return options.prefer(program, step); };
  }

  // Throws Error naming what is wrong with `tokens`, which may be at most `most`.
  void check_tokens(const char* field, std::span<const std::int32_t> tokens, int most) const {
    if (tokens.empty()) fail("{}: expected at least one token, found none", field);
    if (tokens.size() > static_cast<std::size_t>(most))
      fail("{}: expected at most {} tokens in a context of {}, found {}", field, most, options.context,
           tokens.size());
    const auto wrong = std::ranges::find_if(tokens, [&](auto id) { return id < 0 || id >= program.vocab; });
    if (wrong != tokens.end())
      fail("{}[{}]: expected a token id under {}, found {}", field, wrong - tokens.begin(), program.vocab,
           *wrong);
  }

  void refuse_if(bool wrong, const char* why) const {
    if (wrong) fail("{}: {}", file.path(), why);
  }

  static Event event_of(const Active& active) {
    return {.request = active.sequence.id,
            .prompt_done = active.prompt_done,
            .prompt_cached = active.sequence.cached};
  }

  void finish(std::map<std::uint64_t, Active>::iterator at) {
    scheduler.remove(at->second.sequence);
    active.erase(at);
  }

  bool give_cancelled(std::vector<Event>& events) {
    const bool any = !cancelled.empty();
    for (const std::uint64_t id : std::exchange(cancelled, {})) {
      const auto at = active.find(id);
      Event event = event_of(at->second);
      if (at->second.reply) event.text = at->second.reply->rest();
      event.finish = Finish::cancelled;
      events.push_back(std::move(event));
      finish(at);
    }
    return any;
  }

  // Masks of constrained replies are made on a thread of their own while the batch runs: a device does not
  // notice, and on the CPU it costs the same as making them after the batch. Most masks are known, though,
  // and copied sooner than a thread is awake, which besides takes the processor from one that computes.
  void run_batch() {
    const Batch& batch = scheduler.batch();
    constrained.clear();
    bool best_will_do = batch.wanted() > 0;
    for (const Scheduler::Piece& piece : scheduler.pieces()) {
      std::optional<Reply>& reply = active.at(piece.sequence->id).reply;
      if (piece.wanted < 0) continue;
      if (reply && reply->constrained()) constrained.push_back(&*reply);
      best_will_do = best_will_do && reply && reply->best_will_do() && !piece.sequence->all_wanted;
    }
    if (best_will_do) scheduler.ask_for_best();
    if (constrained.empty()) return plan.run(batch);
    constexpr std::int64_t waking_ns = 20'000;
    std::int64_t expected_ns = 0;
    for (const Reply* reply : constrained) expected_ns += reply->expected_ns();
    if (expected_ns < waking_ns) {
      for (Reply* reply : constrained) reply->prepare();
      return plan.run(batch);
    }
    if (mask_thread == nullptr) mask_thread = std::make_unique<MaskThread>();
    mask_thread->start(constrained);
    try {
      plan.run(batch);
    } catch (const DeviceError&) {
      mask_thread->finish();
      throw;
    }
    mask_thread->finish();
  }

  // Learns what steps cost, and how many rows of prompts the next one may have for that.
  void learn_pace(std::int64_t step_ns) {
    const auto pieces = scheduler.pieces();
    const auto decoding =
        static_cast<int>(std::ranges::count_if(pieces, [](const auto& p) { return p.decoding; }));
    pace->note(step_ns, decoding, scheduler.batch().rows() - decoding);
    scheduler.set_prompt_rows(pace->prompt_rows());
  }

  // `rows`: hidden states of the batch that ran, f32 [wanted, width].
  static void embed(Active& request, const Scheduler::Piece& piece, std::span<const float> rows,
                    std::size_t width, Event& event) {
    const Sequence& sequence = request.sequence;
    if (piece.wanted >= 0) {
      const int count = sequence.all_wanted ? piece.rows : 1;
      request.embedder->add(sequence.read - count,
                            rows.subspan(static_cast<std::size_t>(piece.wanted + 1 - count) * width,
                                         static_cast<std::size_t>(count) * width));
    }
    if (sequence.unread() > 0) return;
    event.embedding = request.embedder->result();
    event.finish = Finish::end_of_text;
  }

  Result result() {
    const Batch& batch = scheduler.batch();
    if (batch.best_only()) {
      if (const auto best = plan.best(batch.wanted()); !best.empty()) return {.best = best};
    }
    return {.logits = plan.logits(batch.wanted())};
  }

  // `logits`: of the batch that ran, f32 [wanted, vocab]; row r of the piece foretells the token after it.
  static void tell_prompt(const Active& request, const Scheduler::Piece& piece, std::span<const float> logits,
                          std::size_t vocab, Event& event) {
    const Sequence& sequence = request.sequence;
    for (int p = sequence.read - piece.rows; p < std::min(sequence.read, request.prompt_tokens - 1); ++p) {
      const auto row = static_cast<std::size_t>(piece.wanted + 1 - (sequence.read - p));
      event.prompt.push_back(request.reply->logprob_of(
          logits.subspan(row * vocab, vocab), sequence.tokens[static_cast<std::size_t>(p) + 1], p + 1));
    }
  }

  void give(const Scheduler::Piece& piece, const Result& result, std::vector<Event>& events) {
    const auto at = active.find(piece.sequence->id);
    Active& request = at->second;
    Sequence& sequence = request.sequence;
    request.prompt_done = std::max(request.prompt_done, std::min(sequence.read, request.prompt_tokens));
    Event event = event_of(request);
    const auto width =
        static_cast<std::size_t>(program.slots[static_cast<std::size_t>(program.logits)].width);
    if (request.embedder) {
      embed(request, piece, result.logits, width, event);
    } else if (piece.wanted >= 0) {
      if (sequence.all_wanted) tell_prompt(request, piece, result.logits, width, event);
      const auto row = static_cast<std::size_t>(piece.wanted);
      if (sequence.unread() == 0) {
        if (result.best.empty())
          request.reply->next(result.logits.subspan(row * width, width), sequence.tokens, event);
        else
          request.reply->next_of_best(result.best.subspan(row * best_candidates, best_candidates), event);
      }
      if (event.token >= 0) sequence.tokens.push_back(event.token);
    }
    if (event.finish != Finish::unfinished) finish(at);
    events.push_back(std::move(event));
  }

  std::int64_t started;
  Gguf file;
  Spec spec;
  EngineOptions options;
  Program program;                       // its weights view `file`
  std::string tokenizer_error;           // why there is none
  std::unique_ptr<Tokenizer> tokenizer;  // may be null
  std::unique_ptr<Tokenizer> textless;   // where it is
  Plan plan;
  PlanMemory memory;
  PageStore store;
  PrefixCache cache;
  Scheduler scheduler;
  std::map<std::uint64_t, Active> active;   // by id; the scheduler points into it
  std::vector<std::uint64_t> cancelled;     // their last events are due
  std::vector<Reply*> constrained;          // whose next token the batch under way gives
  std::unique_ptr<MaskThread> mask_thread;  // from the first constrained batch on
  std::uint64_t last_id = 0;
  std::optional<Pace> pace;  // none: as fast as can be
  double load_seconds;
};

Engine::Engine(const std::string& path, std::vector<std::unique_ptr<Backend>> backends,
               const EngineOptions& options)
    : state_(std::make_unique<State>(path, std::move(backends), options)) {}

// What finished requests have read is worth a moment.
Engine::~Engine() {
  const std::int64_t until = now_ns() + 1'000'000'000;
  while (now_ns() < until && state_->save(true)) {
  }
}

std::uint64_t Engine::submit(Request request) {
  State& s = *state_;
  s.refuse_if(s.program.embedding.has_value(), "this model embeds text and gives no logits to generate from");
  s.check_tokens("prompt", request.prompt, s.options.context - 1);
  const int prompt_tokens = static_cast<int>(request.prompt.size());
  Reply reply(request, s.tokenizer_for(request), s.options.context - prompt_tokens);
  const bool all = request.prompt_logprobs;
  if (!request.given.empty()) {
    s.check_tokens("given", request.given, s.options.context - prompt_tokens - 1);
    reply.resume(request.given, request.surprise);
    request.prompt.insert(request.prompt.end(), request.given.begin(), request.given.end());
  }
  return s.add({.sequence = {.tokens = std::move(request.prompt),
                             .priority = request.priority,
                             .rank = request.rank,
                             .all_wanted = all},
                .reply = std::move(reply),
                .given = static_cast<int>(request.given.size())});
}

std::uint64_t Engine::submit(EmbeddingRequest request) {
  State& s = *state_;
  s.refuse_if(!s.program.embedding, "this model was loaded to generate text, not to embed it");
  s.check_tokens("tokens", request.tokens, s.options.context);
  const int most = s.options.batch_rows;
  if (!s.program.causal && request.tokens.size() > static_cast<std::size_t>(most))
    fail("tokens: expected at most {}, which one batch can have, found {}: this model reads a text at once",
         most, request.tokens.size());
  Embedder embedder(s.program, request.pooling.value_or(s.program.embedding->pooling), request.normalise);
  const bool all = embedder.wants_all();
  return s.add(
      {.sequence = {.tokens = std::move(request.tokens), .whole = !s.program.causal, .all_wanted = all},
       .embedder = std::move(embedder)});
}

void Engine::cancel(std::uint64_t request) {
  const auto at = state_->active.find(request);
  if (at == state_->active.end() || std::exchange(at->second.cancelled, true)) return;
  state_->cancelled.push_back(request);
}

bool Engine::idle() const {
  return state_->active.empty() && !state_->cache.unsaved();
}

EngineLoad Engine::load() const {
  const State& s = *state_;
  const auto pieces = s.scheduler.pieces();
  const auto decoding = std::ranges::count_if(pieces, [](const auto& p) { return p.decoding; });
  return {.running = s.scheduler.running(),
          .waiting = s.scheduler.waiting(),
          .pages = s.cache.pages().count(),
          .pages_free = s.cache.pages().available(),
          .rows = s.scheduler.batch().rows(),
          .decoding_rows = static_cast<int>(decoding),
          .sent_back = s.scheduler.sent_back(),
          .read_again = s.cache.read_again(),
          .host_bytes = s.store.host_bytes()};
}

bool Engine::step(std::vector<Event>& events) {
  State& s = *state_;
  const bool cancelled = s.give_cancelled(events);
  Result result;
  std::span<const Scheduler::Piece> pieces;
  try {
    if (!s.scheduler.next()) {
      const bool waited = !s.scheduler.idle() && s.cache.wait_for_fetch();
      return s.save(!waited) || waited || cancelled;
    }
    const std::int64_t start = now_ns();
    s.run_batch();
    result = s.result();
    if (s.pace) s.learn_pace(now_ns() - start);
    pieces = s.scheduler.advance();
  } catch (const DeviceError& error) {
    s.recover(error);
    return true;
  }
  for (const Scheduler::Piece& piece : pieces) s.give(piece, result, events);
  s.save(false);
  return true;
}

void Engine::evaluate(const std::vector<std::int32_t>& tokens,
                      const std::function<void(int first, int rows, const float* logits)>& sink) {
  State& s = *state_;
  s.refuse_if(s.program.embedding.has_value(), "this model embeds text and gives no logits");
  s.check_tokens("tokens", tokens, s.options.context);
  const int count = static_cast<int>(tokens.size());
  const auto page_count =
      static_cast<std::size_t>((count + s.options.page_tokens - 1) / s.options.page_tokens);
  Batch batch(s.plan.limits().batch);
  for (int given = 0; given < count;) {
    try {
      s.scheduler.make_room(static_cast<int>(page_count));
      Held own{s.cache.pages(), s.scheduler};
      while (own.pages.size() < page_count) own.pages.push_back(s.cache.pages().take());
      for (int first = 0, end = 0; first < count; first = end) {
        batch.clear();
        batch.add_sequence(own.pages, own.state);
        end = std::min(first + batch.limits().wanted, count);
        for (int p = first; p < end; ++p) batch.add_row(tokens[static_cast<std::size_t>(p)], p, true);
        s.plan.run(batch);
        const float* logits = s.plan.logits(batch.wanted()).data();
        if (end <= given) continue;  // before a device failed
        sink(first, batch.rows(), logits);
        given = end;
      }
    } catch (const DeviceError& error) {
      s.recover(error);
    }
  }
}

const Gguf& Engine::file() const {
  return state_->file;
}
const Spec& Engine::spec() const {
  return state_->spec;
}
const Tokenizer& Engine::tokenizer() const {
  return state_->usable_tokenizer();
}
Pooling Engine::pooling() const {
  return state_->program.embedding->pooling;
}
bool Engine::embeds() const {
  return state_->program.embedding.has_value();
}
Plan& Engine::plan() {
  return state_->plan;
}
int Engine::context() const {
  return state_->options.context;
}
std::uint64_t Engine::most_host_bytes() const {
  return state_->store.most_host_bytes();
}
double Engine::load_seconds() const {
  return state_->load_seconds;
}

}  // namespace rf
