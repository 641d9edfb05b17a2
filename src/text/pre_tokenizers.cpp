// The table of published pre-tokenizers, as the models' own tokenizer files define them.
#include "text/pre_tokenizer.h"

// Contractions in any case, the tail that many patterns share, and the CJK ranges of DeepSeek.
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACE_TAIL "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define PUNCTUATION_TAIL "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" SPACE_TAIL
#define WORDS_THEN(NUMBERS) CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" NUMBERS PUNCTUATION_TAIL
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED_WORD(TAIL)                            \
  "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" TAIL \
  "|"                                               \
  "[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" TAIL
#define SLASH_TAIL "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" SPACE_TAIL
#define HAN_AND_HANGUL "[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"
#define CLAUSE " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{0964}\\x{06D4}\\x{060C})]+"

namespace rf {
namespace {

constexpr const char* gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)";
constexpr const char* three_digits = "[0-9][0-9][0-9]";

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

}  // namespace

std::span<const PreTokenizerSpec> pre_tokenizer_specs() {
  static const std::vector<PreTokenizerSpec> specs = {
      {.names = {"default"}, .patterns = {"[\\p{P}$+<=>^~|]+", gpt2, "\\p{N}+", three_digits}},
      {.names = {"gpt-2", "olmo", "phi-2", "exaone4", "jais", "trillion", "gigachat", "mellum",
                 "granite-docling", "modern-bert", "roberta-bpe", "jina-es", "jina-de", "jina-v1-en",
                 "jina-v2-es", "jina-v2-de", "jina-v2-code", "a.x-4.0"},
       .patterns = {gpt2}},
      {.names = {"mpt"}, .patterns = {gpt2}, .nfc = true},
      {.names = {"starcoder", "refact", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"},
       .patterns = {"\\p{N}", gpt2}},
      {.names = {"command-r"}, .patterns = {"\\p{N}", gpt2}, .nfc = true},
      // The digits are cut out of the spelled bytes, where the six bytes of Latin-1's numbers count as
      // digits.
      {.names = {"falcon"},
       .patterns = {"[\\p{P}$+<=>^`~|]+", gpt2},
       .byte_patterns = {"[0-9\\xB2\\xB3\\xB9\\xBC-\\xBE]+", three_digits}},
      {.names = {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"},
       .patterns = {WORDS_THEN("\\p{N}{1,3}")},
       .whole_words = true,
       .add_bos = true},
      {.names = {"dbrx", "smaug-bpe"}, .patterns = {WORDS_THEN("\\p{N}{1,3}")}},
      {.names = {"glm4", "chatglm-bpe"}, .patterns = {WORDS_THEN("\\p{N}{1,3}")}, .after_bos = "<sop>"},
      {.names = {"qwen2", "deepseek-r1-qwen", "megrez", "kormo", "f2llmv2"},
       .patterns = {WORDS_THEN("\\p{N}")},
       .nfc = true},
      {.names = {"stablelm2", "hunyuan", "grok-2", "solar-open"}, .patterns = {WORDS_THEN("\\p{N}")}},
      {.names = {"qwen35"},
       .patterns = {CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
                                "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" SPACE_TAIL},
       .nfc = true},
      {.names = {"gpt-4o", "llama4"}, .patterns = {CASED_WORD(CONTRACTION "?") "|\\p{N}{1,3}" SLASH_TAIL}},
      {.names = {"tekken"},
       .patterns = {CASED_WORD("") "|\\p{N}" SLASH_TAIL},
       .whole_words = true,
       .add_bos = true},
      // A run of whitespace is cut only from its beginning, so that long runs cost no more than their length.
      {.names = {"deepseek-llm"},
       .patterns =
           {"[\\r\\n]", deepseek_letters,
            "\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+",
            "(?<!\\s)\\s+(?m:$)", HAN_AND_HANGUL, "\\p{N}"}},
      {.names = {"deepseek-coder"},
       .patterns = {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", HAN_AND_HANGUL, "\\p{N}"}},
      {.names = {"deepseek-v3", "hunyuan-dense", "joyai-llm"},
       .patterns = {"\\p{N}{1,3}", "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+",
                    "[!\"#$%&'()*+,\\-./"
                    ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
                    "| ?[\\p{P}\\p{S}]+[\\r\\n]*" SPACE_TAIL}},
      {.names = {"bailingmoe", "bailingmoe2", "llada-moe"},
       .patterns = {"'(?:[sdmtSDMT]|[lL][lL]|[vV][eE]|[rR][eE])"
                    "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
                    "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}},
      {.names = {"seed-coder"},
       .patterns = {CONTRACTION
                    "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+" SPACE_TAIL}},
      {.names = {"bloom", "poro-chat", "gpt3-finnish"}, .patterns = {CLAUSE}},
      {.names = {"viking"}, .patterns = {CLAUSE, "\\p{N}"}},
      {.names = {"chameleon"},
       .patterns = {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "[\\t\\n]|    |  ", "\\p{N}",
                    "[\\p{P}!-/:-@\\[-`{-~]", gpt2},
       .add_bos = true},
  };
  return specs;
}

}  // namespace rf
