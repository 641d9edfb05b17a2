#include "text/character_class.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>
#include <map>

namespace rf {
namespace {

std::uint16_t class_of_category(utf8proc_category_t category) {
  switch (category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
      return upper_case;
    case UTF8PROC_CATEGORY_LL:
      return lower_case;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return caseless_letter;
    case UTF8PROC_CATEGORY_MN:
      return nonspacing_mark;
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return other_mark;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return number;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return punctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return symbol;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return white_space;
    case UTF8PROC_CATEGORY_CC:
      return control;
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
      return invisible;
    case UTF8PROC_CATEGORY_CN:
      return 0;
  }
  return 0;
}

// Marks what composes: characters with a combining class, those that their own decomposition does not compose
// to again, and the last parts of decompositions, those of Hangul syllables included. Nothing below U+0300
// does.
void mark_composing(std::vector<std::uint16_t>& classes) {
  constexpr auto compose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  for (utf8proc_int32_t point = 0xC0; point < static_cast<utf8proc_int32_t>(classes.size()); ++point) {
    const utf8proc_property_t& property = *utf8proc_get_property(point);
    if (property.combining_class != 0) classes[static_cast<std::size_t>(point)] |= composes;
    if (property.decomp_seqindex == UINT16_MAX || property.decomp_type != 0) continue;
    utf8proc_int32_t parts[8];
    int boundary = 0;
    const auto count = utf8proc_decompose_char(point, parts, std::size(parts), UTF8PROC_DECOMPOSE, &boundary);
    if (count < 1 || count > static_cast<utf8proc_ssize_t>(std::size(parts))) continue;
    if (count > 1) classes[static_cast<std::size_t>(parts[count - 1])] |= composes;
    if (utf8proc_normalize_utf32(parts, count, compose) != 1 || parts[0] != point)
      classes[static_cast<std::size_t>(point)] |= composes;
  }
  for (std::size_t vowel = 0x1161; vowel <= 0x1175; ++vowel) classes[vowel] |= composes;
  for (std::size_t tail = 0x11A8; tail <= 0x11C2; ++tail) classes[tail] |= composes;
}

}  // namespace

CharacterClasses::CharacterClasses() {
  std::vector<std::uint16_t> all(blocks_.size() << 8);
  for (std::size_t point = 0; point < all.size(); ++point) {
    all[point] = class_of_category(utf8proc_category(static_cast<utf8proc_int32_t>(point)));
    if ((point >= '\t' && point <= '\r') || point == 0x85) all[point] |= white_space;
  }
  mark_composing(all);
  std::map<std::array<std::uint16_t, 256>, std::uint16_t> known;
  for (std::size_t block = 0; block < blocks_.size(); ++block) {
    std::array<std::uint16_t, 256> classes;
    std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(block << 8), 256, classes.begin());
    const auto [place, is_new] = known.emplace(classes, static_cast<std::uint16_t>(known.size()));
    if (is_new) classes_.insert(classes_.end(), classes.begin(), classes.end());
    blocks_[block] = place->second;
  }
}

const CharacterClasses& CharacterClasses::table() {
  static const CharacterClasses classes;
  return classes;
}

}  // namespace rf
