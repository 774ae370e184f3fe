// Memory of the device and of the host, copies, fills.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "simulator/driver/call.h"

namespace lorikeet::simulator {

namespace {

struct Copy {
  uint64_t to, from;
  uint64_t bytes;
  std::shared_ptr<std::vector<uint8_t>> staged;  // in place of `from`
};

bool is_device(uint64_t address) {
  return address >= kGlobalWindow && address < kGlobalWindow + DeviceMemory::kSpan;
}

// A copy's end on the host; of device memory the range must be one allocation's.
uint8_t* end_of(uint64_t address, uint64_t bytes, std::string* why) {
  if (!is_device(address)) return reinterpret_cast<uint8_t*>(address);
  return device().memory().host_range(address, bytes, why);
}

Result copy_now(const Copy& copy) {
  std::string why;
  uint8_t* const to = end_of(copy.to, copy.bytes, &why);
  const uint8_t* from = copy.staged ? copy.staged->data() : end_of(copy.from, copy.bytes, &why);
  if (to == nullptr || from == nullptr) {
    return device().fail(kIllegalAddress, "simulator: a copy of " + why + "\n");
  }
  std::memmove(to, from, copy.bytes);
  if (!is_device(copy.to)) return kSuccess;
  DeviceMemory& memory = device().memory();
  if (!copy.staged && is_device(copy.from)) {
    std::memmove(static_cast<void*>(memory.states(copy.to - kGlobalWindow)),
                 memory.states(copy.from - kGlobalWindow), copy.bytes);
  } else {
    memory.mark(copy.to, copy.bytes, ByteState::ready);
  }
  return kSuccess;
}

// What is wrong is told at once where it can be seen at once.
bool is_valid(uint64_t address, uint64_t bytes) {
  std::string why;
  return bytes == 0 || !is_device(address) || device().memory().host_range(address, bytes, &why) != nullptr;
}

Result enqueue(Call& call, Copy copy, StreamHandle* handle, bool wait) {
  if (!is_valid(copy.to, copy.bytes) || !is_valid(copy.from, copy.bytes)) return kInvalidValue;
  const auto stream = call.on().stream_of(handle);
  if (stream->capture && wait) return kCaptureUnsupported;
  if (copy.bytes == 0) return kSuccess;
  if (!stream->capture) ++call.on().calls.copies;
  DeviceMemory& memory = call.on().memory();
  // Memory that is not pinned is read before the call returns, and written before it returns.
  const bool from_pageable = !is_device(copy.from) && !memory.is_host(copy.from, copy.bytes);
  const bool to_pageable = !is_device(copy.to) && !memory.is_host(copy.to, copy.bytes);
  if (from_pageable && !stream->capture) {
    const auto* begin = reinterpret_cast<const uint8_t*>(copy.from);
    copy.staged = std::make_shared<std::vector<uint8_t>>(begin, begin + copy.bytes);
  }
  GraphNode node;
  node.type = NodeType::copy;
  node.run = [copy] { return copy_now(copy); };
  const Result submitted = call.on().submit(stream, std::move(node));
  if (stream->capture || submitted != kSuccess) return submitted;
  return wait || to_pageable ? call.on().wait_for({stream, stream->end()}, call.lock()) : kSuccess;
}

int copy(uint64_t to, uint64_t from, size_t bytes, StreamHandle* stream, bool wait) {
  return guarded([&](Call& call) { return enqueue(call, {to, from, bytes, nullptr}, stream, wait); });
}

template <typename T>
int fill(uint64_t to, T value, size_t count, StreamHandle* handle, bool wait) {
  return guarded([&](Call& call) {
    const uint64_t bytes = count * sizeof(T);
    if (to % sizeof(T) != 0 || !is_device(to) || !is_valid(to, bytes)) return kInvalidValue;
    const auto stream = call.on().stream_of(handle);
    if (stream->capture && wait) return kCaptureUnsupported;
    GraphNode node;
    node.type = NodeType::set;
    node.run = [=] {
      std::string why;
      uint8_t* const begin = end_of(to, bytes, &why);
      if (begin == nullptr) return device().fail(kIllegalAddress, "simulator: a fill of " + why + "\n");
      for (size_t i = 0; i < count; ++i) std::memcpy(begin + i * sizeof(T), &value, sizeof(T));
      device().memory().mark(to, bytes, ByteState::ready);
      return kSuccess;
    };
    const Result submitted = call.on().submit(stream, std::move(node));
    if (!wait || submitted != kSuccess) return submitted;
    return call.on().wait_for({stream, stream->end()}, call.lock());
  });
}

uint64_t address_of(const void* pointer) {
  return reinterpret_cast<uint64_t>(pointer);
}

}  // namespace

SIMULATOR_API int cuMemGetInfo_v2(size_t* free_bytes, size_t* total_bytes) {
  return guarded([&](Call& call) {
    *free_bytes = call.on().memory().free_bytes();
    *total_bytes = call.on().memory().total_bytes();
    return kSuccess;
  });
}

SIMULATOR_API int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
  return guarded([&](Call& call) {
    if (bytes == 0) return kInvalidValue;
    const auto found = call.on().allocate(bytes);
    *address = found.value_or(0);
    return found ? kSuccess : kOutOfMemory;
  });
}

