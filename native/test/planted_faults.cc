// Faults made on purpose, each of which a sanitizer has to find: what shows that those of the test suites
// look at all. Usage: lorikeet_planted_faults NAME; ends with 0 where nothing stopped it.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>

#include "backend/cpu/memory.h"
#include "backend/cpu/pool.h"

namespace {

using lorikeet::cpu::Memory;
using lorikeet::cpu::Pool;

// One float behind a weight, in memory of the backend's own.
int read_past_the_end(size_t floats) {
  const auto memory = Memory::allocate(floats * sizeof(float));
  volatile float* const values = memory->f32();
  return values[floats] > 1;
}

int read_freed() {
  volatile float* values = nullptr;
  {
    const auto memory = Memory::allocate(64 * sizeof(float));
    values = memory->f32();
  }
  return values[0] > 1;
}

int overflow(int count) {
  volatile int32_t most = std::numeric_limits<int32_t>::max();
  return most + count > 0;
}

// Two threads of the pool count in one place.
int race() {
  Pool pool(2);
  int64_t count = 0;
  for (int job = 0; job < 100; ++job) {
    pool.run(100, [&](int64_t, int) { ++count; });
  }
  return count < 0;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const name = argc == 2 ? argv[1] : "";
  if (std::strcmp(name, "overrun") == 0) return read_past_the_end(100);
  if (std::strcmp(name, "large-overrun") == 0) return read_past_the_end(size_t{1} << 20);
  if (std::strcmp(name, "freed") == 0) return read_freed();
  if (std::strcmp(name, "overflow") == 0) return overflow(argc);
  if (std::strcmp(name, "race") == 0) return race();
  std::fprintf(stderr, "there is no fault named %s\n", name);
  return 0;
}
