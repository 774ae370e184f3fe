// Work spread over threads of its own, for loading weights: it may run while the backend's pool runs a step,
// and takes so long that starting threads costs nothing beside it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace lorikeet {

// Calls body(begin, end) for ranges that cover [0, count) once, on up to `threads` threads. Ranges are handed
// out as threads become free. `largest` bounds a range's length. What a body throws is thrown here, once all
// threads are done.
template <class Body>
void parallel_ranges(int threads, int64_t count, const Body& body, int64_t largest = INT64_MAX) {
  constexpr int64_t kRangesPerThread = 8;
  const int64_t wanted = (count + kRangesPerThread * threads - 1) / (kRangesPerThread * threads);
  const int64_t step = std::clamp<int64_t>(wanted, 1, largest);
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr failure;  // the first
  const auto work = [&] {
    try {
      for (int64_t begin; (begin = next.fetch_add(step)) < count;) body(begin, std::min(count, begin + step));
    } catch (...) {
      if (!failed.exchange(true)) failure = std::current_exception();
      next.store(count);
    }
  };
  std::vector<std::thread> others;
  others.reserve(static_cast<size_t>(threads));
  try {
    for (int i = 1; i < threads && i * step < count; ++i) others.emplace_back(work);
  } catch (const std::exception&) {
    // The system has no more threads, or no memory for them: those that there are do it all.
  }
  work();
  for (std::thread& other : others) other.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace lorikeet
