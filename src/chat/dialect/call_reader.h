// CallReader: reads one call, or a list of them, that begins after a call's opening mark.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "chat/dialect.h"
#include "chat/dialect/builder.h"
#include "chat/dialect/json_scanner.h"

namespace rf::dialect {

// Of a call's name in bytes, what is skipped before it included.
inline constexpr std::size_t longest_name = 256;

enum class Read : std::uint8_t {
  more,     // all was read that can be judged yet
  done,     // the calls are over
  none,     // what pending() holds is no call
  content,  // what follows is text for the user
};

class CallReader {
 public:
  CallReader(const CallFormat& format, MessageBuilder& builder, bool bare)
      : format_(format), builder_(builder), bare_(bare) {}
  virtual ~CallReader() = default;
  CallReader(const CallReader&) = delete;
  CallReader& operator=(const CallReader&) = delete;

  // Takes from the front of `text` what it has understood; `last`: no more text comes.
  virtual Read read(std::string_view& text, bool last) = 0;
  const std::string& pending() const { return pending_; }  // what was read and is not yet part of a call

 protected:
  void take(std::string_view& text, std::size_t bytes);
  void skip_space(std::string_view& text);
  // The call has a name, and its arguments begin: false where it cannot be one.
  bool announce(std::string_view name, std::string_view id = {});
  void settle() { announced_ = false; }  // it is over
  bool announced() const { return announced_; }

  const CallFormat& format_;
  MessageBuilder& builder_;
  const bool bare_;  // there was no opening mark: only a tool's name makes it a call

 private:
  std::string pending_;
  bool announced_ = false;
};

// Passes a JSON object on as a call's arguments, as it is but for control characters in strings, which JSON
// wants escaped.
class ArgumentStream {
 public:
  // `close`: also ends at this mark outside of strings. Returns the bytes that were taken.
  std::size_t pass(std::string_view text, std::string_view close, bool last, MessageBuilder& builder);
  bool done() const { return done_; }

 private:
  JsonScanner scanner_;
  bool done_ = false;
};

// Letters, digits and what joins them.
bool is_tool_name(std::string_view text);

// The reader for a call whose first characters are `text`, which is not empty; none where more must be seen.
std::unique_ptr<CallReader> make_reader(const CallFormat& format, MessageBuilder& builder, bool bare,
                                        std::string_view text, bool last);
std::unique_ptr<CallReader> make_json_reader(const CallFormat& format, MessageBuilder& builder, bool bare);
std::unique_ptr<CallReader> make_literal_reader(const CallFormat& format, MessageBuilder& builder, bool bare);
std::unique_ptr<CallReader> make_named_reader(const CallFormat& format, MessageBuilder& builder, bool bare);
std::unique_ptr<CallReader> make_parameter_reader(const CallFormat& format, MessageBuilder& builder);

}  // namespace rf::dialect
