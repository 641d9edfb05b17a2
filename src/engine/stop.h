// StopMatcher: finds stop strings in a text that comes in pieces, and holds back what may become one.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rf {

class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops);  // throws Error when one of them is empty

  // The text that is safe to show: all up to the first stop string (the one that ends first; of those the
  // longest), less the longest end that may begin one. Nothing comes after a stop string. Takes time in
  // proportion to `text` and to what is held back, for each stop string.
  std::string push(std::string_view text);
  std::string finish();  // the text still held back, which no longer can become a stop string

  bool stopped() const { return matched_ >= 0; }
  // The stop string that was found, "" before.
  std::string_view matched() const {
    return stopped() ? stops_[static_cast<std::size_t>(matched_)].text : std::string_view();
  }

 private:
  // Knuth, Morris and Pratt's automaton: `matching` bytes at the end of the text are the beginning of `text`.
  struct Stop {
    std::string text;
    std::vector<std::size_t>
        borders;  // by length of a beginning: its longest proper end that is a beginning too
    std::size_t matching = 0;

    void advance(char byte);
  };

  std::vector<Stop> stops_;
  std::ptrdiff_t matched_ = -1;  // a number of stops_
  std::string held_;
};

}  // namespace rf
