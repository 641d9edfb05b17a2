// TemplateNeeds: how a chat template wants to be given what the messages of an API hold.
#pragma once
#include <nlohmann/json.hpp>
#include <string_view>

#include "chat/chat_template.h"

namespace rf {

// Found out by rendering small conversations and looking for their words in what comes out.
struct TemplateNeeds {
  bool text_arguments = false;  // arguments of calls as JSON text; else as objects
  bool parts = false;           // content as a list of parts, even where it is one text
  bool takes_parts = false;     // a list of parts is understood
  bool nine_ids = false;  // ids of calls of nine letters and digits: older Mistral templates refuse others
  bool thinking = false;  // reasoning is looked for under "thinking", not "reasoning_content"

  static TemplateNeeds of(const ChatTemplate& chat, std::string_view source);
};

// `messages`, an array in OpenAI's form, as the template needs them: arguments of calls become objects, or
// texts; parts that are all texts are joined by line ends, where lists are not understood; content that is
// null or absent beside calls becomes "". Ids become others of nine characters, alike where they were alike.
// What has another form is left alone.
nlohmann::ordered_json adapted(nlohmann::ordered_json messages, const TemplateNeeds& needs);

}  // namespace rf
