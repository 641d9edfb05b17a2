// JSON schemas: what they allow, what they refuse, and that random ones always lead to a complete JSON text.
#include "chat/grammar/json_schema.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "grammar.h"

namespace rf {
namespace {

using namespace test;
using Json = nlohmann::ordered_json;

std::shared_ptr<const TokenGrammar> schema(std::string_view text, const Trie& trie = byte_trie()) {
  return TokenGrammar::make(grammar::parse_json_schema(text), trie);
}

struct Case {
  const char* schema;
  std::vector<std::string> yes, no;
};

TEST(JsonSchema, Allows) {
  const std::vector<Case> cases = {
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"]})",
       {R"({"a":1})", R"({"a": -12, "b": "x"})", "{\n  \"a\": 0,\n  \"b\": \"\\u00e9\"\n}"},
       {"{}", R"({"b":"x","a":1})", R"({"a":1.5})", R"({"a":1,"c":2})", R"({"a":01})", "{\"a\" :1}"}},
      {R"({"properties":{"a":{"const":1},"b":true,"c":{"enum":["x",null]}}})",
       {"{}", R"({"a":1})", R"({"c":null})", R"({"a":1,"c":"x"})", R"({"b":[{}],"c":"x"})"},
       {R"({"c":"x","a":1})", R"({,})", R"({"a":1,})", "[]"}},
      {R"({"type":"object","properties":{"ab":{"type":"null"}},"additionalProperties":{"type":"boolean"}})",
       {R"({"ab":null})", R"({"a":true})", R"({"ab":null,"abc":false,"":true})", R"({"b":true})"},
       {R"({"ab":true})", R"({"\u0061b":true})", R"({"x":1})"}},
      {R"({"type":"object"})", {"{}", R"({"x":[1,2.5e3,{"y":"z"}]})"}, {"1"}},
      {R"({"type":"array","items":{"type":"boolean"},"minItems":1,"maxItems":3})",
       {"[true]", "[true, false,true]"},
       {"[]", "[true,true,true,true]", "[1]"}},
      {R"({"prefixItems":[{"const":1},{"const":2}],"items":{"const":3},"minItems":1})",
       {"[1]", "[1,2]", "[1,2,3,3]"},
       {"[]", "[2]", "[1,3]"}},
      {R"({"prefixItems":[{"const":1},{"const":2}],"items":false})", {"[]", "[1,2]"}, {"[1,2,3]"}},
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {"\"ab\"", "\"\xF0\x9F\x98\x80\\n\xC3\xA9\""},
       {"\"a\"", "\"abcd\"", "\"\\ud800x\"", "\"a\nb\""}},
      {R"({"type":"string","maxLength":40})",
       {"\"\"", "\"" + std::string(40, 'x') + "\""},
       {"\"" + std::string(41, 'x') + "\""}},
      {R"({"type":"string","pattern":"^a\"[0-9]+\\n$"})", {R"("a\"12\n")"}, {R"("a12")", "\"a\"12\n\""}},
      {R"({"type":"string","pattern":"b+"})", {R"("xxbyy")", R"("b")"}, {R"("xyz")"}},
      {R"({"type":"integer","minimum":-5,"exclusiveMaximum":120})",
       {"-5", "0", "7", "119", "99"},
       {"-6", "120", "1000", "-0", "007", "1.0"}},
      {R"({"type":"number","minimum":0.25,"maximum":10})",
       {"0.25", "0.3", "1", "9.99", "10", "10.0"},
       {"0.2", "0", "10.1", "-1", "0.2499", "100"}},
      {R"({"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1})",
       {"0.5", "0.001", "0.99"},
       {"0", "1", "0.0", "1.0", "-0.1"}},
      {R"({"type":"number","maximum":-1.5})", {"-1.5", "-2", "-100.25"}, {"-1.4", "0", "1", "-1"}},
      {R"({"type":["number","null"]})", {"null", "-1.5e-10", "0", "1E5"}, {"\"x\"", "1.", ".5", "00"}},
      {R"({"enum":["a",1,{"k":[1,2]},null]})", {"\"a\"", "1", R"({"k": [1, 2]})", "null"}, {"\"b\"", "2"}},
      {R"({"anyOf":[{"type":"string","maxLength":1},{"type":"integer","minimum":3}]})",
       {"\"a\"", "4"},
       {"2", "\"ab\""}},
      {R"({"allOf":[{"properties":{"a":{"type":"number"}},"required":["a"]},{"properties":{"a":{"minimum":2},"b":{"type":"null"}}}],"type":"object"})",
       {R"({"a":2})", R"({"a":3.5,"b":null})"},
       {R"({"a":1})", "{}"}},
      {R"({"type":"object","properties":{"a":{},"b":{}},"anyOf":[{"required":["a"]},{"required":["b"]}]})",
       {R"({"a":1})", R"({"b":1})", R"({"a":1,"b":2})"},
       {"{}"}},
      {R"({"oneOf":[{"properties":{"k":{"const":"x"},"v":{"type":"integer"}},"required":["k","v"]},{"properties":{"k":{"const":"y"}},"required":["k"]}]})",
       {R"({"k":"x","v":1})", R"({"k":"y"})"},
       {R"({"k":"x"})"}},
      {R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"]}}})",
       {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":2,"next":null}})"},
       {R"({"v":1})"}},
      {R"({"type":"string","format":"date"})",
       {"\"2024-02-29\"", "\"1999-12-31\""},
       {"\"2023-02-29\"", "\"2024-13-01\"", "\"x\""}},
      {R"({"type":"string","format":"uuid"})", {"\"123e4567-e89b-12d3-a456-426614174000\""}, {"\"123\""}},
      {R"({"type":"string","format":"ipv4"})", {"\"192.168.0.255\""}, {"\"256.1.1.1\"", "\"1.1.1\""}},
      {R"({"type":"string","format":"ipv6"})",
       {"\"::1\"", "\"1::\"", "\"1:2:3:4:5:6:7:8\"", "\"fe80::1:2\""},
       {"\":1\"", "\"1:2:3\"", "\"1:2:3:4:5:6:7:8:9\""}},
      {R"(true)", {"1", "[]", "\"x\""}, {"x", ""}},
      {R"({"type":"integer","multipleOf":15,"minimum":-40,"maximum":1000})",
       {"0", "15", "-30", "990"},
       {"-45", "10", "1005", "015"}},
      {R"({"type":"number","multipleOf":0.25,"minimum":0})",
       {"0", "1.5", "1.75", "2.25"},
       {"1.1", "0.3", "-0.25"}},
      {R"({"type":"integer","multipleOf":100000})", {"0", "300000", "-100000"}, {"30000", "1"}},
      {R"({"type":"string","pattern":"^[a-z]+$","minLength":2,"maxLength":3})",
       {"\"ab\"", "\"abc\""},
       {"\"a\"", "\"abcd\""}},
      {R"({"allOf":[{"type":"string","pattern":"^a"},{"pattern":"z$"}]})",
       {"\"az\"", "\"abcz\""},
       {"\"a\"", "\"bz\""}},
      {R"({"type":"string","format":"date","pattern":"^2024"})", {"\"2024-02-29\""}, {"\"2023-01-01\""}},
      {R"({"type":"object","patternProperties":{"^x-":{"type":"integer"}},"properties":{"a":{}},"additionalProperties":false})",
       {R"({"a":1})", R"({"x-q":1})", R"({"a":null,"x-":2,"x-y":3})", "{}"},
       {R"({"b":1})", R"({"x-q":"1"})"}},
      {R"({"type":"object","additionalProperties":{"type":"null"},"propertyNames":{"pattern":"^[a-c]$"}})",
       {R"({"a":null})", R"({"b":null,"c":null})", "{}"},
       {R"({"d":null})", R"({"ab":null})"}},
      {R"({"type":"object","properties":{"a":{"const":1},"b":{"const":2},"c":{"const":3}},"minProperties":2,"maxProperties":2})",
       {R"({"a":1,"b":2})", R"({"a":1,"c":3})", R"({"b":2,"c":3})"},
       {R"({"a":1})", "{}", R"({"a":1,"b":2,"c":3})"}},
      {R"({"type":"array","items":{"type":"integer"},"contains":{"const":7},"maxItems":3})",
       {"[7]", "[1,7]", "[7,7,1]"},
       {"[]", "[1]", "[1,2,3]", "[7,1,1,1]"}},
      {R"({"type":"array","items":{"enum":["a","b",1]},"uniqueItems":true,"minItems":1})",
       {R"(["a"])", R"([1,"b","a"])"},
       {"[]", R"(["a","a"])"}},
      {R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"}},"dependentRequired":{"a":["b"]}})",
       {R"({"a":null,"b":null})", R"({"b":null})", "{}"},
       {R"({"a":null})"}},
      {R"({"type":"object","properties":{"k":{"enum":["x","y"]},"v":{"type":"integer"}},"required":["k"],)"
       R"("if":{"properties":{"k":{"const":"x"}},"required":["k"]},"then":{"required":["v"]}})",
       {R"({"k":"x","v":1})", R"({"k":"y"})"},
       {R"({"k":"x"})"}},
      {R"({"type":["string","null"],"not":{"enum":["a","b"]}})",
       {"\"c\"", "null", "\"ab\""},
       {"\"a\"", "\"b\""}},
      {R"({"enum":[1,5,"a"],"minimum":2})", {"5", "\"a\""}, {"1"}},
      {R"({"allOf":[{"properties":{"a":{"type":"null"}}}],"properties":{"b":{"type":"null"}},"unevaluatedProperties":false})",
       {R"({"b":null,"a":null})", "{}"},
       {R"({"c":null})"}},
      {R"({"oneOf":[{"properties":{"a":{"type":"null"}},"required":["a"]},{"properties":{"b":{"type":"null"}},"required":["b"]}]})",
       {R"({"a":null})", R"({"b":null})"},
       {R"({"a":null,"b":null})", "{}"}},
      {R"({"title":"T","description":"d","default":1,"x-y":2,"type":"null"})", {"null"}, {"1"}},
  };
  for (const Case& c : cases) {
    const auto grammar = schema(c.schema);
    for (const std::string& text : c.yes) EXPECT_TRUE(allows(*grammar, text)) << c.schema << " on " << text;
    for (const std::string& text : c.no) EXPECT_FALSE(allows(*grammar, text)) << c.schema << " on " << text;
  }
}

