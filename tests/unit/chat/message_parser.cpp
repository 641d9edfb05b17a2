// Generated texts of every dialect, cut at every place: always the same message.
#include "chat/message_parser.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "cuts.h"
#include "golden.h"

namespace rf {
namespace {

using Json = nlohmann::ordered_json;

const Json tools = Json::parse(R"([
  {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {
    "city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}}}},
  {"type": "function", "function": {"name": "search_db", "parameters": {"type": "object", "properties": {
    "query": {"type": "string"}, "limit": {"type": "integer"}, "filters": {"type": "array"},
    "exact": {"type": "boolean"}, "label": {"type": ["string", "null"]}}}}},
  {"type": "function", "function": {"name": "ping", "parameters": {"type": "object", "properties": {}}}}])");

Dialect dialect_of(std::string_view source) {
  return Dialect::of(source, [](std::string_view) { return false; });
}

Message parse(const Dialect& dialect, const std::vector<std::string_view>& pieces, std::string_view prompt,
              const Json& offered = tools) {
  return test::parsed(dialect, pieces, prompt, offered);
}

// "name arguments; name arguments", arguments as compact JSON where they are JSON.
std::string calls_of(const Message& message) {
  std::string out;
  for (const ToolCall& call : message.tool_calls) {
    const Json arguments = Json::parse(call.arguments, nullptr, false);
    out += (out.empty() ? "" : "; ") + call.name + " " +
           (arguments.is_discarded() ? call.arguments : arguments.dump());
  }
  return out;
}

struct Case {
  const char* source;  // a recorded template's name, or marks
  const char* prompt;  // its end
  const char* text;
  const char *content, *reasoning, *calls;
};

constexpr const char* paris = R"(get_weather {"city":"Paris"})";
constexpr const char* paris_rome =
    R"(get_weather {"city":"Paris"}; get_weather {"city":"Rome","unit":"fahrenheit"})";
constexpr const char* search =
    R"(search_db {"query":"a<b & c>'d'","limit":10,"filters":[{"value":1e-07}],"exact":true})";

const Case cases[] = {
    // JSON in tags.
    {"Qwen-Qwen3-0.6B", "<|im_start|>assistant\n",
     "<think>\nI should call.\n</think>\n\nLet me see.\n<tool_call>\n{\"name\": \"get_weather\", "
     "\"arguments\": "
     "{\"city\": \"Paris\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": "
     "{\"city\": \"Rome\", \"unit\": \"fahrenheit\"}}\n</tool_call>",
     "Let me see.", "I should call.", paris_rome},
    {"Qwen-Qwen2.5-7B-Instruct", "<|im_start|>assistant\n",
     "<tool_call>\n{\"arguments\": {\"city\": \"Paris\"}, \"name\": \"get_weather\"}}\n</tool_call>\n", "",
     "", paris},
    {"Qwen-Qwen2.5-7B-Instruct", "",
     "<tool_call>{\"name\": \"get_weather\", \"arguments\": \"{\\\"city\\\": "
     "\\\"Paris\\\"}\"}</tool_call>",
     "", "", paris},
    {"Qwen-Qwen2.5-7B-Instruct", "",
     "<tool_call>\n{\"name\": \"ping\"}\n{\"name\": \"ping\", \"arguments\": null}\n</tool_call>", "", "",
     "ping {}; ping {}"},
    {"Qwen-Qwen2.5-7B-Instruct", "",
     "<tool_call>{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"arguments\": "
     "{\"city\": "
     "\"Paris\"}}}</tool_call>",
     "", "", paris},
    {"NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", "",
     "<tool_call>\n{\"name\": \"search_db\", \"arguments\": {\"query\": \"a<b & c>'d'\", \"limit\": 10, "
     "\"filters\": "
     "[{\"value\": 1e-07}], \"exact\": true}}\n</tool_call>",
     "", "", search},
    {"ibm-granite-granite-4.0", "", "<tool_call>\n{\"name\": \"ping\", \"arguments\": {}}\n</tool_call>", "",
     "", "ping {}"},
    {"Bielik-11B-v3.0-Instruct", "<|im_start|>assistant\n<think>\n",
     "Hm.\n</think>\n\n<tool_call>\n{\"name\": \"ping\", \"arguments\": {}}\n</tool_call>", "", "Hm.",
     "ping {}"},
    {"MiMo-VL", "", "<tool_call>\n{\"name\": \"ping\", \"arguments\": {}}\n</tool_call>", "", "", "ping {}"},
    {"Apriel-1.6-15b-Thinker-fixed", "<|begin_assistant|>\nHere are my reasoning steps:\n",
     "One, two.\n[BEGIN FINAL RESPONSE]\n<tool_calls>[{\"name\": \"get_weather\", \"arguments\": {\"city\": "
     "\"Paris\"}, "
     "\"id\": \"x1\"}, {\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\", \"unit\": "
     "\"fahrenheit\"}}]</tool_calls>",
     "", "One, two.", paris_rome},
    {"NVIDIA-Nemotron-Nano-v2", "<SPECIAL_11>Assistant\n<think>\n",
     "Hm.\n</think>\n<TOOLCALL>[{\"name\": \"get_weather\", \"arguments\": {\"city\": "
     "\"Paris\"}}]</TOOLCALL>\n",
     "", "Hm.", paris},
    {"fireworks-ai-llama-3-firefunction-v2", "",
     " functools[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}]", "", "", paris},
    {"ibm-granite-granite-3.3-2B-Instruct", "",
     "<think>Hm.</think><response>I look.</response><|tool_call|>[{\"name\": \"get_weather\", "
     "\"arguments\": {\"city\": \"Paris\"}}]",
     "I look.", "Hm.", paris},
    {"<|tool_call|>", "<|assistant|>",
     "<|tool_call|>[{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}]<|/tool_call|>", "", "",
     paris},
    {"mistralai-Mistral-Nemo-Instruct-2407", "[/INST]",
     "[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}, \"id\": \"abcdef123\"}]",
     "", "", paris},
    {"CohereForAI-c4ai-command-r7b-12-2024-tool_use", "<|CHATBOT_TOKEN|>",
     "<|START_THINKING|>I call.<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": \"0\", "
     "\"tool_name\": "
     "\"get_weather\", \"parameters\": {\"city\": \"Paris\"}}\n]<|END_ACTION|>",
     "", "I call.", paris},
    {"CohereForAI-c4ai-command-r7b-12-2024-tool_use", "<|CHATBOT_TOKEN|>",
     "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Hello.<|END_RESPONSE|>", "Hello.", "Hm.", ""},
    {"CohereForAI-c4ai-command-r-plus-tool_use", "<|CHATBOT_TOKEN|>",
     "Plan: look.\nAction:\n```json\n[\n    {\n        \"tool_name\": \"get_weather\",\n        "
     "\"parameters\": {\n"
     "            \"city\": \"Paris\"\n        }\n    }\n]```",
     "Plan: look.", "", paris},
    {"GigaChat3-10B-A1.8B", "assistant<|role_sep|>\n",
     "<|message_sep|>\n\nfunction call<|role_sep|>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": "
     "\"Paris\"}}",
     "", "", paris},
    {"<|action_start|>", "",
     "Yes.<|action_start|><|plugin|>\n{\"name\": \"get_weather\", \"parameters\": "
     "{\"city\": \"Paris\"}}<|action_end|>\n",
     "Yes.", "", paris},
    // Llama 3: JSON without a mark, or with one; and Python's notation.
    {"meta-llama-Llama-3.1-8B-Instruct", "",
     "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}", "", "", paris},
    {"meta-llama-Llama-3.1-8B-Instruct", "",
     "\n{\"type\": \"function\", \"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}; "
     "{\"name\": "
     "\"get_weather\", \"parameters\": {\"city\": \"Rome\", \"unit\": \"fahrenheit\"}}",
     "", "", paris_rome},
    {"meta-llama-Llama-3.1-8B-Instruct", "",
     "<|python_tag|>{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}", "", "", paris},
    {"meta-llama-Llama-3.1-8B-Instruct", "", "<|python_tag|>get_weather.call(city=\"Paris\")", "", "", paris},
    {"meta-llama-Llama-3.1-8B-Instruct", "", "<|python_tag|>print('hi')", "<|python_tag|>print('hi')", "",
     ""},
    {"meta-llama-Llama-3.1-8B-Instruct", "", "{\"name\": \"unknown\", \"parameters\": {}} ok",
     "{\"name\": \"unknown\", \"parameters\": {}} ok", "", ""},
    {"meta-llama-Llama-3.1-8B-Instruct", "", "{\"answer\": 42}", "{\"answer\": 42}", "", ""},
    {"<|python_start|>", "", "[get_weather(city='Paris'), get_weather(city=\"Rome\", unit='fahrenheit')]", "",
     "", paris_rome},
    {"<|python_start|>", "", "[1, 2, 3] is a list.", "[1, 2, 3] is a list.", "", ""},
    {"LFM2-8B-A1B", "",
     "<|tool_call_start|>[search_db(query=\"a<b & c>'d'\", limit=10, filters=[{'value': "
     "1e-07}], exact=True)]<|tool_call_end|>Looking.",
     "Looking.", "", search},
    {"LFM2.5-Instruct", "", "<|tool_call_start|>[ping()]<|tool_call_end|>", "", "", "ping {}"},
    {"<function_calls>", "", "<function_calls>\nget_weather(city=\"Paris\")\nping()\n</function_calls>", "",
     "", R"(get_weather {"city":"Paris"}; ping {})"},
    // A name, then JSON.
    {"moonshotai-Kimi-K2", "<|im_middle|>",
     "Hm.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{"
     "\"city\": "
     "\"Paris\"}<|tool_call_end|><|tool_call_begin|>functions.get_weather:1<|tool_call_argument_begin|>{"
     "\"city\": \"Rome\", \"unit\": \"fahrenheit\"}<|tool_call_end|><|tool_calls_section_end|>",
     "Hm.", "", paris_rome},
    {"deepseek-ai-DeepSeek-V3.1", "<think>",
     "Hm.</think>Ok.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": "
     "\"Paris\"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\": \"Rome\", "
     "\"unit\": \"fahrenheit\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "Ok.", "Hm.", paris_rome},
    {"llama-cpp-deepseek-r1", "<｜Assistant｜><think>\n",
     "Hm.\n</think>\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```"
     "json\n{\"city\": "
     "\"Paris\"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>ping\n```json\n{}\n```<"
     "｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "", "Hm.", R"(get_weather {"city":"Paris"}; ping {})"},
    {"unsloth-mistral-Devstral-Small-2507", "[/INST]",
     "I look.[TOOL_CALLS]get_weather[ARGS]{\"city\": "
     "\"Paris\"}[TOOL_CALLS]get_weather[CALL_ID]abc123xyz[ARGS]"
     "{\"city\": \"Rome\", \"unit\": \"fahrenheit\"}",
     "I look.", "", paris_rome},
    {"meetkai-functionary-medium-v3.2", "<|end_header_id|>\n\n>>>",
     "all\nLet me see.>>>get_weather\n{\"city\": \"Paris\"}>>>get_weather\n{\"city\": \"Rome\", \"unit\": "
     "\"fahrenheit\"}",
     "Let me see.", "", paris_rome},
    {"meetkai-functionary-medium-v3.2", "<|end_header_id|>\n\n>>>", "all\nType >>> print(1)\nthen.",
     "Type >>> print(1)\nthen.", "", ""},
    {"<function=", "", "<function=get_weather>{\"city\": \"Paris\"}</function>", "", "", paris},
    {"MiroThinker", "",
     "<think>\nHm.\n</think>\n\n<use_mcp_tool>\n<server_name>x</server_name>\n<tool_name>get_weather</"
     "tool_name>\n"
     "<arguments>\n{\"city\": \"Paris\"}\n</arguments>\n</use_mcp_tool>",
     "", "Hm.", paris},
    {"<|assistant|><|observation|>", "<|assistant|>", "\nget_weather\n{\"city\": \"Paris\"}", "", "", paris},
    {"<|assistant|><|observation|>", "<|assistant|>", "\nget well soon\n", "\nget well soon\n", "", ""},
    // Parameters between marks.
    {"Qwen3-Coder", "",
     "Sure.\n<tool_call>\n<function=search_db>\n<parameter=query>\na<b & c>'d'\n</parameter>\n"
     "<parameter=limit>\n10\n</parameter>\n<parameter=filters>\n[{\"value\": 1e-07}]\n</parameter>\n"
     "<parameter=exact>\nTrue\n</parameter>\n</function>\n</tool_call>",
     "Sure.", "", search},
    {"Qwen3-Coder", "", "<function=ping>\n</function>\n</tool_call>", "</tool_call>", "", "ping {}"},
    {"Qwen3-Coder", "",
     "<tool_call>\n<function=search_db>\n<parameter=query>\n\n  "
     "two\nlines\n\n</parameter>\n<parameter=label>\n"
     "null\n</parameter>\n<parameter=other>\nNone\n</parameter>\n</function>\n</tool_call>",
     "", "", R"(search_db {"query":"\n  two\nlines\n","label":null,"other":null})"},
    {"Qwen3-Coder", "",
     "<tool_call>\n<function=search_db>\n<parameter=query>\na "
     "</parameter\n<parameter=limit>\n7\n</function>\n"
     "</tool_call>",
     "", "", R"(search_db {"query":"a </parameter","limit":7})"},
    {"Qwen3-Coder", "",
     "<tool_call>\n<function=search_db>\n<parameter=query>\nx <parameter=y> </function> "
     "z\n</parameter>\n</function>"
     "\n</tool_call>",
     "", "", R"(search_db {"query":"x <parameter=y> </function> z"})"},
    {"StepFun3.5-Flash", "<think>\n",
     "Hm.\n</think>\n<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</"
     "function>\n"
     "</tool_call><tool_call>\n<function=ping>\n</function>\n</tool_call>",
     "", "Hm.", R"(get_weather {"city":"Paris"}; ping {})"},
    {"ByteDance-Seed-OSS", "",
     "<seed:think>Hm.</seed:think>\n<seed:tool_call>\n<function=search_db>\n<parameter=query>a<b & "
     "c>'d'</parameter>\n"
     "<parameter=limit>10</parameter>\n<parameter=filters>[{'value': 1e-07}]</parameter>\n"
     "<parameter=exact>True</parameter>\n</function>\n</seed:tool_call>",
     "", "Hm.", search},
    {"GLM-4.6", "<|assistant|>",
     "\n<think>Hm.</think>\n<tool_call>search_db\n<arg_key>query</arg_key>\n<arg_value>a<b & "
     "c>'d'</arg_value>\n"
     "<arg_key>limit</arg_key>\n<arg_value>10</arg_value>\n<arg_key>filters</"
     "arg_key>\n<arg_value>[{\"value\": "
     "1e-07}]"
     "</arg_value>\n<arg_key>exact</arg_key>\n<arg_value>true</arg_value>\n</tool_call>",
     "", "Hm.", search},
    {"GLM-5.2", "<|assistant|><think>",
     "Hm.</think><tool_call>get_weather<arg_key>city</arg_key><arg_value>Paris</arg_value></tool_call>"
     "<tool_call>ping</tool_call>",
     "", "Hm.", R"(get_weather {"city":"Paris"}; ping {})"},
    {"poolside-Laguna-XS.2", "<assistant>\n</think>",
     "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n</tool_call>\n", "", "",
     paris},
    {"tencent-Hy3", "<think:opensource></think:opensource>",
     "<tool_calls:opensource>\n<tool_call:opensource>get_weather<tool_sep:opensource>\n<arg_key:opensource>"
     "city"
     "</arg_key:opensource>\n<arg_value:opensource>Paris</arg_value:opensource>\n</tool_call:opensource>\n"
     "</tool_calls:opensource>",
     "", "", paris},
    {"MiniMax-M2", "]~b]ai\n<think>\n",
     "Hm.\n</think>\n\n\n<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter "
     "name=\"city\">Paris</parameter>\n"
     "</invoke>\n<invoke name=\"get_weather\">\n<parameter name=\"city\">Rome</parameter>\n<parameter "
     "name=\"unit\">fahrenheit</parameter>\n</invoke>\n</minimax:tool_call>",
     "", "Hm.", paris_rome},
    {"deepseek-ai-DeepSeek-V4-Flash-0731", "<｜Assistant｜></think>",
     "\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"search_db\">\n<｜DSML｜parameter name=\"query\" "
     "string=\"true\">a<b & c>'d'</｜DSML｜parameter>\n<｜DSML｜parameter name=\"limit\" "
     "string=\"false\">10</｜DSML｜parameter>\n<｜DSML｜parameter name=\"filters\" "
     "string=\"false\">[{\"value\": "
     "1e-07}]</｜DSML｜parameter>\n<｜DSML｜parameter name=\"exact\" "
     "string=\"false\">true</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
     "", "", search},
    // A notation of its own.
    {"google-gemma-4-31B-it", "<|turn>model\n",
     "<|channel>thought\nHm.\n<channel|><|tool_call>call:search_db{exact:true,filters:[{value:1e-07}],limit:"
     "10,"
     "query:<|\"|>a<b & \"c\", d}<|\"|>}<tool_call|><|tool_call>call:ping{}<tool_call|>",
     "", "Hm.",
     R"(search_db {"exact":true,"filters":[{"value":1e-07}],"limit":10,"query":"a<b & \"c\", d}"}; ping {})"},
    // Channels.
    {"openai-gpt-oss-120b", "<|start|>assistant",
     "<|channel|>analysis<|message|>I call.<|end|><|start|>assistant<|channel|>commentary "
     "to=functions.get_weather "
     "<|constrain|>json<|message|>{\"city\": \"Paris\"}",
     "", "I call.", paris},
    {"openai-gpt-oss-120b", "<|start|>assistant",
     " to=functions.get_weather<|channel|>commentary json<|message|>{\"city\": \"Paris\"}<|call|>", "", "",
     paris},
    {"openai-gpt-oss-120b", "<|start|>assistant",
     "<|channel|>analysis<|message|>One.<|end|><|start|>assistant<|channel|>analysis<|message|>Two.<|end|>"
     "<|start|>assistant<|channel|>commentary<|message|>I look.<|end|><|start|>assistant<|channel|>final"
     "<|message|>Done.",
     "I look.\nDone.", "One.\nTwo.", ""},
    {"openai-gpt-oss-120b", "<|start|>assistant", "Just text.", "Just text.", "", ""},
    {"openai-gpt-oss-120b", "<|start|>assistant", "<|channel|>final", "<|channel|>final", "", ""},
    // What is no call is content, every byte of it.
    {"Qwen-Qwen3-0.6B", "", "<tool_call>\noops</tool_call> <think>x</think>",
     "<tool_call>\noops</tool_call> <think>x</think>", "", ""},
    {"Qwen-Qwen3-0.6B", "", "a <tool_call> {\"name\": 5} </tool_call>",
     "a <tool_call> {\"name\": 5} </tool_call>", "", ""},
    {"Qwen-Qwen3-0.6B", "", "<tool_call>\n{\"name\": \"get_wea", "<tool_call>\n{\"name\": \"get_wea", "", ""},
    {"Qwen-Qwen3-0.6B", "", "x <tool_cal", "x <tool_cal", "", ""},
    {"Qwen-Qwen3-0.6B", "", "  spaces stay  \n", "  spaces stay  \n", "", ""},
    {"Qwen-Qwen3-0.6B", "", "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Par", "", "",
     R"(get_weather {"city": "Par)"},
    {"Qwen-Qwen3-0.6B", "", "<tool_call>{\"name\": \"get_weather\", \"arguments\": {oops}</tool_call> b", "b",
     "", "get_weather {oops}"},
    {"Qwen-Qwen3-0.6B", "<think>\n", "never closed", "", "never closed", ""},
    {"Apriel-1.6-15b-Thinker-fixed", "", "<tool_calls>[{\"name\": \"ping\"}, {\"no\": 1}]</tool_calls>",
     ", {\"no\": 1}]</tool_calls>", "", "ping {}"},
    {"moonshotai-Kimi-K2", "", "<|tool_calls_section_begin|> nothing", "<|tool_calls_section_begin|> nothing",
     "", ""},
    {"deepseek-ai-DeepSeek-V3.1", "",
     "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>ping<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁call▁begin｜>"
     "no "
     "name<｜tool▁sep｜>{}",
     "<｜tool▁call▁begin｜>no name<｜tool▁sep｜>{}", "", "ping {}"},
    {"GLM-4.6", "", "<tool_call>not a name<arg_key>", "<tool_call>not a name<arg_key>", "", ""},
    {"SmolLM", "", "No dialect <tool_call>{}", "No dialect <tool_call>{}", "", ""},
};

std::string template_source(const std::string& name) {
  const std::string path = test::golden("chat/templates/" + name + ".jinja");
  std::ifstream file(path, std::ios::binary);
  return path.empty() ? name : std::string(std::istreambuf_iterator<char>(file), {});
}

TEST(MessageParser, UnderstandsEveryDialectHoweverTheTextIsCut) {
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.source) + ": " + c.text);
    const Dialect dialect = dialect_of(template_source(c.source));
    const Message message = parse(dialect, {c.text}, c.prompt);
    EXPECT_EQ(message.content, c.content);
    EXPECT_EQ(message.reasoning, c.reasoning);
    EXPECT_EQ(calls_of(message), c.calls);
    test::expect_same_however_cut(dialect, c.text, c.prompt, tools);
  }
}

TEST(MessageParser, PlainTextPassesWithoutToolsAndCallsAreNotLookedFor) {
  const Dialect dialect = dialect_of("<tool_call>");
  const std::string text = "<tool_call>{\"name\": \"ping\"}</tool_call>";
  EXPECT_EQ(parse(dialect, {text}, "", Json()).content, text);
}

TEST(MessageParser, GivesArgumentsAsTheyCome) {
  const Dialect dialect = dialect_of("<tool_call>");
  MessageParser parser(dialect, {.prompt = "", .tools = tools, .id_seed = 1});
  EXPECT_TRUE(parser.feed("<tool_call>{\"name\": \"ping\", \"argu").empty());
  const auto first = parser.feed("ments\": {\"a\": \"b");
  ASSERT_EQ(first.size(), 1);
  EXPECT_EQ(first[0].name, "ping");
  EXPECT_EQ(first[0].id.size(), 9);
  EXPECT_EQ(first[0].text, "{\"a\": \"b");
  EXPECT_EQ(parser.feed("c").at(0).text, "c");
}

TEST(MessageParser, TakesIdsFromTheText) {
  const auto id = [](std::string_view marks, std::string_view text) {
    return parse(dialect_of(marks), {text}, "").tool_calls.at(0).id;
  };
  EXPECT_EQ(id("[TOOL_CALLS][ARGS]", "[TOOL_CALLS]ping[CALL_ID]abc123xyz[ARGS]{}"), "abc123xyz");
  EXPECT_EQ(
      id("<|tool_call_begin|><|tool_call_argument_begin|>",
         "<|tool_calls_section_begin|><|tool_call_begin|>functions.ping:3<|tool_call_argument_begin|>{}"),
      "functions.ping:3");
  EXPECT_EQ(id("<tool_call>", "<tool_call>{\"id\": \"call_7\", \"name\": \"ping\"}"), "call_7");
  EXPECT_EQ(id("<tool_call>", "<tool_call>{\"id\": \"7\", \"name\": \"ping\"}").size(), 9);
}

TEST(MessageParser, EscapesLineEndsWithinStringsOfArguments) {
  const Message message =
      parse(dialect_of("<tool_call>"),
            {"<tool_call>{\"name\": \"ping\", \"arguments\": {\"a\": \"b\nc\"}}</tool_call>"}, "");
  EXPECT_EQ(message.tool_calls.at(0).arguments, "{\"a\": \"b\\nc\"}");
}

TEST(Dialect, IsTakenFromTheVocabularyWhereTheTemplateIsSilent) {
  const auto of = [](std::string_view token) {
    return Dialect::of("{{ messages }}", [&](std::string_view t) { return t == token; }).name();
  };
  EXPECT_EQ(of("<|tool_call_start|>"), "lfm2");
  EXPECT_EQ(of("<|python_tag|>"), "llama3");
  EXPECT_EQ(of("<tool_call>"), "hermes");
  EXPECT_EQ(of("<other>"), "none");
}

// Whatever recorded template renders a call has a dialect.
TEST(Dialect, EveryRecordedTemplateWithCallsHasOne) {
  const std::string folder = test::golden("chat/templates");
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string source = template_source(entry.path().stem());
    if (source.find("tool_calls") == std::string::npos) continue;
    EXPECT_NE(dialect_of(source).name(), "none") << entry.path();
  }
}

TEST(Dialect, ShowsTheSpecialTokensOfItsMarksOnly) {
  const Dialect kimi = dialect_of("<|tool_call_begin|><|tool_call_argument_begin|></think>");
  for (const char* token : {"<|tool_calls_section_begin|>", "<|tool_call_end|>", "<think>"})
    EXPECT_TRUE(kimi.shows(token)) << token;
  EXPECT_FALSE(kimi.shows("<|im_end|>"));
  EXPECT_FALSE(kimi.shows(""));
  const Dialect harmony = dialect_of("<|channel|><|message|>");
  EXPECT_TRUE(harmony.shows("<|constrain|>"));
  EXPECT_FALSE(harmony.shows("<|endoftext|>"));
}

}  // namespace
}  // namespace rf
