// Real chat templates over recorded conversations: every prompt must equal what Hugging Face's jinja2 made of
// them.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "chat/chat_template.h"
#include "golden.h"

namespace rf {
namespace {

using Json = nlohmann::ordered_json;

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Outcome {
  bool failed = false;
  std::string text;  // the prompt, or the error
};

Outcome render(const ChatTemplate& chat, const ChatTemplateInput& input) {
  try {
    return {.text = chat.render(input)};
  } catch (const Error& e) {
    return {.failed = true, .text = e.what()};
  }
}

// "" where the outcome is as recorded; a template's own words may follow the line that the error names.
std::string complaint(const Json& recorded, const Outcome& got) {
  if (recorded.contains("expected")) {
    const auto& expected = recorded["expected"].get_ref<const std::string&>();
    return !got.failed && got.text == expected ? "" : "expected\n" + expected + "\ngot\n" + got.text;
  }
  if (recorded["raised_by_template"].get<bool>()) {
    const auto& message = recorded["error"].get_ref<const std::string&>();
    return got.failed && got.text.ends_with(": " + message)
               ? ""
               : "expected the error\n" + message + "\ngot\n" + got.text;
  }
  // A fault of the template in Python: it fails here too, unless a more lenient engine is known to make a
  // prompt of it.
  if (!recorded.contains("lenient_expected"))
    return got.failed
               ? ""
               : "expected an error like\n" + recorded["error"].get<std::string>() + "\ngot\n" + got.text;
  const auto& lenient = recorded["lenient_expected"].get_ref<const std::string&>();
  return !got.failed && got.text == lenient ? "" : "expected\n" + lenient + "\ngot\n" + got.text;
}

class Recorded : public testing::TestWithParam<std::string> {};

TEST_P(Recorded, PromptsAreThoseOfJinja2) {
  const Json conversations = Json::parse(read(test::golden("chat/conversations.json")));
  std::map<std::string, const Json*> by_id;
  for (const Json& c : conversations["conversations"]) by_id[c["id"]] = &c;
  const Json file = Json::parse(read(GetParam()));
  const std::string source = file["template"];
  const ChatTemplate chat(read(test::golden("chat/" + source)));

  double slowest_ms = 0;
  for (const Json& recorded : file["cases"]) {
    const Json& conversation = *by_id.at(recorded["conversation"]);
    const ChatTemplateInput input{.messages = conversation["messages"],
                                  .tools = conversation["tools"],
                                  .variables = conversation["kwargs"],
                                  .add_generation_prompt = recorded["add_generation_prompt"],
                                  .bos = file["bos_token"],
                                  .eos = file["eos_token"],
                                  .now = conversations["strftime_now"]};
    const auto start = std::chrono::steady_clock::now();
    const Outcome got = render(chat, input);
    slowest_ms =
        std::max(slowest_ms,
                 std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    EXPECT_EQ(complaint(recorded, got), "")
        << recorded["conversation"] << " " << recorded["add_generation_prompt"];
  }
  RecordProperty("slowest_microseconds", static_cast<int>(slowest_ms * 1000));
}

std::vector<std::string> case_files() {
  std::vector<std::string> files;
  const std::string folder = test::golden("chat/cases");
  if (!folder.empty())
    for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

std::string name_of(const testing::TestParamInfo<std::string>& info) {
  std::string name = std::filesystem::path(info.param).stem();
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Chat, Recorded, testing::ValuesIn(case_files()), name_of);

}  // namespace
}  // namespace rf
