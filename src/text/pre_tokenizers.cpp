// The table of published pre-tokenizers, as the models' own tokenizer files define them.
#include "text/pre_tokenizer.h"

#define SPACE_TAIL "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define KANA "\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}"
#define HAN_AND_KANA "[\\x{4E00}-\\x{9FA5}" KANA "]+"
#define HAN_AND_HANGUL "[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"
#define CLAUSE " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{0964}\\x{06D4}\\x{060C})]+"
// Words of DeepSeek V3 and those that follow it: an identifier after a mark of punctuation, then letters.
#define MARKED_WORD                                       \
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+" \
  "|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+"

namespace rf {
namespace {

using Letters = WordRule::Letters;
using Contractions = WordRule::Contractions;

// The rules of GPT-2, GPT-4 (whose numbers have up to three digits; Qwen and others take one) and GPT-4o.
constexpr WordRule gpt2{.contractions = Contractions::lower_case,
                        .only_space_before = true,
                        .digits = 0,
                        .tail = "",
                        .newlines = false};
constexpr WordRule gpt4{.digits = 3}, single_digits{.digits = 1}, any_digits{.digits = 0};
constexpr WordRule gpt4o{.contractions = Contractions::none,
                         .letters = Letters::upper_then_lower,
                         .contraction_after = true,
                         .digits = 3,
                         .tail = "\r\n/"};
constexpr RegexCut digit{"\\p{N}"}, up_to_three_digits{"\\p{N}{1,3}"};
constexpr RegexCut three_digits{"[0-9][0-9][0-9]"}, three_digit_bytes{"[0-9][0-9][0-9]", true};
constexpr RegexCut lines{"[^\\n]+|\\n+"};

// Cased letters, as DeepSeek LLM lists them.
constexpr const char* deepseek_letters =
    "\\s?[A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}\\x{1C4}-\\x{293}"
    "\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}-\\x{377}\\x{37B}-\\x{37D}\\x{37F}\\x{386}"
    "\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}"
    "\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}"
    "\\x{1CBD}-\\x{1CBF}\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}"
    "\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}"
    "\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}"
    "\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}"
    "\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}"
    "\\x{2126}\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}"
    "\\x{2145}-\\x{2149}\\x{214E}\\x{2183}-\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}"
    "\\x{2CEB}-\\x{2CEE}\\x{2CF2}-\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}"
    "\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}"
    "\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}"
    "\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}"
    "\\x{1E900}-\\x{1E943}]+";

// The blocks of the scripts that are written without spaces, as AFMoE lists them.
constexpr const char* unspaced_scripts =
    "[\\x{4E00}-\\x{9FFF}\\x{3400}-\\x{4DBF}\\x{F900}-\\x{FAFF}" KANA
    "\\x{FF65}-\\x{FF9F}\\x{2F00}-\\x{2FDF}\\x{0E40}-\\x{0E7F}\\x{0E80}-\\x{0EFF}\\x{1780}-\\x{17FF}"
    "\\x{1000}-\\x{109F}\\x{AA60}-\\x{AA7F}\\x{A9E0}-\\x{A9FF}\\x{AC00}-\\x{D7AF}\\x{1100}-\\x{11FF}]+";

// White space in pieces of powers of two, as Jais 2 has tokens for them.
constexpr const char* jais2 =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
    "|\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)"
    "|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s";

// A word reaches over single spaces; that no part of it can be taken in two ways lets it be matched without
// return.
constexpr const char* exaone_moe =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*+(?: \\p{L}\\p{M}*+)*+)++|\\p{N}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+";

}  // namespace

