#include "engine/engine.h"

#include <algorithm>
#include <limits>
#include <map>
#include <span>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "engine/embedder.h"
#include "engine/mask_thread.h"
#include "engine/page_pool.h"
#include "engine/reply.h"
#include "engine/scheduler.h"
#include "text/textless.h"

namespace rf {
namespace {

constexpr int default_context = 8192;  // where the model could do more and nobody asked

void check_at_least(const char* field, int value, int least) {
  if (value < least) fail("{}: expected at least {}, found {}", field, least, value);
}

// The options with every 0 resolved.
EngineOptions resolve(EngineOptions options, const Spec& spec) {
  check_at_least("context", options.context, 0);
  check_at_least("parallel", options.parallel, 1);
  check_at_least("page_tokens", options.page_tokens, 1);
  check_at_least("cache_tokens", options.cache_tokens, 0);
  check_at_least("state_snapshots", options.state_snapshots, -1);
  check_at_least("batch_rows", options.batch_rows, 0);
  check_at_least("wanted_rows", options.wanted_rows, 0);
  if (options.gap != 0 && !(options.gap > 1)) fail("gap: expected above 1, or 0, found {}", options.gap);
  if (options.context == 0) options.context = std::min(spec.context, default_context);
  if (options.context > spec.context)
    spdlog::warn("context: {} positions, but the model was trained on {}", options.context, spec.context);
  check_at_least("context", options.context, 2);
  if (options.cache_tokens != 0) check_at_least("cache_tokens", options.cache_tokens, options.context);
  if (options.batch_rows == 0) options.batch_rows = spec.causal ? default_batch_rows : options.context;
  options.embed = options.embed || spec.pooling || !spec.causal;
  if (options.embed) options.wanted_rows = options.batch_rows;  // any pooling may be asked for
  if (options.wanted_rows == 0) options.wanted_rows = options.parallel;
  if (options.state_snapshots < 0) options.state_snapshots = default_state_snapshots(options.parallel);
  options.wanted_rows = std::min(options.wanted_rows, options.batch_rows);
  return options;
}

RunLimits limits_of(const EngineOptions& options, const Program& program) {
  const auto pages_for = [&](std::int64_t tokens) {
    return (tokens + options.page_tokens - 1) / options.page_tokens;
  };
  const std::int64_t pages = pages_for(options.context);
  const std::int64_t all =
      options.cache_tokens != 0 ? pages_for(options.cache_tokens) : options.parallel * pages;
  if (all * options.page_tokens > std::numeric_limits<int>::max())
    fail("parallel: {} sequences of {} positions are more than a cache can have", options.parallel,
         options.context);
  return {.batch = {.rows = options.batch_rows,
                    .wanted = options.wanted_rows,
                    .sequences = options.parallel,
                    .pages = static_cast<int>(pages)},
          .kv = options.kv,
          .page_tokens = options.page_tokens,
          .cache_pages = static_cast<int>(all),
          .state_slots = program.states.empty() ? 0 : options.parallel + options.state_snapshots};
}

// Programs are checked before anything is allocated for them.
Program checked_program(const Gguf& file, const Spec& spec, const EngineOptions& options) {
  Program program = record(file, spec, options.context, options.embed);
  check(program);
  return program;
}

// A vocabulary that cannot be used is no obstacle to those who bring tokens: null, with the reason in `why`.
std::unique_ptr<Tokenizer> tokenizer_of(const Gguf& file, std::string& why) {
  try {
    return Tokenizer::from(file);
  } catch (const Error& error) {
    why = error.what();
    return nullptr;
  }
}

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
        pages(plan.limits().cache_pages, options.page_tokens,
              program.states.empty() ? 0 : options.state_snapshots),
        scheduler(pages, plan.limits().batch, copy_state()),
        load_seconds(static_cast<double>(now_ns() - started) * 1e-9) {}

