// Blocks of less than a huge page, cut from slabs of several: an adapter is hundreds of small matrices, which
// on pages of their own would cost a translation each time that a step visits them.
//
// A slab is given out from front to back and starts again when its last block is gone, so what an adapter
// leaves behind is whole slabs and at most a part of two. Some empty slabs are kept ready: the first touch of
// new memory costs more than the copy of an adapter into it, above all in a virtual machine.
#pragma once

#include <cstddef>

namespace lorikeet::cpu {

struct Slab;

struct SlabBlock {
  std::byte* data;  // zeroed, 64-byte aligned; null when memory runs out
  Slab* slab;
};

// bytes in [1, kLargestSlabBlock]; any thread
SlabBlock slab_allocate(size_t bytes);
void slab_release(Slab* slab);
// Sees to it that some empty slabs lie in memory.
void slabs_prepare();

constexpr size_t kLargestSlabBlock = size_t{2} << 20;

}  // namespace lorikeet::cpu
