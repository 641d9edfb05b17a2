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
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-"
    "ώᾀ-ᾴᾶ-ᾼι"
    "ῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-"
    "𐓻𐲀-𐲲𐳀-𐳲𑢠-"
    "𑣟𞤀-𞥃]+";

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
      {.names = {"falcon"}, .patterns = {"[\\p{P}$+<=>^`~|]+", gpt2, "\\p{N}+", three_digits}},
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
       .patterns = {"[\\r\\n]", deepseek_letters, "\\s?[!-/:-~！-／：-～‘-‟\\x{3000}-\\x{3002}]+",
                    "(?<!\\s)\\s+(?m:$)", HAN_AND_HANGUL, "\\p{N}"}},
      {.names = {"deepseek-coder"},
       .patterns = {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", HAN_AND_HANGUL, "\\p{N}"}},
      {.names = {"deepseek-v3", "hunyuan-dense", "joyai-llm"},
       .patterns = {"\\p{N}{1,3}", "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+",
                    "[!\"#$%&'()*+,\\-./"
                    ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
                    "| ?[\\p{P}\\p{S}]+[\\r\\n]*" SPACE_TAIL}},
      {.names = {"bailingmoe", "bailingmoe2", "llada-moe"},
       .patterns = {CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
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