  std::function<void(int, int)> copy_state() {
    if (program.states.empty()) return {};
    return [this](int from, int to) { plan.copy_state(from, to); };
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
  // notice, and on the CPU it costs the same as making them after the batch.
  void run_batch() {
    const Batch& batch = scheduler.batch();
    constrained.clear();
    for (const Scheduler::Piece& piece : scheduler.pieces()) {
      std::optional<Reply>& reply = active.at(piece.sequence->id).reply;
      if (piece.wanted >= 0 && reply && reply->constrained()) constrained.push_back(&*reply);
    }
    if (constrained.empty()) return plan.run(batch);
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
  void pace(std::int64_t step_ns) {
    const auto pieces = scheduler.pieces();
    const auto decoding =
        static_cast<int>(std::ranges::count_if(pieces, [](const auto& p) { return p.decoding; }));
    const int prompts = scheduler.batch().rows() - decoding;
    const auto learn = [](double& known, double seen) {
      known = known == 0 ? seen : 0.8 * known + 0.2 * seen;
    };
    const auto ns = static_cast<double>(step_ns);
    if (prompts == 0)
      learn(decode_ns, ns);
    else if (decode_ns > 0 && ns > decode_ns)
      learn(prompt_row_ns, (ns - (decoding > 0 ? decode_ns : 0)) / prompts);
    constexpr int least = 4, untried = 16;  // rows
    int most = untried;
    if (decode_ns > 0 && prompt_row_ns > 0)
      most = static_cast<int>((options.gap - 1) * decode_ns / prompt_row_ns);
    scheduler.set_prompt_rows(std::clamp(most, least, options.batch_rows));
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

  // `logits`: of the batch that ran, f32 [wanted, vocab].
  void give(const Scheduler::Piece& piece, std::span<const float> logits, std::vector<Event>& events) {
    const auto at = active.find(piece.sequence->id);
    Active& request = at->second;
    Sequence& sequence = request.sequence;
    request.prompt_done = std::max(request.prompt_done, std::min(sequence.read, request.prompt_tokens));
    Event event = event_of(request);
    const auto width =
        static_cast<std::size_t>(program.slots[static_cast<std::size_t>(program.logits)].width);
    if (request.embedder) {
      embed(request, piece, logits, width, event);
    } else if (piece.wanted >= 0) {
      request.reply->next(logits.subspan(static_cast<std::size_t>(piece.wanted) * width, width),
                          sequence.tokens, event);
      sequence.tokens.push_back(event.token);
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
  PagePool pages;
  Scheduler scheduler;
  std::map<std::uint64_t, Active> active;   // by id; the scheduler points into it
  std::vector<std::uint64_t> cancelled;     // their last events are due
  std::vector<Reply*> constrained;          // whose next token the batch under way gives
  std::unique_ptr<MaskThread> mask_thread;  // from the first constrained batch on
  std::uint64_t last_id = 0;
  double decode_ns = 0, prompt_row_ns = 0;  // of a step, and of a row of a prompt beside it; 0: not known
  double load_seconds;
};

Engine::Engine(const std::string& path, std::vector<std::unique_ptr<Backend>> backends,
               const EngineOptions& options)
    : state_(std::make_unique<State>(path, std::move(backends), options)) {}

Engine::~Engine() = default;

std::uint64_t Engine::submit(Request request) {
  State& s = *state_;
  s.refuse_if(s.program.embedding.has_value(), "this model embeds text and gives no logits to generate from");
  s.check_tokens("prompt", request.prompt, s.options.context - 1);
  const int prompt_tokens = static_cast<int>(request.prompt.size());
  Reply reply(request, s.tokenizer_for(request), s.options.context - prompt_tokens);
  if (!request.given.empty()) {
    s.check_tokens("given", request.given, s.options.context - prompt_tokens - 1);
    reply.resume(request.given, request.surprise);
    request.prompt.insert(request.prompt.end(), request.given.begin(), request.given.end());
  }
  return s.add(
      {.sequence = {.tokens = std::move(request.prompt), .priority = request.priority, .rank = request.rank},
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
  return state_->active.empty();
}

EngineLoad Engine::load() const {
  const State& s = *state_;
  const auto pieces = s.scheduler.pieces();
  const auto decoding = std::ranges::count_if(pieces, [](const auto& p) { return p.decoding; });
  return {.running = s.scheduler.running(),
          .waiting = s.scheduler.waiting(),
          .pages = s.pages.count(),
          .pages_free = s.pages.available(),
          .rows = s.scheduler.batch().rows(),
          .decoding_rows = static_cast<int>(decoding)};
}

bool Engine::step(std::vector<Event>& events) {
  State& s = *state_;
  const bool cancelled = s.give_cancelled(events);
  if (!s.scheduler.next()) return cancelled;
  const std::int64_t start = now_ns();
  std::span<const float> logits;
  try {
    s.run_batch();
    logits = s.plan.logits(s.scheduler.batch().wanted());
  } catch (const DeviceError& error) {
    s.plan.recover(error);
    s.scheduler.restart();
    return true;
  }
  if (s.options.gap > 0) s.pace(now_ns() - start);
  for (const Scheduler::Piece& piece : s.scheduler.advance()) s.give(piece, logits, events);
  return true;
}

void Engine::evaluate(const std::vector<std::int32_t>& tokens,
                      const std::function<void(int first, int rows, const float* logits)>& sink) {
  State& s = *state_;
  s.refuse_if(s.program.embedding.has_value(), "this model embeds text and gives no logits");
  s.check_tokens("tokens", tokens, s.options.context);
  const int count = static_cast<int>(tokens.size());
  const int page_count = (count + s.options.page_tokens - 1) / s.options.page_tokens;
  s.scheduler.make_room(page_count);
  Held own{s.pages, s.scheduler};
  while (static_cast<int>(own.pages.size()) < page_count) own.pages.push_back(s.pages.take());
  Batch batch(s.plan.limits().batch);
  for (int first = 0, given = 0; first < count;) {
    batch.clear();
    batch.add_sequence(own.pages, own.state);
    const int end = std::min(first + batch.limits().wanted, count);
    for (int p = first; p < end; ++p) batch.add_row(tokens[static_cast<std::size_t>(p)], p, true);
    const float* logits = nullptr;
    try {
      s.plan.run(batch);
      logits = s.plan.logits(batch.wanted()).data();
    } catch (const DeviceError& error) {
      s.plan.recover(error);
      s.scheduler.restart();
      first = 0;
      continue;
    }
    if (first >= given) sink(first, batch.rows(), logits);
    first = end;
    given = std::max(given, first);
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
double Engine::load_seconds() const {
  return state_->load_seconds;
}

}  // namespace rf
