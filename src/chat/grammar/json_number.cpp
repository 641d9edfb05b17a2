#include "chat/grammar/json_number.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>

#include "base/error.h"

namespace rf::grammar {
namespace {

constexpr int usual_digits = 15;  // that a double keeps exactly
constexpr int most_fraction = 20;
constexpr double largest = 9e15;  // that bounds are followed to: doubles below are exact to the unit

// A decimal that is not negative: whole part and digits after the point.
struct Decimal {
  std::int64_t whole = 0;
  std::string fraction{};
};

struct Bound {
  Decimal value;
  bool exclusive = false;
};

Decimal decimal_of(double value) {
  // The shortest digits that give the same double back, written without an exponent.
  for (int digits = 0; digits <= most_fraction; ++digits) {
    const std::string text = fmt::format("{:.{}f}", value, digits);
    if (std::stod(text) != value) continue;
    const std::size_t point = text.find('.');
    return {std::stoll(text), point == text.npos ? "" : text.substr(point + 1)};
  }
  fail("JSON schema: the bound {} has more than {} digits after the point", value, most_fraction);
}

PartId digit(Rules& rules, int low = 0, int high = 9) {
  return rules.range(static_cast<unsigned>('0' + low), static_cast<unsigned>('0' + high));
}

// All texts of digits as long as `low` and `high`, between them.
PartId digits_between(Rules& rules, const std::string& low, const std::string& high) {
  if (low.empty()) return rules.sequence({});
  const int a = low[0] - '0', b = high[0] - '0';
  const std::string low_rest = low.substr(1), high_rest = high.substr(1);
  if (a == b) return rules.sequence({digit(rules, a, a), digits_between(rules, low_rest, high_rest)});
  const std::string zeros(low_rest.size(), '0'), nines(low_rest.size(), '9');
  const auto count = static_cast<std::int32_t>(low_rest.size());
  std::vector<PartId> parts;
  const int first = low_rest == zeros ? a : a + 1, last = high_rest == nines ? b : b - 1;
  if (first > a)
    parts.push_back(rules.sequence({digit(rules, a, a), digits_between(rules, low_rest, nines)}));
  if (first <= last)
    parts.push_back(rules.sequence({digit(rules, first, last), rules.repeat(digit(rules), count, count)}));
  if (last < b)
    parts.push_back(rules.sequence({digit(rules, b, b), digits_between(rules, zeros, high_rest)}));
  return rules.choice(std::move(parts));
}

// Whole numbers from `low` to `high`, neither negative, each followed by after(its number of digits).
PartId whole_between(Rules& rules, std::int64_t low, std::int64_t high,
                     const std::function<PartId(int)>& after) {
  std::vector<PartId> parts;
  std::int64_t begin = 0, end = 9;  // of the numbers with as many digits
  for (int digits = 1; low <= high && begin <= high; ++digits) {
    const std::int64_t a = std::max(low, begin), b = std::min(high, end);
    if (a <= b)
      parts.push_back(
          rules.sequence({digits_between(rules, std::to_string(a), std::to_string(b)), after(digits)}));
    begin = end + 1;
    end = end * 10 + 9;
  }
  return rules.choice(std::move(parts));
}

PartId whole_between(Rules& rules, std::int64_t low, std::int64_t high) {
  return whole_between(rules, low, high, [&](int) { return rules.sequence({}); });
}

// What may come after the whole part's digits, `low` and `high` being the fractions that bound it, if any.
class Fraction {
 public:
  Fraction(Rules& rules, const Bound* low, const Bound* high, int digits)
      : rules_(rules), low_(low), high_(high), digits_(static_cast<std::size_t>(digits)) {}

  PartId part() {
    const PartId some = rules_.sequence({rules_.byte('.'), next(0, low_ != nullptr, high_ != nullptr)});
    return may_end(0, low_ != nullptr, high_ != nullptr) ? rules_.optional(some) : some;
  }

