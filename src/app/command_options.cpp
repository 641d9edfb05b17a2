#include "app/command_options.h"

#include <CLI/CLI.hpp>
#include <array>
#include <memory>

#include "app/argument.h"
#include "app/commands.h"
#include "app/requests.h"
#include "app/serve.h"
#include "base/error.h"
#include "model/mix.h"

namespace rf {

void add_load(CLI::App& app, LoadOptions& load) {
  const auto add = [&](const char* name, auto& value, const char* help) {
    return add_value(app, "Running", name, value, help);
  };
  add("--device", load.device, "auto, cpu, reference (slow and exact), gpu, gpu:N or sim")
      ->check([](const std::string& name) {
        return is_device_name(name) ? "" : "expected auto, cpu, reference, gpu, gpu:N or sim, found " + name;
      });
  add("--gpu-layers", load.gpu_layers, "Layers on the GPU: a number, or auto")
      ->check([](const std::string& text) {
        return text == "auto" || (!text.empty() && text.find_first_not_of("0123456789") == std::string::npos)
                   ? ""
                   : "expected a number or auto, found " + text;
      });
  app.add_option("--place", load.place, "GLOB=cpu or GLOB=gpu: where steps with tensors of such names run")
      ->group("Running")
      ->allow_extra_args(false)
      ->check([](const std::string& rule) {
        return is_place_rule(rule) ? "" : "expected GLOB=cpu or GLOB=gpu, found " + rule;
      });
  add("-t,--threads", load.threads, "CPU threads; 0: all processors")->check(CLI::Range(0, 4096));
  app.add_flag("--compact-weights", load.compact_weights,
               "On the CPU, keep IQ1, IQ2, IQ3 and TQ1_0 weights as small as in the file, which is slower")
      ->group("Running");
  add("--kv", load.kv, "Type of the key/value cache")->check(CLI::IsMember({"f32", "f16", "q8_0", "q4_0"}));
  add("--page", load.page, "Positions of one page of the cache")->check(CLI::Range(1, 1 << 20));
  add("--ctx", load.context, "Positions of one sequence; 0: what suits the command and the model")
      ->check(CLI::Range(0, 1 << 30));
  add("--batch-rows", load.batch_rows,
      "Tokens that one step of the model takes in at most; 0: 512, or a whole text where the model needs "
      "that")
      ->check(CLI::Range(0, 1 << 20));
  add("--state-snapshots", load.state_snapshots,
      "Places of prompts where a recurrent model's state is kept for prompts that begin alike; -1: two for "
      "each sequence and one")
      ->check(CLI::Range(-1, 1 << 16));
}

namespace {

constexpr const char* model_help = "A path, a catalogue name, hf:owner/repo[:file] or a URL";

// An error in an option's value, in CLI11's own terms.
template <class Parse>
auto parsed(const char* option, Parse&& parse) {
  try {
    return parse();
  } catch (const Error& error) {
    throw CLI::ValidationError(option, error.what());
  }
}

CLI::Option* add_model(CLI::App& app, std::string& model) {
  return app.add_option("-m,--model", model, model_help);
}

template <class Tokens>
CLI::Option* add_tokens(CLI::App& app, Tokens& tokens, const char* help) {
  return app
      .add_option_function<std::string>(
          "--tokens",
          [&tokens](const std::string& text) {
            tokens = parsed("--tokens", [&] { return parse_tokens(text); });
          },
          help)
      ->type_name("IDS");
}

void add_constraint(CLI::App& app, AnswerOptions& answer) {
  CLI::Option* schema = app.add_option("--json-schema", answer.json_schema,
                                       "Answer with JSON that this schema allows: a file or JSON");
  CLI::Option* grammar =
      app.add_option("--grammar", answer.grammar, "Answer with a text of the GBNF grammar in this file");
  CLI::Option* regex = app.add_option("--regex", answer.regex,
                                      "Answer with a text that this regular expression matches as a whole");
  CLI::Option* choice =
      app.add_option("--choice", answer.choices, "Answer with this text, or another one given so");
  choice->allow_extra_args(false);
  const std::array options{schema, grammar, regex, choice};
  for (CLI::Option* option : options) {
    option->group("Answer");
    for (CLI::Option* other : options)
      if (other != option) option->excludes(other);
  }
}

void add_answer(CLI::App& app, AnswerOptions& answer) {
  SamplerOptions& sampling = answer.sampling;
  const auto add = [&](const char* name, auto& value, const char* help) {
    return add_value(app, "Answer", name, value, help);
  };
  add("-n,--max-tokens", answer.max_tokens, "Tokens to generate at most; -1: until the context is full")
      ->check([](const std::string& text) {
        return text == "-1" || (text.find_first_not_of('0') != std::string::npos && text[0] != '-')
                   ? ""
                   : "expected -1 or at least 1, found " + text;
      });
  add("--temperature", sampling.temperature, "0: always the best token")->check(CLI::Range(0.0, 1e9));
  add("--top-k", sampling.top_k, "Choose among so many tokens; 0: all")->check(CLI::Range(-1, 1 << 30));
  add("--top-p", sampling.top_p, "Choose among the best tokens of this total probability")
      ->check(CLI::Range(0.0, 1.0));
  add("--min-p", sampling.min_p, "Drop tokens below this fraction of the best one's probability")
      ->check(CLI::Range(0.0, 1.0));
  add("--repetition-penalty", sampling.repetition_penalty, "Divides the logits of repeated tokens; 1: off")
      ->check(CLI::PositiveNumber);
  add("--repeat-last-n", sampling.penalty_last_n, "Tokens that penalties look back; -1: all")
      ->check(CLI::Range(-1, 1 << 30));
  add("--presence-penalty", sampling.presence_penalty, "Taken off the logits of tokens that occurred");
  add("--frequency-penalty", sampling.frequency_penalty, "Taken off for each time that a token occurred");
  app.add_option_function<std::string>(
         "--seed",
         [&sampling](const std::string& text) {
           sampling.seed = parsed("--seed", [&] { return parse_seed(text); });
         },
         "The same seed gives the same text; random when absent, or -1")
      ->group("Answer")
      ->type_name("INT");
  app.add_option_function<std::vector<std::string>>(
         "--logit-bias",
         [&sampling](const std::vector<std::string>& texts) {
           for (const std::string& text : texts)
             sampling.logit_bias.push_back(parsed("--logit-bias", [&] { return parse_logit_bias(text); }));
         },
         "ID=VALUE, added to a token's logit; may be repeated")
      ->group("Answer")
      ->type_name("ID=VALUE")
      ->allow_extra_args(false);
  app.add_option("--stop", answer.stop, "Stop before this text; may be repeated")
      ->group("Answer")
      ->allow_extra_args(false);
  add_constraint(app, answer);
}

// Declares one command.
template <class Options, class Declare>
Command command(CLI::App& root, const char* name, const char* help, int (*run)(const Options&),
                Declare&& declare, const Options& defaults = {}) {
  CLI::App* app = root.add_subcommand(name, help);
  const auto options = std::make_shared<Options>(defaults);
  declare(*app, *options);
  return {app, [options, run] { return run(*options); }};
}

// Its options are read again while it runs, hence they are not its own.
Command serve_command(CLI::App& root, ServeOptions& options) {
  CLI::App* app = root.add_subcommand("serve", "Serve models over HTTP");
  declare_serve(*app, options);
  return {app, [&options] { return serve(options); }};
}

void require(bool holds, const char* message) {
  if (!holds) throw CLI::ValidationError(message);
}

CLI::Option* add_message(CLI::App& app, AnswerOptions& answer) {
  app.add_option("--reasoning", answer.reasoning,
                 "show or hide what a model thinks; shown on a terminal when absent")
      ->group("Answer")
      ->check(CLI::IsMember({"show", "hide"}));
  return app
      .add_option("--tools", answer.tools,
                  "What the model may call: a file, a JSON array of tool definitions")
      ->group("Answer");
}

void declare_chat(CLI::App& app, ChatOptions& o) {
  app.add_option("-m,--model,MODEL", o.model, model_help)->capture_default_str();
  app.add_option("--system", o.system, "The system message");
  add_answer(app, o.answer);
  add_message(app, o.answer);
  add_load(app, o.load);
}

void declare_generate(CLI::App& app, GenerateOptions& o) {
  add_model(app, o.model)->required();
  const CLI::Option* prompt = app.add_option("-p,--prompt", o.prompt, "The text to go on with");
  const CLI::Option* tokens =
      add_tokens(app, o.tokens, "The ids to go on with, instead of a prompt; nothing is added to them");
  app.add_flag("--chat", o.chat, "The prompt is a user's message: apply the chat template");
  app.add_flag("--ignore-eos", o.ignore_eos, "Tokens that end a text do not end it");
  app.add_flag("--json", o.json, "Print {\"ids\": [...], \"text\": ...}, how it ended and timings");
  add_answer(app, o.answer);
  const CLI::Option* tools = add_message(app, o.answer);
  add_load(app, o.load);
  app.callback([=, &o] {
    require((prompt->count() > 0) != (tokens->count() > 0),
            "generate: expected one of --prompt and --tokens");
    require(!o.chat || prompt->count() > 0, "generate: --chat needs --prompt");
    require(o.chat || tools->count() == 0, "generate: --tools needs --chat");
  });
}

void declare_pull(CLI::App& app, PullOptions& o) {
  app.add_option("NAME", o.name, "A catalogue name, hf:owner/repo[:file] or a URL")->required();
  app.add_option("-o,--output", o.output, "Of a URL: where to put it; the cache when absent");
  app.add_option("--sha256", o.sha256, "Of a URL: the checksum that it must have");
}

void declare_models(CLI::App& app, ModelsOptions& o) {
  app.add_option("--dir", o.folder, "The folder to look in; the cache when absent");
  app.add_flag("--json", o.json, "Print a JSON array");
}

void declare_inspect(CLI::App& app, InspectOptions& o) {
  app.add_option("-m,--model,MODEL", o.model, model_help)->required();
  app.add_flag("--json", o.json, "Print JSON, with all metadata in full");
  CLI::Option* tensor = app.add_option("--tensor", o.tensor, "Write this tensor to --dump");
  CLI::Option* dump = app.add_option("--dump", o.dump, "The file for it: raw little-endian float32");
  tensor->needs(dump);
  dump->needs(tensor);
  app.add_flag("--plan", o.plan, "Also print the recorded steps and the memory that running them takes")
      ->excludes("--json");
  add_load(app, o.load);
}

void declare_tokenize(CLI::App& app, TokenizeOptions& o) {
  add_model(app, o.model)->required();
  CLI::Option* text = app.add_option("TEXT", o.text, "The text; stdin when nothing is given");
  CLI::Option* file = app.add_option("--file", o.file, "A file with the text; - is stdin");
  CLI::Option* lines =
      app.add_option("--lines", o.lines, "A file of JSON strings, one a line; gives a JSON array a line");
  text->excludes(file)->excludes(lines);
  file->excludes(lines);
  app.add_flag("--json", o.json, "Print a JSON array");
  app.add_flag("--no-bos", o.no_bos, "Add no BOS or EOS");
  app.add_flag("--no-special", o.no_special, "Special tokens written in the text are plain text");
}

void declare_detokenize(CLI::App& app, DetokenizeOptions& o) {
  add_model(app, o.model)->required();
  const CLI::Option* tokens = add_tokens(app, o.tokens, "The ids");
  const CLI::Option* lines = app.add_option(
      "--lines", o.lines, "A file of JSON arrays of ids, one a line; gives a JSON string a line");
  app.add_flag("--json", o.json, "Print a JSON string");
  app.add_flag("--no-special", o.no_special, "Leave special tokens out of the text");
  app.callback([=] {
    require((tokens->count() > 0) != (lines->count() > 0),
            "detokenize: expected one of --tokens and --lines");
  });
}

void declare_template(CLI::App& app, TemplateOptions& o) {
  const CLI::Option* model = add_model(app, o.model);
  const CLI::Option* file = app.add_option("--file", o.file, "A Jinja template, instead of a model's own");
  app.add_option("--messages", o.messages, "A JSON array of messages")->required();
  app.add_option("--tools", o.tools, "A JSON array of tool definitions");
  app.add_option("--vars", o.variables, "A JSON object of further template variables");
  app.add_flag("--no-generation-prompt", o.no_generation_prompt, "Do not begin the assistant's answer");
  app.add_option("--bos", o.bos, "The text of the BOS token; the model's when absent");
  app.add_option("--eos", o.eos, "The text of the EOS token; the model's when absent");
  app.add_option("--now", o.now, "The time that strftime_now shows: YYYY-MM-DD[THH:MM:SS]");
  app.callback([=] {
    require((model->count() > 0) != (file->count() > 0), "template: expected one of --model and --file");
  });
}

void declare_logits(CLI::App& app, LogitsOptions& o) {
  add_model(app, o.model)->required();
  add_tokens(app, o.tokens, "The ids to read; nothing is added to them")->required();
  app.add_option("--out", o.out, "The file: raw little-endian float32 [tokens, vocabulary]")->required();
  add_load(app, o.load);
}

void declare_embed(CLI::App& app, EmbedOptions& o) {
  add_model(app, o.model)->required();
  CLI::Option* text = app.add_option("TEXT", o.text, "The text; stdin when nothing is given");
  add_tokens(app, o.tokens, "The ids, instead of a text; nothing is added to them")->excludes(text);
  app.add_option("--pooling", o.pooling, "How the rows of the text become one; as the model says when absent")
      ->check(CLI::IsMember({"none", "mean", "cls", "last", "rank"}));
  app.add_flag("--no-normalize", o.no_normalize, "Do not scale the embedding to unit length");
  app.add_flag("--json", o.json, "Print {\"embedding\": [...]}, with --pooling none a list for each token");
  add_load(app, o.load);
}

void declare_perplexity(CLI::App& app, PerplexityOptions& o) {
  add_model(app, o.model)->required();
  app.add_option("--file", o.file, "The text; --ctx is the size of its chunks (0: 512 tokens)")->required();
  app.add_flag("--json", o.json, "Print the result as JSON");
  add_load(app, o.load);
}

void declare_bench(CLI::App& app, BenchOptions& o) {
  const auto add = [&](const char* name, int& value, const char* help, int least) {
    app.add_option(name, value, help)->capture_default_str()->check(CLI::Range(least, 1 << 24));
  };
  add_model(app, o.model)->required();
  add("-p,--prompt-tokens", o.prompt, "Tokens of the prompt whose prefill is measured; 0: do not", 0);
  add("-n,--decode-tokens", o.decode, "Tokens that each stream generates; 0: do not measure decoding", 0);
  add("-d,--depth", o.depth, "Tokens in the cache before the generated ones", 0);
  add("-b,--batch", o.batch, "Streams at once", 1);
  add("-r,--repetitions", o.repetitions, "Repetitions; medians are printed", 1);
  app.add_flag("--steps", o.steps, "Also print the time of each kind of step");
  app.add_flag("--json", o.json, "Print JSON");
  add_load(app, o.load);
}

void declare_status(CLI::App& app, RequestOptions& o) {
  app.add_option("ID", o.id, "The request's id, as the server's X-Request-Id header told it");
  app.add_option("--host", o.host, "The server: HOST[:PORT] or a URL")->capture_default_str();
  app.add_option("--api-key", o.api_key, "A key of the server");
}

void declare_cancel(CLI::App& app, RequestOptions& o) {
  declare_status(app, o);
  app.get_option("ID")->required();
}

// A check of an option's value by a function that throws Error.
template <class Parse>
auto checked(Parse&& parse) {
  return [parse](const std::string& text) -> std::string {
    try {
      parse(text);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  };
}

void declare_quantize(CLI::App& app, QuantizeOptions& o) {
  app.add_option("IN", o.in, "The model to read, best F32, F16 or BF16; of a split one its first part")
      ->required();
  app.add_option("OUT", o.out, "The file to write")->required();
  app.add_option("TYPE", o.type, "One of " + writable_mixes())
      ->required()
      ->check(checked([](const std::string& text) { mix_by_name(text); }));
  app.add_option("--imatrix", o.imatrix,
                 "An importance matrix (rocmforge imatrix): columns count by their importance");
  app.add_option("--tensor-type", o.tensor_types,
                 "GLOB=TYPE: matrices of these names get this type; may be repeated, the last match counts")
      ->type_name("GLOB=TYPE")
      ->allow_extra_args(false)
      ->check(checked([](const std::string& text) { parse_type_rule(text); }));
  app.add_option("-t,--threads", o.threads, "CPU threads; 0: all processors")->check(CLI::Range(0, 4096));
}

void declare_imatrix(CLI::App& app, ImatrixOptions& o) {
  add_model(app, o.model)->required();
  app.add_option("--file", o.file, "The text; --ctx is the size of its chunks (0: 512 tokens)")->required();
  app.add_option("-o,--output", o.out, "The file to write")->capture_default_str();
  app.add_option("--chunks", o.chunks, "Chunks to read at most; 0: all")->check(CLI::Range(0, 1 << 30));
  add_load(app, o.load);
}

void declare_split(CLI::App& app, SplitOptions& o) {
  app.add_option("IN", o.in, "The model to read")->required();
  app.add_option("OUT_PREFIX", o.out_prefix, "The parts' names up to -00001-of-0000N.gguf")->required();
  const CLI::Option* size = app.add_option_function<std::string>(
                                   "--max-size",
                                   [&o](const std::string& text) {
                                     o.max_bytes = parsed("--max-size", [&] { return parse_size(text); });
                                   },
                                   "Bytes of tensors in a part at most: 500M, 2G")
                                ->type_name("SIZE");
  const CLI::Option* tensors = app.add_option("--max-tensors", o.max_tensors, "Tensors in a part at most")
                                   ->check(CLI::Range(1, 1 << 30));
  app.callback([=] {
    require(size->count() > 0 || tensors->count() > 0, "split: expected --max-size or --max-tensors");
  });
}

void declare_merge(CLI::App& app, MergeOptions& o) {
  app.add_option("FIRST", o.in, "The first part, NAME-00001-of-0000N.gguf")->required();
  app.add_option("OUT", o.out, "The file to write")->required();
}

void declare_devices(CLI::App& app, DevicesOptions& o) {
  app.add_option("-t,--threads", o.threads, "CPU threads; 0: all processors")->check(CLI::Range(0, 4096));
  app.add_flag("--json", o.json, "Print JSON");
}

}  // namespace

std::vector<Command> declare_commands(CLI::App& root, ServeOptions& serving) {
  LogitsOptions exact;
  exact.load.kv = "f32";
  EmbedOptions embedding;
  embedding.load.kv = "f32";
  return {
      command(root, "chat", "Talk with a model", chat, declare_chat),
      command(root, "generate", "Go on with a text", generate, declare_generate),
      serve_command(root, serving),
      command(root, "status", "Show a running server's requests, or one of them", request_status,
              declare_status),
      command(root, "cancel", "Cancel a request of a running server", request_cancel, declare_cancel),
      command(root, "pull", "Fetch a model", pull, declare_pull),
      command(root, "models", "List the models that are here", models, declare_models),
      command(root, "inspect", "Show a model file's metadata and tensors", inspect, declare_inspect),
      command(root, "tokenize", "Turn text into token ids", tokenize, declare_tokenize),
      command(root, "detokenize", "Turn token ids into text", detokenize, declare_detokenize),
      command(root, "template", "Render a chat template", render_template, declare_template),
      command(root, "logits", "Write the logits after each of given tokens", logits, declare_logits, exact),
      command(root, "embed", "Turn a text into a vector", embed, declare_embed, embedding),
      command(root, "perplexity", "Measure how well a model predicts a text", perplexity, declare_perplexity),
      command(root, "bench", "Measure a model's speed", bench, declare_bench),
      command(root, "quantize", "Write a model in other formats", quantize, declare_quantize),
      command(root, "imatrix", "Measure which columns of a model's matrices matter", imatrix,
              declare_imatrix),
      command(root, "split", "Write a model in several parts", split, declare_split),
      command(root, "merge", "Write a split model in one file", merge, declare_merge),
      command(root, "devices", "Show this machine's devices and test them", devices, declare_devices),
  };
}

}  // namespace rf
