#include "chat/chat_template.h"

namespace rf {
namespace {

constexpr const char* chatml = R"({%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' + (message.content or '') + '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\n' }}
{%- endif -%}
)";

constexpr const char* llama3_template = R"({{- bos_token }}
{%- for message in messages -%}
{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + (message.content or '') | trim + '<|eot_id|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif -%}
)";

// The system message opens the first turn of the user, who also speaks for tools.
constexpr const char* gemma = R"({{- bos_token }}
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- if message.role in ['system', 'developer'] -%}
{%- set ns.system = ns.system + (message.content or '') | trim + '\n\n' -%}
{%- else -%}
{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else 'user') + '\n' }}
{%- if message.role != 'assistant' -%}
{{ ns.system }}{%- set ns.system = '' -%}
{%- endif -%}
{{ (message.content or '') | trim + '<end_of_turn>\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<start_of_turn>model\n' }}
{%- endif -%}
)";

constexpr const char* llama2 = R"({{- bos_token }}
{%- set ns = namespace(system='', answered=false) -%}
{%- for message in messages -%}
{%- if message.role in ['system', 'developer'] -%}
{%- set ns.system = '<<SYS>>\n' + (message.content or '') + '\n<</SYS>>\n\n' -%}
{%- elif message.role == 'assistant' -%}
{{ ' ' + (message.content or '') | trim + ' ' + eos_token }}
{%- set ns.answered = true -%}
{%- else -%}
{{ (bos_token if ns.answered else '') + '[INST] ' + ns.system + (message.content or '') | trim + ' [/INST]' }}
{%- set ns.system = '' -%}
{%- set ns.answered = false -%}
{%- endif -%}
{%- endfor -%}
)";

constexpr const char* phi3 = R"({{- bos_token }}
{%- for message in messages -%}
{{ '<|' + message.role + '|>\n' + (message.content or '') + '<|end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|assistant|>\n' }}
{%- endif -%}
)";

}  // namespace

std::string default_chat_template(const std::function<bool(std::string_view token)>& has_token) {
  if (has_token("<|im_start|>")) return chatml;
  if (has_token("<|start_header_id|>") && has_token("<|eot_id|>")) return llama3_template;
  if (has_token("<start_of_turn>")) return gemma;
  if (has_token("<|end|>") && has_token("<|user|>") && has_token("<|assistant|>")) return phi3;
  if (has_token("[INST]")) return llama2;
  return chatml;
}

}  // namespace rf