 private:
  static int digit_at(const Bound& bound, std::size_t place) {
    return place < bound.value.fraction.size() ? bound.value.fraction[place] - '0' : 0;
  }
  static bool zero_from(const Bound& bound, std::size_t place) {
    return place >= bound.value.fraction.size() ||
           bound.value.fraction.find_first_not_of('0', place) == std::string::npos;
  }
  // Whether the digits before `place`, equal to the bound's where at it, are a number within the bounds.
  bool may_end(std::size_t place, bool at_low, bool at_high) const {
    if (at_low && (!zero_from(*low_, place) || low_->exclusive)) return false;
    return !at_high || !zero_from(*high_, place) || !high_->exclusive;
  }
  // At least one more digit.
  PartId next(std::size_t place, bool at_low, bool at_high) {
    const auto left = static_cast<std::int32_t>(digits_ - place);
    if (left <= 0) return rules_.choice({});
    if (!at_low && !at_high) return rules_.repeat(digit(rules_), 1, left);
    const int a = at_low ? digit_at(*low_, place) : 0, b = at_high ? digit_at(*high_, place) : 9;
    std::vector<PartId> parts;
    const auto add = [&](int from, int to, bool low, bool high) {
      if (from > to) return;
      const PartId more = next(place + 1, low, high);
      parts.push_back(rules_.sequence(
          {digit(rules_, from, to), may_end(place + 1, low, high) ? rules_.optional(more) : more}));
    };
    if (a == b) {
      add(a, a, at_low, at_high);
    } else {
      if (at_low) add(a, a, true, false);
      add(a + (at_low ? 1 : 0), b - (at_high ? 1 : 0), false, false);
      if (at_high) add(b, b, false, true);
    }
    return rules_.choice(std::move(parts));
  }

