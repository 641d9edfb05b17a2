// Dialect: how a family of models writes reasoning and tool calls into its text.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace rf {

struct ReasoningFormat {
  std::string_view open = {}, close = {};
  std::string_view frames[2] =
      {};  // marks around the answer that are not part of it; "" where there are less
};

// A call is `open`, then what `body` says, then `close`; calls may stand in a section. Marks that are "" do
// not exist. White space around marks means nothing.
struct CallFormat {
  enum class Body : std::uint8_t {
    no_calls,
    json,            // an object {"name": ..., "arguments": {...}}, or a list of them, by all keys in use
    json_or_python,  // that, or name(key=value, ...), or a list of such
    braces,          // name{key:value,...} with texts between `quote`s
    named_json,      // a name up to `name_end`, then an object
    parameters,      // a name, then parameters between marks
    channels,        // messages with headers, as in OpenAI's Harmony format
  };

  std::string_view name = {};  // of the dialect, for people
  Body body = Body::no_calls;
  std::string_view section_open = {}, section_close = {};
  std::string_view open = {}, close = {};
  bool bare = false;  // a call may also stand without `open`, where the text begins with it

  std::string_view name_begin = {};   // between `open` and the name; what stands before it is skipped
  std::string_view skipped_end = {};  // what is skipped is a word and this
  std::string_view name_end =
      {};  // between the name and what follows; "": at the first parameter or at `close`
  std::string_view id_open = {};  // between the name and an id, where there is one; it ends at arguments_open
  std::string_view name_prefix = {};   // is not part of the name
  bool name_is_id = false;             // the name as written, a number after ":" included, is the call's id
  std::string_view content_name = {};  // the "name" of a call that is none but content

  std::string_view arguments_open = {};  // before the object of named_json
  std::string_view parameter_open = {}, key_end = {}, value_open = {}, value_close = {};  // of `parameters`
  std::string_view typed_end = {};  // key_end is followed by "true" (a text) or "false" (JSON), and this
  std::string_view quote = {};      // of `braces`

  // How it is written by a model that must call: of no matter for reading.
  bool python = false;       // json_or_python: as Python
  bool list = false;         // objects, or calls in Python, stand in a list
  bool lines = false;        // calls stand on lines of their own between one `open` and one `close`
  bool fenced = false;       // JSON stands in a fence of Markdown
  bool own_section = false;  // every call has a section of its own
  std::string_view name_key = "name", arguments_key = "arguments";
};

struct Dialect {
  const CallFormat* calls;           // never null
  const ReasoningFormat* reasoning;  // null: none

  // What a template's source shows; where it shows nothing, what the special tokens of the vocabulary suggest
  // (has_token says whether a text is one).
  static Dialect of(std::string_view template_source,
                    const std::function<bool(std::string_view token)>& has_token);

  std::string_view name() const { return calls->name; }
  // Whether the text of this special token is part of a mark, and so of what a MessageParser has to see.
  bool shows(std::string_view special_token) const;
};

// The special tokens of a vocabulary whose texts a reply must show for its dialect.
std::vector<std::int32_t> shown_tokens(const Dialect& dialect, const Tokenizer& tokenizer);

std::vector<const CallFormat*> call_formats();  // all that are known

}  // namespace rf
