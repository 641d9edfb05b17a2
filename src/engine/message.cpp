#include "engine/message.h"

#include <cstring>
#include <type_traits>
#include <utility>

#include "base/error.h"

namespace rf::message {
namespace {

// Every message is the list of its fields, written once for both directions.
template <class A>
void fields(A& a, ConstraintText& m) {
  a(m.kind, m.texts);
}
template <class A>
void fields(A& a, DryOptions& m) {
  a(m.multiplier, m.base, m.allowed_length, m.last_n);
}
template <class A>
void fields(A& a, SamplerOptions& m) {
  a(m.temperature, m.top_k, m.top_p, m.min_p, m.repetition_penalty, m.penalty_last_n, m.typical_p,
    m.top_n_sigma, m.xtc_probability, m.xtc_threshold, m.dynamic_range, m.dynamic_exponent, m.mirostat,
    m.mirostat_tau, m.mirostat_eta, m.dry, m.dry_breakers, m.order, m.presence_penalty, m.frequency_penalty,
    m.seed, m.logit_bias);
}
template <class A>
void fields(A& a, Request& m) {
  a(m.prompt, m.given, m.surprise, m.sampling, m.stop, m.max_tokens, m.ignore_eos, m.shown_tokens, m.logprobs,
    m.prompt_logprobs, m.priority, m.rank);
}
template <class A>
void fields(A& a, TokenLogprob& m) {
  a(m.token, m.logprob);
}
template <class A>
void fields(A& a, PromptLogprob& m) {
  a(m.position, m.logprob, m.top);
}
template <class A>
void fields(A& a, Event& m) {
  a(m.request, m.token, m.text, m.logprob, m.top, m.surprise, m.stop, m.prompt, m.prompt_done,
    m.prompt_cached, m.finish);
}
template <class A>
void fields(A& a, EngineLoad& m) {
  a(m.running, m.waiting, m.pages, m.pages_free, m.sent_back, m.read_again, m.host_bytes);
}
template <class A>
void fields(A& a, Submit& m) {
  a(m.id, m.request, m.constraint);
}
template <class A>
void fields(A& a, Cancel& m) {
  a(m.id);
}
template <class A>
void fields(A& a, Ping& m) {
  a(m.number);
}
template <class A>
void fields(A& a, Embed& m) {
  a(m.id, m.tokens, m.pooling);
}
template <class A>
void fields(A& a, Loading& m) {
  a(m.done, m.total);
}
template <class A>
void fields(A& a, Ready& m) {
  a(m.version, m.context, m.parallel, m.pages, m.page_tokens, m.load_seconds, m.weight_bytes, m.cache_bytes,
    m.host_bytes);
}
template <class A>
void fields(A& a, Failed& m) {
  a(m.text);
}
template <class A>
void fields(A& a, Accepted& m) {
  a(m.id);
}
template <class A>
void fields(A& a, Rejected& m) {
  a(m.id, m.text);
}
template <class A>
void fields(A& a, Events& m) {
  a(m.ns, m.rows, m.decoding, m.bytes, m.events);
}
template <class A>
void fields(A& a, Pong& m) {
  a(m.number, m.steps, m.idle, m.load);
}
template <class A>
void fields(A& a, Embedding& m) {
  a(m.id, m.values);
}

template <class T>
inline constexpr bool is_plain = std::is_arithmetic_v<T> || std::is_enum_v<T>;

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  template <class... T>
  void operator()(T&... values) {
    (put(values), ...);
  }

 private:
  template <class T>
    requires is_plain<T>
  void put(const T& value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put(std::string& text) {
    put(static_cast<std::uint32_t>(text.size()));
    out_ += text;
  }
  template <class T>
  void put(std::vector<T>& values) {
    put(static_cast<std::uint32_t>(values.size()));
    for (T& value : values) put(value);
  }
  template <class T>
  void put(std::optional<T>& value) {
    put(value.has_value());
    if (value) put(*value);
  }
  template <class A, class B>
  void put(std::pair<A, B>& value) {
    put(value.first);
    put(value.second);
  }
  template <class T>
    requires(std::is_class_v<T>)
  void put(T& value) {
    fields(*this, value);
  }

  std::string& out_;
};

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  template <class... T>
  void operator()(T&... values) {
    (get(values), ...);
  }
  void end() const {
    if (!in_.empty()) fail("engine message: {} bytes are left over", in_.size());
  }

