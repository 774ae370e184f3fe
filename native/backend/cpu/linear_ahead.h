// Cutting the memory that a linear op asks for ahead of its use.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "backend/cpu/quantized_kernels.h"

namespace lorikeet::cpu {

inline int64_t bytes_of(std::span<const Ahead::Run> runs) {
  int64_t bytes = 0;
  for (const Ahead::Run& run : runs) bytes += run.end - run.next;
  return bytes;
}

struct Share {
  int64_t number;  // in [0, count)
  int64_t count;
};

// Writes the share of `from`, whole cache lines, to `to`; returns the number of runs written. What does not
// fit is left out: nothing depends on it but speed.
inline size_t write_share(std::span<const Ahead::Run> from, Share share, std::span<Ahead::Run> to) {
  constexpr int64_t kLine = 64;
  const int64_t lines = bytes_of(from) / kLine;
  int64_t begin = lines * share.number / share.count * kLine;
  int64_t left = lines * (share.number + 1) / share.count * kLine - begin;
  size_t written = 0;
  for (const Ahead::Run& run : from) {
    const int64_t bytes = run.end - run.next;
    if (begin < bytes && left > 0 && written < to.size()) {
      const int64_t taken = std::min(left, bytes - begin);
      to[written++] = {run.next + begin, run.next + begin + taken};
      left -= taken;
    }
    begin = std::max<int64_t>(0, begin - bytes);
  }
  return written;
}

}  // namespace lorikeet::cpu