  Rules& rules_;
  const Bound *low_, *high_;
  std::size_t digits_;
};

// Decimals between bounds that are not negative.
PartId decimal_between(Rules& rules, const Bound& low, const Bound& high) {
  const std::int64_t a = low.value.whole, b = high.value.whole;
  const auto asked = static_cast<int>(std::max(low.value.fraction.size(), high.value.fraction.size()));
  const auto fraction = [&](int digits, const Bound* from, const Bound* to) {
    return Fraction(rules, from, to, std::max({1, usual_digits - digits, asked})).part();
  };
  const auto at = [&](std::int64_t whole, const Bound* from, const Bound* to) {
    const std::string digits = std::to_string(whole);
    return rules.sequence({rules.literal(digits), fraction(static_cast<int>(digits.size()), from, to)});
  };
  if (a > b) return rules.choice({});
  if (a == b) return at(a, &low, &high);
  const PartId inside =
      whole_between(rules, a + 1, b - 1, [&](int digits) { return fraction(digits, nullptr, nullptr); });
  return rules.choice({at(a, &low, nullptr), inside, at(b, nullptr, &high)});
}

// The least and the most, or what stands for their absence.
double least_of(const std::optional<NumberBound>& bound) {
  return bound && bound->value > -largest ? bound->value : -INFINITY;
}
double most_of(const std::optional<NumberBound>& bound) {
  return bound && bound->value < largest ? bound->value : INFINITY;
}

constexpr double usual_most = 999'999'999'999'999;

void check(double least, double most) {
  if (least > largest || most < -largest) fail("JSON schema: numbers are followed up to {:g} only", largest);
}

}  // namespace

PartId integer(Rules& rules, std::optional<NumberBound> least, std::optional<NumberBound> most) {
  double low = least_of(least), high = most_of(most);
  check(least ? least->value : low, most ? most->value : high);
  if (std::isfinite(low)) low = least->exclusive ? std::floor(low) + 1 : std::ceil(low);
  if (std::isfinite(high)) high = most->exclusive ? std::ceil(high) - 1 : std::floor(high);
  if (!std::isfinite(low)) low = std::min(-usual_most, high < 0 ? high * 10 : 0);
  if (!std::isfinite(high)) high = std::max(usual_most, low > 0 ? low * 10 : 0);
  const auto a = static_cast<std::int64_t>(low), b = static_cast<std::int64_t>(high);
  const PartId negative =
      rules.sequence({rules.byte('-'), whole_between(rules, std::max<std::int64_t>(1, -b), -a)});
  return rules.choice({whole_between(rules, std::max<std::int64_t>(0, a), b), negative});
}

PartId number(Rules& rules, std::optional<NumberBound> least, std::optional<NumberBound> most) {
  double low = least_of(least), high = most_of(most);
  check(least ? least->value : low, most ? most->value : high);
  if (!std::isfinite(low) && !std::isfinite(high)) {
    const PartId digits = rules.repeat(digit(rules), 1, usual_digits);
    ByteSet e, sign;
    e.set('e').set('E');
    sign.set('+').set('-');
    return rules.sequence({rules.optional(rules.byte('-')),
                           whole_between(rules, 0, static_cast<std::int64_t>(usual_most)),
                           rules.optional(rules.sequence({rules.byte('.'), digits})),
                           rules.optional(rules.sequence({rules.bytes(e), rules.optional(rules.bytes(sign)),
                                                          rules.repeat(digit(rules), 1, 2)}))});
  }
  if (!std::isfinite(low)) low = std::min(-usual_most, high < 0 ? high * 10 : 0);
  if (!std::isfinite(high)) high = std::max(usual_most, low > 0 ? low * 10 : 0);
  const Bound zero{}, from{decimal_of(std::abs(low)), least && least->exclusive && low == least->value},
      to{decimal_of(std::abs(high)), most && most->exclusive && high == most->value};
  std::vector<PartId> parts;
  if (high >= 0)
    parts.push_back(decimal_between(rules, low > 0 || (low == 0 && from.exclusive) ? from : zero, to));
  if (low < 0)
    parts.push_back(
        rules.sequence({rules.byte('-'), decimal_between(rules, high < 0 ? to : Bound{{}, true}, from)}));
  return rules.choice(std::move(parts));
}

// Digits are read one by one, keeping the rest that they leave and how many of them came after the point.
PartId multiples(Rules& rules, double of) {
  constexpr std::int64_t most = 2000;
  const Decimal decimal = decimal_of(of);
  std::string digits = std::to_string(decimal.whole) + decimal.fraction;
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
  std::int32_t zeros = 0;
  for (; digits.ends_with('0') && decimal.fraction.empty(); digits.pop_back()) ++zeros;
  const std::int64_t factor = digits.size() > 4 ? most + 1 : std::stoll(digits);
  if (factor > most) fail("expected at most {} apart from zeros at the end, found {}", most, of);
  const auto places = static_cast<std::int64_t>(decimal.fraction.size());
  // States by rest and by place: 0 before the point, 1 right after it, 2 after one digit more, ...
  const auto state = [&](std::int64_t rest, std::int64_t place) {
    return static_cast<std::int32_t>(place * factor + rest);
  };
  Graph graph;
  graph.states.resize(static_cast<std::size_t>(factor * (places + 2)));
  for (std::int64_t place = 0; place <= places + 1; ++place)
    for (std::int64_t rest = 0; rest < factor; ++rest) {
      Graph::State& at = graph.states[static_cast<std::size_t>(state(rest, place))];
      std::int64_t whole = rest;
      for (std::int64_t i = place == 0 ? 0 : place - 1; i < places; ++i) whole = whole * 10 % factor;
      at.accepting = place != 1 && whole == 0;
      if (place == 0 && places > 0) at.edges.push_back({'.', '.', state(rest, 1)});
      if (place == places + 1) continue;
      for (std::int64_t d = 0; d < 10; ++d) {
        const auto byte = static_cast<std::uint8_t>('0' + d);
        at.edges.push_back({byte, byte, state((rest * 10 + d) % factor, place == 0 ? 0 : place + 1)});
      }
    }
  const PartId number = rules.sequence(
      {rules.graph(std::move(graph)), rules.literal(std::string(static_cast<std::size_t>(zeros), '0'))});
  return rules.sequence({rules.optional(rules.byte('-')), rules.choice({number, rules.byte('0')})});
}

}  // namespace rf::grammar