std::span<const PreTokenizerSpec> pre_tokenizer_specs() {
  static const std::vector<PreTokenizerSpec> specs = {
      {.names = {"default"},
       .steps = {RegexCut{"[\\p{P}$+<=>^~|]+"}, gpt2, RegexCut{"\\p{N}+"}, three_digits}},
      {.names = {"gpt-2", "olmo", "phi-2", "exaone4", "jais", "trillion", "gigachat", "mellum",
                 "granite-docling", "modern-bert", "roberta-bpe", "jina-es", "jina-de", "jina-v1-en",
                 "jina-v2-es", "jina-v2-de", "jina-v2-code", "a.x-4.0"},
       .steps = {gpt2}},
      {.names = {"mpt"}, .steps = {gpt2}, .nfc = true},
      {.names = {"starcoder", "refact", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"},
       .steps = {digit, gpt2}},
      {.names = {"command-r"}, .steps = {digit, gpt2}, .nfc = true},
      // The digits are cut out of the spelled bytes, where the six bytes of Latin-1's numbers count as
      // digits.
      {.names = {"falcon"},
       .steps = {RegexCut{"[\\p{P}$+<=>^`~|]+"}, gpt2, RegexCut{"[0-9\\xB2\\xB3\\xB9\\xBC-\\xBE]+", true},
                 three_digit_bytes}},
      {.names = {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
                 "jina-v5-nano"},
       .steps = {gpt4},
       .whole_words = true,
       .add_bos = true},
      {.names = {"dbrx", "smaug-bpe"}, .steps = {gpt4}},
      {.names = {"glm4", "glm5"}, .steps = {gpt4}, .whole_words = true, .after_bos = "<sop>"},
      {.names = {"chatglm-bpe"}, .steps = {gpt4}, .after_bos = "<sop>"},
      {.names = {"minicpm5"}, .steps = {up_to_three_digits, any_digits}, .whole_words = true},
      {.names = {"qwen2", "deepseek-r1-qwen", "megrez", "kormo", "f2llmv2"},
       .steps = {single_digits},
       .nfc = true},
      {.names = {"stablelm2", "hunyuan", "grok-2", "solar-open", "bailingmoe", "bailingmoe2", "llada-moe"},
       .steps = {single_digits}},
      {.names = {"laguna"}, .steps = {lines, single_digits}},
      {.names = {"qwen35"}, .steps = {WordRule{.letters = Letters::with_marks}}, .nfc = true},
      {.names = {"k2-horizon"}, .steps = {WordRule{.letters = Letters::with_joiners, .digits = 3}}},
      {.names = {"seed-coder"}, .steps = {WordRule{.tail = ""}}},
      {.names = {"ufakzeka"}, .steps = {WordRule{.contractions = Contractions::none}}},
      {.names = {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}, .steps = {gpt4o}},
      {.names = {"granite-embed-multi-97m"}, .steps = {gpt4o}, .whole_words = true},
      {.names = {"tekken"},
       .steps = {WordRule{
           .contractions = Contractions::none, .letters = Letters::upper_then_lower, .tail = "\r\n/"}},
       .whole_words = true,
       .add_bos = true},
      {.names = {"kimi-k2"},
       .steps = {WordRule{.contractions = Contractions::none,
                          .letters = Letters::upper_then_lower,
                          .contraction_after = true,
                          .han = true,
                          .digits = 3}}},
      {.names = {"youtu"},
       .steps = {RegexCut{
                     "[\\x{AC00}-\\x{D7A3}\\x{3131}-\\x{318E}]+"
                     "|[\\x{FF01}\\x{2026}\\x{201C}\\x{201D}\\x{2018}\\x{2019}\\x{2014}\\x{FF1A}\\x{FF1B}"
                     "\\x{FF0C}\\x{3001}-\\x{303F}\\x{FE30}-\\x{FE4F}]+"
                     "|[\\x{3105}-\\x{312F}]+|" HAN_AND_KANA},
                 WordRule{.contractions = Contractions::none,
                          .letters = Letters::upper_then_lower,
                          .contraction_after = true,
                          .tail = "\r\n/"}},
       .whole_words = true},
      {.names = {"tiny_aya", "cohere2moe"},
       .steps = {DigitGroups{.only_before_word_ends = true}, gpt4o},
       .nfc = true},
      {.names = {"superbpe"}, .steps = {DigitGroups{}}},
      {.names = {"afmoe"},
       .steps = {DigitGroups{}, RegexCut{unspaced_scripts}, RegexCut{MARKED_WORD "[\\r\\n]*" SPACE_TAIL}}},
      {.names = {"jais-2"}, .steps = {RegexCut{jais2}}},
      {.names = {"exaone-moe"}, .steps = {RegexCut{exaone_moe}}},
      // A run of whitespace is cut only from its beginning, so that long runs cost no more than their length.
      {.names = {"deepseek-llm"},
       .steps = {RegexCut{"[\\r\\n]"}, RegexCut{deepseek_letters},
                 RegexCut{"\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}"
                          "\\x{3000}-\\x{3002}]+"},
                 RegexCut{"(?<!\\s)\\s+(?m:$)"}, RegexCut{HAN_AND_HANGUL}, digit}},
      {.names = {"deepseek-coder"},
       .steps = {RegexCut{"[\\r\\n]"}, RegexCut{"\\s?\\p{L}+"}, RegexCut{"\\s?\\p{P}+"},
                 RegexCut{HAN_AND_HANGUL}, digit}},
      {.names = {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
       .steps = {up_to_three_digits, RegexCut{HAN_AND_KANA}, RegexCut{MARKED_WORD "[\\r\\n]*" SPACE_TAIL}}},
      {.names = {"spark2_5"},
       .steps = {up_to_three_digits, RegexCut{HAN_AND_KANA},
                 RegexCut{MARKED_WORD "|[\\r\\n]|\\s+(?!\\S)|\\s+"}}},
      {.names = {"bloom", "poro-chat", "gpt3-finnish"}, .steps = {RegexCut{CLAUSE}}},
      {.names = {"viking"}, .steps = {RegexCut{CLAUSE}, digit}},
      {.names = {"chameleon"},
       .steps = {RegexCut{"<sentinel:[0-9]+>"}, RegexCut{"(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"},
                 RegexCut{"[\\t\\n]|    |  "}, digit, RegexCut{"[\\p{P}!-/:-@\\[-`{-~]"}, gpt2},
       .add_bos = true},
  };
  return specs;
}

}  // namespace rf