 private:
  std::string_view take(std::size_t bytes) {
    if (bytes > in_.size()) fail("engine message: expected {} bytes more, found {}", bytes, in_.size());
    const std::string_view part = in_.substr(0, bytes);
    in_.remove_prefix(bytes);
    return part;
  }
  template <class T>
    requires std::is_arithmetic_v<T>
  void get(T& value) {
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
  }
  void get(bool& value) {
    std::uint8_t byte = 0;
    get(byte);
    if (byte > 1) fail("engine message: expected 0 or 1, found {}", byte);
    value = byte == 1;
  }
  void get(SamplerStage& value) {
    std::uint8_t byte = 0;
    get(byte);
    if (byte > static_cast<std::uint8_t>(SamplerStage::temperature))
      fail("engine message: there is no stage {}", byte);
    value = static_cast<SamplerStage>(byte);
  }
  void get(Pooling& value) {
    std::uint8_t byte = 0;
    get(byte);
    if (byte > static_cast<std::uint8_t>(Pooling::rank)) fail("engine message: there is no pooling {}", byte);
    value = static_cast<Pooling>(byte);
  }
  void get(Finish& value) {
    std::uint8_t byte = 0;
    get(byte);
    if (byte > static_cast<std::uint8_t>(Finish::cancelled))
      fail("engine message: there is no finish {}", byte);
    value = static_cast<Finish>(byte);
  }
  // Each element takes at least a byte, hence a count beyond what is left is wrong and nothing grows past it.
  std::uint32_t count() {
    std::uint32_t n = 0;
    get(n);
    if (n > in_.size()) fail("engine message: expected {} elements, found {} bytes", n, in_.size());
    return n;
  }
  void get(std::string& text) { text = take(count()); }
  template <class T>
  void get(std::vector<T>& values) {
    const std::uint32_t n = count();
    values.clear();
    for (std::uint32_t i = 0; i < n; ++i) get(values.emplace_back());
  }
  template <class T>
  void get(std::optional<T>& value) {
    bool there = false;
    get(there);
    value.reset();
    if (there) get(value.emplace());
  }
  template <class A, class B>
  void get(std::pair<A, B>& value) {
    get(value.first);
    get(value.second);
  }
  template <class T>
    requires(std::is_class_v<T>)
  void get(T& value) {
    fields(*this, value);
  }

  std::string_view in_;
};

template <class M>
struct KindOf;
#define RF_MESSAGE_KIND(type, name)          \
  template <>                                \
  struct KindOf<type> {                      \
    static constexpr Kind kind = Kind::name; \
  };
RF_MESSAGE_KIND(Submit, submit)
RF_MESSAGE_KIND(Cancel, cancel)
RF_MESSAGE_KIND(Ping, ping)
RF_MESSAGE_KIND(Embed, embed)
RF_MESSAGE_KIND(Loading, loading)
RF_MESSAGE_KIND(Ready, ready)
RF_MESSAGE_KIND(Failed, failed)
RF_MESSAGE_KIND(Accepted, accepted)
RF_MESSAGE_KIND(Rejected, rejected)
RF_MESSAGE_KIND(Events, events)
RF_MESSAGE_KIND(Pong, pong)
RF_MESSAGE_KIND(Embedding, embedding)
#undef RF_MESSAGE_KIND

}  // namespace

template <class Message>
std::string encode(const Message& message) {
  std::string out(header_bytes, '\0');
  Message copy = message;
  Writer writer(out);
  fields(writer, copy);
  if (out.size() > most_bytes)
    fail("engine message: expected at most {} bytes, found {}", most_bytes, out.size());
  const auto length = static_cast<std::uint32_t>(out.size() - header_bytes);
  std::memcpy(out.data(), &length, sizeof length);
  out[4] = static_cast<char>(KindOf<Message>::kind);
  return out;
}

template <class Message>
Message decode(std::string_view payload) {
  Message message;
  Reader reader(payload);
  fields(reader, message);
  reader.end();
  return message;
}

Header decode_header(std::string_view bytes) {
  std::uint32_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > most_bytes) fail("engine message: expected at most {} bytes, found {}", most_bytes, length);
  return {length, static_cast<Kind>(bytes[4])};
}

#define RF_MESSAGE(type)                    \
  template std::string encode(const type&); \
  template type decode<type>(std::string_view);
RF_MESSAGE(Submit)
RF_MESSAGE(Cancel)
RF_MESSAGE(Ping)
RF_MESSAGE(Embed)
RF_MESSAGE(Loading)
RF_MESSAGE(Ready)
RF_MESSAGE(Failed)
RF_MESSAGE(Accepted)
RF_MESSAGE(Rejected)
RF_MESSAGE(Events)
RF_MESSAGE(Pong)
RF_MESSAGE(Embedding)
#undef RF_MESSAGE

}  // namespace rf::message
