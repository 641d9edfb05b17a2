#include "server/web_page.h"

// The assembler copies the file, which takes no time at any size.
asm(R"(
  .section .rodata
  .global rf_web_page_begin
  .global rf_web_page_end
rf_web_page_begin:
  .incbin ")" RF_WEB_PAGE R"("
rf_web_page_end:
  .byte 0
  .previous
)");

extern "C" const char rf_web_page_begin[], rf_web_page_end[];

namespace rf {

std::string_view web_page() {
  return {rf_web_page_begin, static_cast<std::size_t>(rf_web_page_end - rf_web_page_begin)};
}

}  // namespace rf