// At once, whatever was submitted: a kernel that still wants the memory is told as use after free.
SIMULATOR_API int cuMemFree_v2(uint64_t address) {
  return guarded([&](Call& call) {
    return address == 0 || call.on().memory().release(address) ? kSuccess : kInvalidValue;
  });
}

SIMULATOR_API int cuMemAllocAsync(uint64_t* address, size_t bytes, StreamHandle*) {
  return cuMemAlloc_v2(address, bytes);
}

SIMULATOR_API int cuMemFreeAsync(uint64_t address, StreamHandle* handle) {
  return guarded([&](Call& call) {
    GraphNode node;
    node.run = [address] { return device().memory().release(address) ? kSuccess : kInvalidValue; };
    return call.on().submit(call.on().stream_of(handle), std::move(node));
  });
}

SIMULATOR_API int cuMemGetAddressRange_v2(uint64_t* base, size_t* bytes, uint64_t address) {
  return guarded([&](Call& call) {
    const auto allocation = call.on().memory().find(address);
    if (!allocation) return kNotFound;
    if (base) *base = allocation->address;
    if (bytes) *bytes = allocation->bytes;
    return kSuccess;
  });
}

SIMULATOR_API int cuMemHostAlloc(void** pointer, size_t bytes, unsigned) {
  return guarded([&](Call& call) {
    if (bytes == 0) return kInvalidValue;
    if (call.on().allocation_fails()) return kOutOfMemory;
    *pointer = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (*pointer == nullptr) return kOutOfMemory;
    call.on().memory().add_host(*pointer, bytes);
    return kSuccess;
  });
}

SIMULATOR_API int cuMemAllocHost_v2(void** pointer, size_t bytes) {
  return cuMemHostAlloc(pointer, bytes, 0);
}

SIMULATOR_API int cuMemFreeHost(void* pointer) {
  return guarded([&](Call& call) {
    if (!call.on().memory().remove_host(pointer)) return kInvalidValue;
    std::free(pointer);
    return kSuccess;
  });
}

SIMULATOR_API int cuMemHostRegister_v2(void* pointer, size_t bytes, unsigned) {
  return guarded([&](Call& call) {
    call.on().memory().add_host(pointer, bytes);
    return kSuccess;
  });
}

SIMULATOR_API int cuMemHostUnregister(void* pointer) {
  return guarded(
      [&](Call& call) { return call.on().memory().remove_host(pointer) ? kSuccess : kInvalidValue; });
}

SIMULATOR_API int cuMemHostGetDevicePointer_v2(uint64_t* address, void* pointer, unsigned) {
  return guarded([&](Call& call) {
    *address = address_of(pointer);
    return call.on().memory().is_host(address_of(pointer), 1) ? kSuccess : kInvalidValue;
  });
}

SIMULATOR_API int cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t bytes) {
  return copy(to, address_of(from), bytes, nullptr, true);
}
SIMULATOR_API int cuMemcpyDtoH_v2(void* to, uint64_t from, size_t bytes) {
  return copy(address_of(to), from, bytes, nullptr, true);
}
SIMULATOR_API int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes) {
  return copy(to, from, bytes, nullptr, true);
}
SIMULATOR_API int cuMemcpy(uint64_t to, uint64_t from, size_t bytes) {
  return copy(to, from, bytes, nullptr, true);
}
SIMULATOR_API int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, StreamHandle* stream) {
  return copy(to, address_of(from), bytes, stream, false);
}
SIMULATOR_API int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, StreamHandle* stream) {
  return copy(address_of(to), from, bytes, stream, false);
}
SIMULATOR_API int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, StreamHandle* stream) {
  return copy(to, from, bytes, stream, false);
}
SIMULATOR_API int cuMemcpyAsync(uint64_t to, uint64_t from, size_t bytes, StreamHandle* stream) {
  return copy(to, from, bytes, stream, false);
}

SIMULATOR_API int cuMemsetD8_v2(uint64_t to, unsigned char value, size_t count) {
  return fill(to, value, count, nullptr, true);
}
SIMULATOR_API int cuMemsetD16_v2(uint64_t to, unsigned short value, size_t count) {
  return fill(to, value, count, nullptr, true);
}
SIMULATOR_API int cuMemsetD32_v2(uint64_t to, unsigned value, size_t count) {
  return fill(to, value, count, nullptr, true);
}
SIMULATOR_API int cuMemsetD8Async(uint64_t to, unsigned char value, size_t count, StreamHandle* stream) {
  return fill(to, value, count, stream, false);
}
SIMULATOR_API int cuMemsetD16Async(uint64_t to, unsigned short value, size_t count, StreamHandle* stream) {
  return fill(to, value, count, stream, false);
}
SIMULATOR_API int cuMemsetD32Async(uint64_t to, unsigned value, size_t count, StreamHandle* stream) {
  return fill(to, value, count, stream, false);
}

}  // namespace lorikeet::simulator
