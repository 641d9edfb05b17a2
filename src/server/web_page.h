// The page for people, web/index.html, as it is inside the binary.
#pragma once
#include <string_view>

namespace rf {

std::string_view web_page();

}  // namespace rf
