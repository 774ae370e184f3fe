// One GPU: its context, the stream that steps run in, the one that loads use, and the kernels.
#pragma once

#include <array>
#include <atomic>
#include <cassert>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "backend/cuda/driver.h"
#include "backend/cuda/kernel_names.h"
#include "backend/cuda/launch_list.h"
#include "backend/cuda/step_graphs.h"

namespace lorikeet::cuda {

struct Grid {
  int64_t x = 1, y = 1, z = 1;
};
// What grid.y and grid.z hold.
constexpr int64_t kMostBlocks = 65535;

class Device {
 public:
  static Result<std::unique_ptr<Device>> open(int ordinal, int64_t deadline_ms = 0);
  // As far as it goes without compiling kernels, which takes seconds where nothing is cached.
  static Result<std::unique_ptr<Device>> open_without_kernels(int ordinal);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const Driver& driver() const { return *driver_; }
  // Work of it went over the deadline: it may never end, and whoever waits for it may not either. What the
  // device holds stays its own until the process ends.
  bool hangs() const { return hangs_.load(); }
  // e.g. "cuda:0 NVIDIA H200 9.0"
  std::string description() const;
  int capability() const { return capability_; }
  Status memory(size_t& free_bytes, size_t& total_bytes) const;

  // Makes the device that of the calling thread. Every call from outside begins with it.
  void enter() const { (void)driver_->context_set(context_); }

  // In the steps' stream. The first fault stays until it is asked for: later work is dropped.
  // Launches and what send() sends are only written down: all that is sent goes up before the first launch,
  // as soon as anything else is asked of the stream, or by submit().
  template <class... Arguments>
  void launch(Kernel kernel, const Grid& grid, int threads, const Arguments&... arguments) {
    if (!fault_ || grid.x == 0 || grid.y == 0 || grid.z == 0) return;
    assert(grid.y <= kMostBlocks && grid.z <= kMostBlocks);
    list_.add({.kernel = static_cast<int32_t>(kernel),
               .grid = {static_cast<uint32_t>(grid.x), static_cast<uint32_t>(grid.y),
                        static_cast<uint32_t>(grid.z)},
               .threads = static_cast<uint32_t>(threads)},
              arguments...);
  }
  // Of pinned memory. What lies behind the last in both places goes with it in one copy.
  void send(DeviceAddress to, const std::byte* from, size_t bytes);
  void submit();
  // `from` stays as it is until the stream has come so far.
  void copy_in(DeviceAddress to, const void* from, size_t bytes);
  void copy_out(void* to, DeviceAddress from, size_t bytes);
  void copy_within(DeviceAddress to, DeviceAddress from, size_t bytes);
  // Waits for the stream; a fault stays.
  void drain();
  // The same, and takes the first fault since the last call. A lost device stays lost.
  Status wait();

  // Beside the steps, on any thread; back when it is done.
  Status upload(DeviceAddress to, const void* from, size_t bytes);
  Status fill(DeviceAddress to, unsigned char value, size_t bytes);
  // Kernels of a load: `work` launches, and the device is done with it when this returns.
  class LoadStream;
  template <class Work>
  Status in_load(Work&& work) {
    const std::lock_guard lock(loads_);
    enter();
    LoadStream stream(*this);
    work(stream);
    return stream.finish();
  }

  class LoadStream {
   public:
    explicit LoadStream(Device& device) : device_(device) {}
    template <class... Arguments>
    void launch(Kernel kernel, const Grid& grid, int threads, const Arguments&... arguments) {
      void* pointers[] = {const_cast<void*>(static_cast<const void*>(&arguments))...};
      note(device_.start(kernel, grid, threads, pointers, device_.load_stream_), "a launch of a load");
    }
    void copy_out(void* to, DeviceAddress from, size_t bytes) {
      wait();  // a copy to what is not pinned waits by itself, and without end
      note(device_.driver_->copy_to_host(to, from, bytes, device_.load_stream_), "copying from the device");
    }

   private:
    friend class Device;
    void note(int code, const char* doing) {
      if (code != 0 && status_) status_ = device_.driver_->error(code, doing);
    }
    void wait();
    Status finish();

    Device& device_;
    Status status_;
  };

 private:
  Device() = default;
  Status start_up(int ordinal);
  Status load_kernels();
  int start(Kernel kernel, const Grid& grid, int threads, void** arguments, StreamHandle stream) const;
  Status wait_for(StreamHandle stream, const char* doing);
  struct Sent {
    DeviceAddress to = 0;
    const std::byte* from = nullptr;
    size_t bytes = 0;
  };
  void submit_sent();
  int launch_list();
  int capture();
  void note(int code, const char* doing);

  std::shared_ptr<const Driver> driver_;
  int ordinal_ = 0;
  int device_ = -1;
  std::string name_;
  int capability_ = 0;
  ContextHandle context_ = nullptr;
  std::array<ModuleHandle, kModules> modules_{};
  std::array<FunctionHandle, kKernels> functions_{};
  StreamHandle stream_ = nullptr, load_stream_ = nullptr;
  LaunchList list_;
  std::vector<Sent> sent_;
  StepGraphs graphs_;
  int64_t deadline_ms_ = 0;
  std::atomic<bool> hangs_{false};
  std::mutex loads_;
  Status fault_;
};

// Memory of the device. Empty: none.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  static Result<DeviceMemory> allocate(Device& device, size_t bytes, const std::string& what);
  static Result<DeviceMemory> holding(Device& device, std::span<const std::byte> bytes,
                                      const std::string& what);
  ~DeviceMemory();
  DeviceMemory(DeviceMemory&& other) noexcept { *this = std::move(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept;

  template <class T = std::byte>
  T* at(size_t byte = 0) const {
    return reinterpret_cast<T*>(address_ + byte);  // an address of the device: never read here
  }
  DeviceAddress address() const { return address_; }
  size_t bytes() const { return bytes_; }

 private:
  Device* device_ = nullptr;
  DeviceAddress address_ = 0;
  size_t bytes_ = 0;
};

// Memory of the host that the device copies to and from while the host goes on.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  static Result<PinnedMemory> allocate(Device& device, size_t bytes);
  ~PinnedMemory();
  PinnedMemory(PinnedMemory&& other) noexcept { *this = std::move(other); }
  PinnedMemory& operator=(PinnedMemory&& other) noexcept;

  std::byte* data() const { return static_cast<std::byte*>(pointer_); }
  size_t bytes() const { return bytes_; }

 private:
  Device* device_ = nullptr;
  void* pointer_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace lorikeet::cuda
