// How often this program has asked for memory.
#pragma once

#include <cstdint>

namespace lorikeet::test {

// Of operator new and of the CPU backend's own memory, on all threads.
uint64_t allocations();

// The most that operator new has given at once since the last call.
uint64_t take_largest_new();

}  // namespace lorikeet::test
