// OpCase: one case of the op tests, read from tests/ops/*.case.
//
// A line is  OP KEY=VALUE[,VALUE...] ...  and stands for the grid of all its lists. A line that begins with
// the word `pairs` stands for few cases instead, in which any two values of any two lists meet at least once.
// '#' starts a comment; a line that begins with a blank goes on with the line before it.
#pragma once
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace rf::test {

inline std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

class OpCase {
 public:
  OpCase(std::string op, std::map<std::string, std::string> values)
      : op_(std::move(op)), values_(std::move(values)) {}

  const std::string& op() const { return op_; }
  std::string text() const {
    std::string all = op_;
    for (const auto& [key, value] : values_) all += " " + key + "=" + value;
    return all;
  }
  std::string get(const std::string& key, const std::string& fallback = "") const {
    asked_.insert(key);
    const auto found = values_.find(key);
    return found == values_.end() ? fallback : found->second;
  }
  int number(const std::string& key, int fallback = 0) const {
    return std::stoi(get(key, std::to_string(fallback)));
  }
  float real(const std::string& key, float fallback) const {
    return std::stof(get(key, std::to_string(fallback)));
  }
  // Throws for a key that nobody has asked for: it would test nothing.
  void check_all_used() const {
    for (const auto& [key, value] : values_)
      if (!asked_.contains(key)) throw std::runtime_error(text() + ": unknown key " + key);
  }

 private:
  std::string op_;
  std::map<std::string, std::string> values_;
  mutable std::set<std::string> asked_;
};

struct ValueLists {
  std::vector<std::string> keys;
  std::vector<std::vector<std::string>> values;  // of each key

  std::map<std::string, std::string> choose(const std::vector<std::size_t>& choice) const {
    std::map<std::string, std::string> chosen;
    for (std::size_t k = 0; k < keys.size(); ++k) chosen[keys[k]] = values[k][choice[k]];
    return chosen;
  }
};

// Every combination, as indices into the lists.
inline std::vector<std::vector<std::size_t>> grid(const ValueLists& lists) {
  std::vector<std::vector<std::size_t>> all{{}};
  for (const auto& values : lists.values) {
    std::vector<std::vector<std::size_t>> longer;
    for (const auto& begun : all)
      for (std::size_t v = 0; v < values.size(); ++v) {
        longer.push_back(begun);
        longer.back().push_back(v);
      }
    all = std::move(longer);
  }
  return all;
}

// Combinations that cover all pairs, greedily: each starts from a pair that is still missing and takes, key
// by key, the value that completes most missing pairs.
inline std::vector<std::vector<std::size_t>> all_pairs(const ValueLists& lists) {
  using Choice = std::pair<std::size_t, std::size_t>;  // key, value
  const std::size_t keys = lists.keys.size();
  std::set<std::pair<Choice, Choice>> missing;
  for (std::size_t a = 0; a < keys; ++a)
    for (std::size_t b = a + 1; b < keys; ++b)
      for (std::size_t i = 0; i < lists.values[a].size(); ++i)
        for (std::size_t j = 0; j < lists.values[b].size(); ++j) missing.insert({{a, i}, {b, j}});
  std::vector<std::vector<std::size_t>> all;
  while (!missing.empty()) {
    const auto [first, second] = *missing.begin();
    std::vector<Choice> chosen{first, second};
    const auto completed = [&](const Choice& next) {
      std::vector<std::pair<Choice, Choice>> pairs;
      for (const Choice& before : chosen)
        if (const auto pair = std::minmax(before, next); missing.contains(pair)) pairs.push_back(pair);
      return pairs;
    };
    missing.erase(missing.begin());
    for (std::size_t k = 0; k < keys; ++k) {
      if (k == first.first || k == second.first) continue;
      Choice best{k, all.size() % lists.values[k].size()};
      for (std::size_t v = 0; v < lists.values[k].size(); ++v)
        if (completed({k, v}).size() > completed(best).size()) best.second = v;
      for (const auto& pair : completed(best)) missing.erase(pair);
      chosen.push_back(best);
    }
    std::vector<std::size_t>& choice = all.emplace_back(keys);
    for (const auto& [key, value] : chosen) choice[key] = value;
  }
  return all;
}

inline std::vector<OpCase> expand(const std::string& line) {
  std::istringstream in(line);
  std::string op;
  in >> op;
  const bool pairs = op == "pairs";
  if (pairs) in >> op;
  ValueLists lists;
  for (std::string word; in >> word;) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) throw std::runtime_error("'" + word + "' is no KEY=VALUE in: " + line);
    lists.keys.push_back(word.substr(0, equals));
    lists.values.push_back(split(word.substr(equals + 1), ','));
  }
  std::vector<OpCase> cases;
  for (const auto& choice : pairs ? all_pairs(lists) : grid(lists))
    cases.emplace_back(op, lists.choose(choice));
  return cases;
}

// All cases of a file, in its order.
inline std::vector<OpCase> read_cases(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot open " + path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    line = line.substr(0, line.find('#'));
    if (line.find_first_not_of(' ') == std::string::npos) continue;
    if (line[0] == ' ' && !lines.empty())
      lines.back() += line;
    else
      lines.push_back(line);
  }
  std::vector<OpCase> cases;
  for (const std::string& line : lines)
    for (OpCase& one : expand(line)) cases.push_back(std::move(one));
  return cases;
}

}  // namespace rf::test
