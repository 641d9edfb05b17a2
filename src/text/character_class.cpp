#include "text/character_class.h"

#include <utf8proc.h>

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

}  // namespace

CharacterClasses::CharacterClasses() {
  std::map<std::array<std::uint16_t, 256>, std::uint16_t> known;
  for (std::size_t block = 0; block < blocks_.size(); ++block) {
    std::array<std::uint16_t, 256> classes;
    for (std::size_t i = 0; i < classes.size(); ++i) {
      const auto point = static_cast<utf8proc_int32_t>(block << 8 | i);
      classes[i] = class_of_category(utf8proc_category(point));
      if ((point >= '\t' && point <= '\r') || point == 0x85) classes[i] |= white_space;
    }
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
