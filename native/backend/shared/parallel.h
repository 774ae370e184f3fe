// Work spread over threads of its own, for loading weights: it may run while the backend's pool runs a step,
// and takes so long that starting threads costs nothing beside it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace lorikeet {

// Calls body(begin, end) for ranges that cover [0, count) once, on up to `threads` threads. Ranges are handed
// out as threads become free. `largest` bounds a range's length.
template <class Body>
void parallel_ranges(int threads, int64_t count, const Body& body, int64_t largest = INT64_MAX) {
  constexpr int64_t kRangesPerThread = 8;
  const int64_t wanted = (count + kRangesPerThread * threads - 1) / (kRangesPerThread * threads);
  const int64_t step = std::clamp<int64_t>(wanted, 1, largest);
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    for (int64_t begin; (begin = next.fetch_add(step)) < count;) body(begin, std::min(count, begin + step));
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads && i * step < count; ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
}

}  // namespace lorikeet
