// Memory that ends after a number of allocations, for tests of what happens then.
#pragma once

#include <cstdint>

namespace lorikeet::test {

enum class MemoryOf : uint8_t {
  backend,  // backend/cpu/memory.h
  all_new,  // operator new
  // operator new of 1024 bytes and more. nlohmann's values allocate a little while they are destroyed, and
  // end the process where that fails: a system that has not even that left cannot be helped.
  large_new,
};

// From here to the end of its life, `count` allocations of a kind succeed, on whatever thread, and later ones
// fail.
class ScarceMemory {
 public:
  ScarceMemory(MemoryOf kind, int64_t count);
  ~ScarceMemory() { (void)end(); }
  ScarceMemory(const ScarceMemory&) = delete;
  ScarceMemory& operator=(const ScarceMemory&) = delete;
  // From here on there is enough again. Returns whether an allocation has failed.
  bool end();
};

}  // namespace lorikeet::test