TEST(JsonSchema, Refuses) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"{", "JSON"},
      {"[]", "expected an object"},
      {R"({"type":"text"})", "#/type"},
      {R"({"properties":{"a":{"not":{"pattern":"x"}}}})", "#/properties/a/not/pattern"},
      {R"({"type":"number","not":{"const":1}})", "#/not"},
      {R"({"$dynamicRef":"#x"})", "#/$dynamicRef"},
      {R"({"type":"array","contains":{"type":"null"},"maxContains":2})", "#/maxContains"},
      {R"({"type":"string","pattern":"^a*$","maxLength":5000})", "#/maxLength"},
      {R"({"type":"object","properties":{"a":{}},"additionalProperties":true,"minProperties":3})",
       "#/minProperties"},
      {R"({"enum":["a"],"type":"integer"})", "#/enum"},
      {R"({"enum":[{"a":1}],"maxProperties":1})", "#/maxProperties"},
      {R"({"$ref":"#/$defs/x"})", "#/$ref"},
      {R"({"$ref":"http://x/y"})", "same document"},
      {R"({"$ref":"#"})", "itself"},
      {R"({"allOf":[{"$ref":"#"}]})", "itself"},
      {R"({"type":"array","uniqueItems":true})", "uniqueItems"},
      {R"({"type":"integer","multipleOf":2001})", "#/multipleOf"},
      {R"({"type":"integer","multipleOf":0})", "#/multipleOf"},
      {R"j({"type":"string","pattern":"(?=x)"})j", "#/pattern"},
      {R"({"type":"string","minLength":-1})", "minLength"},
      {R"({"oneOf":[{"type":"number"},{"type":"integer"}]})", "anyOf"},
      {R"({"type":"integer","minimum":3,"maximum":2})", "matches no text"},
      {R"(false)", "matches no text"},
      {R"j({"patternProperties":{"(?!a)":{}}})j", "#/patternProperties"},
      {R"({"$defs":{"a":{"properties":{"x":{"$ref":"#/$defs/a"}},"required":["x"]}},"$ref":"#/$defs/a"})",
       "matches no text"},
  };
  for (const auto& [text, part] : cases) {
    std::string message;
    try {
      schema(text);
    } catch (const Error& error) {
      message = error.what();
    }
    EXPECT_NE(message.find(part), std::string::npos) << text << ": " << message;
  }
  EXPECT_THROW(schema(std::string(300, '[') + std::string(300, ']')), Error);
}

class RandomSchema {
 public:
  explicit RandomSchema(unsigned seed) : random_(seed) {}
  Json make(int depth = 3) {
    switch (pick(depth > 0 ? 11 : 7)) {
      case 0:
        return {{"type", "string"}};
      case 1:
        return {{"type", "integer"}, {"minimum", pick(50) - 100}, {"maximum", pick(3000) - 20}};
      case 2:
        return {{"type", "number"},
                {"exclusiveMinimum", pick(100) / 8.0 - 5},
                {"maximum", 20 + pick(100) / 16.0}};
      case 3:
        return {{"enum", {"a\"b", pick(9), nullptr, true, {{"x", {1, 2}}}}}};
      case 4:
        return {{"type", "string"}, {"minLength", pick(5)}, {"maxLength", 5 + pick(60)}};
      case 5: {
        static const char* const formats[] = {"date", "time",  "date-time", "uuid",     "ipv4",
                                              "ipv6", "email", "uri",       "hostname", "duration"};
        return {{"type", "string"}, {"format", formats[pick(10)]}};
      }
      case 6:
        return {{"type", "string"}, {"pattern", pick(2) == 0 ? "^[A-Z]{2,4}-\\d+$" : "x[\"\\\\]y"}};
      case 7:
        return {{"anyOf", {make(depth - 1), make(depth - 1)}}};
      case 8:
        return {
            {"type", "array"}, {"items", make(depth - 1)}, {"minItems", pick(3)}, {"maxItems", 3 + pick(9)}};
      default: {
        Json properties = Json::object(), required = Json::array();
        for (int i = 0, n = pick(6); i < n; ++i) {
          const std::string name = "k" + std::to_string(i * i * i * i);
          properties[name] = make(depth - 1);
          if (pick(2) == 0) required.push_back(name);
        }
        Json object = {{"type", "object"}, {"properties", properties}, {"required", required}};
        if (pick(3) == 0) object["additionalProperties"] = make(0);
        return object;
      }
    }
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  std::mt19937 random_;
};

TEST(JsonSchema, RandomOnesEndInJson) {
  const Trie small = mixed_trie();
  for (unsigned seed = 0; seed < 150; ++seed) {
    const std::string text = RandomSchema(seed).make().dump();
    SCOPED_TRACE(text);
    const std::string answer = random_text(*schema(text, small), seed, 50, 2);
    EXPECT_TRUE(Json::accept(answer)) << answer;
  }
}

TEST(JsonSchema, RandomOnesOverRealVocabularies) {
  for (const char* name : {"ggml-vocab-gpt-2.gguf", "ggml-vocab-phi-3.gguf", "qwen3-vocab.gguf"}) {
    const Trie trie = golden_trie(name);
    if (trie == nullptr) continue;
    for (unsigned seed = 1000; seed < 1006; ++seed) {
      const std::string text = RandomSchema(seed).make().dump();
      SCOPED_TRACE(std::string(name) + " " + text);
      const std::string answer = random_text(*schema(text, trie), seed, 40, 29);
      EXPECT_TRUE(Json::accept(answer)) << answer;
    }
  }
}

}  // namespace
}  // namespace rf
