// AttributePath: "address.city" or "0.name", as the filters' `attribute` arguments name a part of an item.
#pragma once
#include <vector>

#include "chat/jinja/heap.h"

namespace rf::jinja {

class AttributePath {
 public:
  // `attribute`: text, an index, or none() for the item itself. `fallback` stands in for a missing part
  // unless none().
  AttributePath(Render& render, const Value& attribute, const Value& fallback = Value::none());
  Value get(Render& render, const Value& item) const;

 private:
  std::vector<Value> parts_;
  Value fallback_;
};

}  // namespace rf::jinja
