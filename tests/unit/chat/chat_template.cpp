#include "chat/chat_template.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "chat/template_needs.h"

namespace rf {
namespace {

using Json = nlohmann::ordered_json;

const Json talk = Json::parse(R"([{"role": "system", "content": "S"}, {"role": "user", "content": "U1"},
                                  {"role": "assistant", "content": "A1"}, {"role": "user", "content": "U2"}])");

std::string prompt(const std::string& source, const ChatTemplateInput& input) {
  return ChatTemplate(source).render(input);
}

std::string error(const std::string& source, const ChatTemplateInput& input) {
  try {
    prompt(source, input);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(ChatTemplate, GivesTheVariablesOfTransformers) {
  const ChatTemplateInput input{
      .messages = talk, .tools = {}, .variables = {{"x", 1}}, .bos = "<s>", .eos = "</s>", .now = {}};
  EXPECT_EQ(prompt("{{ bos_token }}{{ eos_token }}{{ messages|length }}{{ tools }}{{ documents }}{{ x }}"
                   "{{ add_generation_prompt }}",
                   input),
            "<s></s>4NoneNone1True");
}

TEST(ChatTemplate, VariablesWin) {
  const ChatTemplateInput input{
      .messages = talk, .tools = {}, .variables = {{"bos_token", "B"}}, .bos = "<s>", .eos = "", .now = {}};
  EXPECT_EQ(prompt("{{ bos_token }}", input), "B");
}

TEST(ChatTemplate, ATemplateThatFailsOnNoneSeesToolsUndefined) {
  const ChatTemplateInput input{
      .messages = talk, .tools = {}, .variables = {}, .bos = "", .eos = "", .now = {}};
  EXPECT_EQ(prompt("{% for t in tools %}t{% endfor %}{{ tools is defined }}", input), "False");
  EXPECT_EQ(prompt("{{ tools is none }}", input), "True");
}

TEST(ChatTemplate, ARefusalIsNotTriedAgain) {
  const ChatTemplateInput input{
      .messages = talk, .tools = {}, .variables = {}, .bos = "", .eos = "", .now = {}};
  EXPECT_EQ(error("{% if tools is none %}{{ raise_exception('no tools') }}{% endif %}", input),
            "chat template, line 1: no tools");
}

TEST(ChatTemplate, ShowsTheGivenTime) {
  ChatTemplateInput input{
      .messages = talk, .tools = {}, .variables = {}, .bos = "", .eos = "", .now = "2026-01-05T08:07:09"};
  EXPECT_EQ(prompt("{{ strftime_now('%A %d %B %Y %H:%M:%S day %j') }}", input),
            "Monday 05 January 2026 08:07:09 day 005");
  input.now = "2024-02-29";
  EXPECT_EQ(prompt("{{ strftime_now('%Y-%m-%d %H') }}", input), "2024-02-29 00");
  input.now = "tomorrow";
  EXPECT_NE(error("", input), "");
}

std::string default_prompt(const std::set<std::string, std::less<>>& tokens) {
  const ChatTemplateInput input{
      .messages = talk, .tools = {}, .variables = {}, .bos = "<s>", .eos = "</s>", .now = {}};
  return prompt(default_chat_template([&](std::string_view t) { return tokens.contains(t); }), input);
}

TEST(TemplateNeeds, OlderMistralTemplatesGetIdsOfNineCharacters) {
  const std::string source =
      "{% for m in messages %}{% for c in m.tool_calls %}{% if c.id|length != 9 %}{{ raise_exception('nine') "
      "}}{% endif %}"
      "{{ c.id }}{{ c.function.arguments|tojson }}{% endfor %}{% if m.role == 'tool' %}|{{ m.tool_call_id "
      "}}{% endif %}"
      "{% endfor %}";
  const auto ids = [&](const char* id) {
    const ChatTemplate chat(source);
    const Json call = {{"id", id}, {"type", "function"}, {"function", {{"name", "f"}, {"arguments", "{}"}}}};
    const Json messages = {{{"role", "assistant"}, {"content", nullptr}, {"tool_calls", Json::array({call})}},
                           {{"role", "tool"}, {"tool_call_id", id}, {"content", "r"}}};
    return prompt(source, {.messages = adapted(messages, TemplateNeeds::of(chat, source)),
                           .tools = {},
                           .variables = {},
                           .bos = "",
                           .eos = "",
                           .now = {}});
  };
  EXPECT_EQ(ids("abcdef123"), "abcdef123{}|abcdef123");
  const std::string mapped = ids("call_00_x9f8e7d6c5b4a");
  ASSERT_EQ(mapped.size(), 9u + 2 + 1 + 9) << mapped;
  EXPECT_EQ(mapped.substr(0, 9), mapped.substr(12));
  EXPECT_NE(mapped.substr(0, 9), ids("call_01_x9f8e7d6c5b4a").substr(0, 9));
}

TEST(DefaultTemplate, IsTheFamilysFormat) {
  const std::string chatml =
      "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n"
      "<|im_start|>user\nU2<|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(default_prompt({"<|im_start|>"}), chatml);
  EXPECT_EQ(default_prompt({}), chatml);
  EXPECT_EQ(default_prompt({"<|start_header_id|>", "<|eot_id|>"}),
            "<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_"
            "id|>\n\n"
            "U1<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA1<|eot_id|><|start_header_id|>user"
            "<|end_header_id|>\n\nU2<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n");
  EXPECT_EQ(default_prompt({"<start_of_turn>"}),
            "<s><start_of_turn>user\nS\n\nU1<end_of_turn>\n<start_of_turn>model\nA1<end_of_turn>\n"
            "<start_of_turn>user\nU2<end_of_turn>\n<start_of_turn>model\n");
  EXPECT_EQ(default_prompt({"[INST]"}),
            "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nU1 [/INST] A1 </s><s>[INST] U2 [/INST]");
  EXPECT_EQ(default_prompt({"<|end|>", "<|user|>", "<|assistant|>"}),
            "<s><|system|>\nS<|end|>\n<|user|>\nU1<|end|>\n<|assistant|>\nA1<|end|>\n<|user|>\nU2<|end|>\n<|"
            "assistant|>\n");
}

}  // namespace
}  // namespace rf
