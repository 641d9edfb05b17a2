// JSON numbers between bounds, digit by digit.
#pragma once
#include <optional>

#include "chat/grammar/rules.h"

namespace rf::grammar {

struct NumberBound {
  double value;
  bool exclusive;
};

// Whole numbers without fraction or exponent, of at most 15 digits where no bound asks for more.
PartId integer(Rules& rules, std::optional<NumberBound> least, std::optional<NumberBound> most);
// Any number: at most 15 digits before the point and 15 after it, and an exponent of at most two digits where
// there is no bound; of at most 15 digits in all and no exponent where there is one.
PartId number(Rules& rules, std::optional<NumberBound> least, std::optional<NumberBound> most);

// The multiples of a number above 0, without exponents; also with zeros before them. Throws Error where its
// digits, less zeros at their end, are more than 2000.
PartId multiples(Rules& rules, double of);

}  // namespace rf::grammar
