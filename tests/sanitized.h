// Whether this is a build with sanitizers. They look for what is touched wrongly and not at what comes out,
// hence there grids of results are thinned out: each path is walked once.
#pragma once

namespace rf::test {

#ifdef RF_SANITIZED
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

}  // namespace rf::test
