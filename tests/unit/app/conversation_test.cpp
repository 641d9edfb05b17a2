#include "app/conversation.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "gguf/gguf.h"
#include "golden.h"

namespace rf {
namespace {

using Ids = std::vector<std::int32_t>;

// Over a real vocabulary whose turns end in special tokens.
class ConversationTest : public testing::Test {
 protected:
  Ids encode(const std::string& text) const { return tokenizer_->encode(text, {.add_special = false}); }
  static bool begins_with(const Ids& whole, const Ids& part) {
    return whole.size() >= part.size() && std::equal(part.begin(), part.end(), whole.begin());
  }

  const Gguf file_ = Gguf::open(test::golden("tokenizer/ggml-vocab-phi-3.gguf"));
  const std::unique_ptr<Tokenizer> tokenizer_ = Tokenizer::from(file_);
  Conversation conversation_{file_, *tokenizer_};
};

TEST_F(ConversationTest, PromptHoldsTheMessageAndOneBos) {
  const Ids prompt = conversation_.ask("Hello there");
  EXPECT_NE(tokenizer_->decode(prompt).find("Hello there"), std::string::npos);
  EXPECT_EQ(std::count(prompt.begin(), prompt.end(), tokenizer_->bos()), tokenizer_->add_bos() ? 1 : 0);
}

// "Hi!" in other pieces than the tokenizer would choose, with or without the token that ends a turn.
TEST_F(ConversationTest, NextPromptKeepsTheGeneratedIds) {
  for (const bool ended : {true, false}) {
    Ids answer;
    for (const char* letter : {"H", "i", "!"}) answer.push_back(tokenizer_->find(letter));
    ASSERT_EQ(std::count(answer.begin(), answer.end(), -1), 0);
    ASSERT_NE(encode("Hi!"), answer);
    if (ended) answer.push_back(tokenizer_->find("<|end|>"));
    Conversation conversation(file_, *tokenizer_);
    Ids kept = conversation.ask("Hello");
    conversation.answered({.content = "Hi!", .reasoning = "", .tool_calls = {}}, answer);
    kept.insert(kept.end(), answer.begin(), answer.end());
    const Ids next = conversation.ask("And now?");
    EXPECT_TRUE(begins_with(next, kept)) << tokenizer_->decode(next);

    Conversation anew(file_, *tokenizer_);
    anew.set_messages(conversation.messages());
    anew.take_back();
    const Ids whole = anew.ask("And now?");
    const auto rest_of = [&](const Ids& ids) {  // what follows the end of a turn
      return Ids(std::find(ids.begin(), ids.end(), tokenizer_->find("<|end|>")) + 1, ids.end());
    };
    EXPECT_EQ(rest_of(rest_of(next)), rest_of(rest_of(whole)));
  }
}

TEST_F(ConversationTest, AnAnswerTheTemplateChangesIsEncodedAnew) {
  conversation_.ask("Hello");
  conversation_.answered({.content = "another text than its ids", .reasoning = "", .tool_calls = {}},
                         encode("Something else"));
  const std::string text = tokenizer_->decode(conversation_.ask("And now?"));
  EXPECT_EQ(text.find("Something else"), std::string::npos);
  EXPECT_NE(text.find("another text than its ids"), std::string::npos);
}

TEST_F(ConversationTest, SystemMessageStaysThroughReset) {
  conversation_.set_system("Be brief.");
  conversation_.set_system("Be kind.");
  conversation_.ask("Hello");
  conversation_.answered({.content = "Hi", .reasoning = "", .tool_calls = {}}, encode("Hi"));
  ASSERT_EQ(conversation_.messages().size(), 3u);
  conversation_.reset();
  ASSERT_EQ(conversation_.messages().size(), 1u);
  EXPECT_EQ(conversation_.messages()[0]["content"], "Be kind.");
  conversation_.set_system("");
  EXPECT_TRUE(conversation_.messages().empty());
}

TEST_F(ConversationTest, TakingBackForgetsTheQuestion) {
  conversation_.ask("Hello");
  conversation_.take_back();
  EXPECT_TRUE(conversation_.messages().empty());
  EXPECT_EQ(tokenizer_->decode(conversation_.ask("Other")).find("Hello"), std::string::npos);
}

TEST_F(ConversationTest, LoadedMessagesAreChecked) {
  using Json = nlohmann::ordered_json;
  for (const char* text : {"{}", "[1]", R"([{"role": "user"}])", R"([{"role": 1, "content": "x"}])"})
    EXPECT_THROW(conversation_.set_messages(Json::parse(text)), Error) << text;
  conversation_.set_messages(
      Json::parse(R"([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}])"));
  EXPECT_NE(tokenizer_->decode(conversation_.ask("More")).find("Yes"), std::string::npos);
}

}  // namespace
}  // namespace rf
