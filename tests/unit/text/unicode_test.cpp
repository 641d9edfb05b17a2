#include "text/unicode.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <string>

#include "text/byte_alphabet.h"

namespace rf {
namespace {

std::string utf8_of(char32_t point) {
  std::string text;
  append_utf8(text, point);
  return text;
}

TEST(Unicode, EveryCharacterIsWholeAndReadsBack) {
  for (char32_t point = 0; point <= 0x10FFFF; point += point < 0x3000 ? 1 : 17) {
    if (point >= 0xD800 && point < 0xE000) continue;
    const std::string text = utf8_of(point);
    const Utf8Part part = first_utf8(text);
    ASSERT_EQ(part.kind, Utf8::valid) << std::hex << static_cast<unsigned>(point);
    ASSERT_EQ(part.bytes, text.size());
    ASSERT_EQ(code_point(text), point);
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
      ASSERT_EQ(first_utf8(text.substr(0, cut)).kind, Utf8::truncated);
      ASSERT_EQ(first_utf8(text.substr(0, cut)).bytes, cut);
    }
  }
}

// The examples of Unicode 15, section 3.9, tables 3-8 to 3-11.
TEST(Unicode, IllFormedPartsBecomeOneReplacementEach) {
  const std::string r(replacement_character);
  EXPECT_EQ(repaired_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"
                          "A"),
            r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(repaired_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF"
                          "A"),
            r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(repaired_utf8("\xF4\x91\x92\x93\xFF"
                          "A\x80\xBF"
                          "B"),
            r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(repaired_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
                          "A"),
            r + r + r + r + "A");
  EXPECT_EQ(repaired_utf8("a\xE2\x82"), "a" + r);
  EXPECT_EQ(well_formed_prefix("a\xC3\xA4\xE2\x82"), 3u);
}

TEST(Unicode, NormalFormC) {
  EXPECT_EQ(nfc("plain \xC3\xA9"), "");
  EXPECT_EQ(nfc("e\xCC\x81"), "\xC3\xA9");
  EXPECT_EQ(nfc("\xE2\x84\xAB"), "\xC3\x85");                              // the Angstrom sign
  EXPECT_EQ(nfc("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB"), "\xED\x95\x9C");  // jamo to a syllable
  EXPECT_EQ(nfc("a\xCC\x81\xCC\xA7"), "\xC3\xA1\xCC\xA7");                 // over a mark below
  EXPECT_EQ(nfc("q\xCC\x87\xCC\xA3"), "q\xCC\xA3\xCC\x87");                // marks in canonical order
  EXPECT_EQ(nfc("\xE0\xA5\x98"), "\xE0\xA4\x95\xE0\xA4\xBC");              // a composition exclusion
}

TEST(Unicode, NormalFormOfAMillionMarksTakesNoSquareTime) {
  std::string marks = "a";
  for (int i = 0; i < 250000; ++i) marks += "\xCC\x81\xCC\xA7";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(nfc(marks).size(), marks.size() - 1);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(ByteAlphabet, SpellsAllBytes) {
  const ByteAlphabet alphabet;
  std::string bytes;
  for (int value = 0; value < 256; ++value) bytes += static_cast<char>(value);
  EXPECT_EQ(alphabet.read(alphabet.spell(bytes)), bytes);
  EXPECT_EQ(alphabet.spell(" a\n\xFF"),
            "\xC4\xA0"
            "a\xC4\x8A\xC3\xBF");
  EXPECT_EQ(alphabet.read(" "), std::nullopt);
  EXPECT_EQ(alphabet.read("\xE2\x82\xAC"), std::nullopt);
  EXPECT_EQ(alphabet.read("\xC4"), std::nullopt);
}

// Normalising piece by piece must not show.
TEST(Unicode, NfcEqualsThatOfTheWholeText) {
  constexpr char32_t blocks[] = {0x20,   0xC0,   0x300,  0x320,  0x340,  0x5B0,  0x958,  0x9BE,
                                 0xB56,  0x1026, 0x1100, 0x1160, 0x11A0, 0x1EA0, 0x1F80, 0x2126,
                                 0x2ADC, 0x30D0, 0x3099, 0xAC00, 0xF900, 0xFB1D};
  std::mt19937 random(7);
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (std::size_t n = random() % 8; n > 0; --n)
      append_utf8(text, blocks[random() % std::size(blocks)] + static_cast<char32_t>(random() % 32));
    auto* whole = utf8proc_NFC(reinterpret_cast<const utf8proc_uint8_t*>(text.c_str()));
    const std::string own = nfc(text);
    EXPECT_EQ(own.empty() ? text : own, reinterpret_cast<const char*>(whole)) << text;
    std::free(whole);
  }
}

TEST(Unicode, NfdTakesCharactersApart) {
  EXPECT_EQ(nfd("plain"), "");
  EXPECT_EQ(nfd("\xC3\xA9"), "e\xCC\x81");
  EXPECT_EQ(nfd("\xED\x95\x9C"), "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB");
}

}  // namespace
}  // namespace rf
