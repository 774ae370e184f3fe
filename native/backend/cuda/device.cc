#include "backend/cuda/device.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

namespace lorikeet::cuda {
namespace {

struct KernelName {
  const char* name;
  Module module;
};
constexpr KernelName kNames[] = {
#define LORIKEET_KERNEL(name, module) {#name, Module::module},
    LORIKEET_KERNELS(LORIKEET_KERNEL)
#undef LORIKEET_KERNEL
};

std::string mebibytes(size_t bytes) {
  return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB";
}

}  // namespace

Result<std::unique_ptr<Device>> Device::open(int ordinal, int64_t deadline_ms) {
  auto device = open_without_kernels(ordinal);
  if (!device) return device;
  (*device)->deadline_ms_ = deadline_ms;
  if (Status s = (*device)->load_kernels(); !s) return s.error();
  return device;
}

Result<std::unique_ptr<Device>> Device::open_without_kernels(int ordinal) {
  auto driver = Driver::open();
  if (!driver) return driver.error();
  std::unique_ptr<Device> device(new Device());
  device->driver_ = *driver;
  if (Status s = device->start_up(ordinal); !s) return s.error();
  return device;
}

Status Device::start_up(int ordinal) {
  const Driver& d = *driver_;
  ordinal_ = ordinal;
  int count = 0, device = 0, major = 0, minor = 0;
  if (Status s = d.status(d.device_count(&count), "counting devices"); !s) return s;
  if (count == 0) return Error{"the NVIDIA driver finds no device", ErrorKind::unsupported};
  if (ordinal >= count) {
    return Error{"there is no device cuda:" + std::to_string(ordinal) + ": the driver sees " +
                     std::to_string(count) + (count == 1 ? " device" : " devices"),
                 ErrorKind::unsupported};
  }
  if (Status s = d.status(d.device_get(&device, ordinal), "finding the device"); !s) return s;
  char name[256] = "";
  if (Status s = d.status(d.device_name(name, sizeof name, device), "asking for the device's name"); !s)
    return s;
  name_ = name;
  if (Status s = d.status(d.device_attribute(&major, kCapabilityMajor, device), "asking for the capability");
      !s)
    return s;
  if (Status s = d.status(d.device_attribute(&minor, kCapabilityMinor, device), "asking for the capability");
      !s)
    return s;
  capability_ = 10 * major + minor;
  if (capability_ < kLeastCapability) {
    return Error{"the device " + name_ + " has compute capability " + std::to_string(major) + "." +
                     std::to_string(minor) + ", and 8.0 or later is needed",
                 ErrorKind::unsupported};
  }
  if (Status s = d.status(d.context_retain(&context_, device), "opening the device"); !s) return s;
  device_ = device;  // from here on there is something to give back
  enter();
  constexpr unsigned kNonBlocking = 1;  // waits for no other stream
  for (StreamHandle* const stream : {&stream_, &load_stream_}) {
    if (Status s = d.status(d.stream_create(stream, kNonBlocking), "making a stream"); !s) return s;
  }
  return {};
}

std::string Device::description() const {
  const std::string number = std::to_string(capability_ / 10) + "." + std::to_string(capability_ % 10);
  return "cuda:" + std::to_string(ordinal_) + " " + name_ + " " + number;
}

Status Device::memory(size_t& free_bytes, size_t& total_bytes) const {
  enter();
  return driver_->status(driver_->memory_info(&free_bytes, &total_bytes), "asking for the device's memory");
}

Status Device::load_kernels() {
  const char* const texts[kModules] = {kProductText, kTilesText, kRowsText, kAttentionText, kExpertsText};
  constexpr int kErrorLog = 5, kErrorLogBytes = 6;  // CUjit_option
  for (size_t i = 0; i < kModules; ++i) {
    char log[1024] = "";
    int option[] = {kErrorLog, kErrorLogBytes};
    void* value[] = {log, reinterpret_cast<void*>(sizeof log)};
    const int code = driver_->module_load(&modules_[i], texts[i], 2, option, value);
    if (code == 0) continue;
    Error error = driver_->error(code, "loading kernels");
    if (*log != '\0') error.message += std::string(": ") + log;
    return error;
  }
  for (size_t i = 0; i < kKernels; ++i) {
    const ModuleHandle module = modules_[static_cast<size_t>(kNames[i].module)];
    const int code = driver_->module_function(&functions_[i], module, kNames[i].name);
    if (code != 0) return driver_->error(code, std::string("finding the kernel ") + kNames[i].name);
  }
  return {};
}

Device::~Device() {
  if (device_ < 0 || hangs()) return;
  enter();
  for (const StreamHandle stream : {stream_, load_stream_}) {
    if (stream == nullptr) continue;
    (void)driver_->stream_wait(stream);
    (void)driver_->stream_destroy(stream);
  }
  graphs_.for_each([&](ExecutableGraphHandle graph) { (void)driver_->executable_destroy(graph); });
  for (const ModuleHandle module : modules_) {
    if (module != nullptr) (void)driver_->module_unload(module);
  }
  (void)driver_->context_release(device_);
}

void Device::note(int code, const char* doing) {
  if (code == 0 || !fault_) return;
  fault_ = driver_->error(code, doing);
}

int Device::start(Kernel kernel, const Grid& grid, int threads, void** arguments, StreamHandle stream) const {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return 0;
  assert(grid.y <= kMostBlocks && grid.z <= kMostBlocks);
  return driver_->launch(functions_[static_cast<size_t>(kernel)], static_cast<unsigned>(grid.x),
                         static_cast<unsigned>(grid.y), static_cast<unsigned>(grid.z),
                         static_cast<unsigned>(threads), 1, 1, 0, stream, arguments, nullptr);
}

void Device::send(DeviceAddress to, const std::byte* from, size_t bytes) {
  if (bytes == 0) return;
  // Between two pieces there may be what fills the first up.
  constexpr ptrdiff_t kMostBetween = 16;
  if (!sent_.empty()) {
    Sent& last = sent_.back();
    const ptrdiff_t between = from - (last.from + last.bytes);
    const bool aligned = to - last.to == static_cast<size_t>(from - last.from);
    if (aligned && between >= 0 && between < kMostBetween) {
      last.bytes = static_cast<size_t>(from - last.from) + bytes;
      return;
    }
  }
  sent_.push_back({to, from, bytes});
}

void Device::submit_sent() {
  for (const Sent& piece : sent_) {
    if (!fault_) break;
    note(driver_->copy_to_device(piece.to, piece.from, piece.bytes, stream_), "copying to the device");
  }
  sent_.clear();
}

void Device::submit() {
  submit_sent();
  constexpr int64_t kLeastOfGraph = 8;
  if (fault_ && list_.launches() > 0) {
    const StepGraphs::Found found =
        list_.launches() < kLeastOfGraph ? StepGraphs::Found() : graphs_.find(list_.content());
    switch (found.use) {
      case StepGraphs::Use::replay:
        note(driver_->graph_launch(found.graph, stream_), "launching a graph");
        break;
      case StepGraphs::Use::capture:
        note(capture(), "capturing a graph");
        break;
      case StepGraphs::Use::launch:
        launch_list();
        break;
    }
  }
  list_.clear();
}

// The fault that it gives is noted.
int Device::launch_list() {
  const char* doing = "a launch";
  const int code = list_.for_each([&](const LaunchList::Launch& launch, void** arguments) {
    doing = kNames[launch.kernel].name;
    return start(static_cast<Kernel>(launch.kernel), {launch.grid[0], launch.grid[1], launch.grid[2]},
                 static_cast<int>(launch.threads), arguments, stream_);
  });
  note(code, doing);
  return code;
}

// A graph costs memory that may be missing: then steps go on without.
int Device::capture() {
  GraphHandle graph = nullptr;
  ExecutableGraphHandle executable = nullptr;
  if (const int code = driver_->capture_begin(stream_, kCaptureOfThread); code != 0) return code;
  const int launched = launch_list();
  const int ended = driver_->capture_end(stream_, &graph);
  if (launched != 0) return 0;  // is noted
  const int made = ended != 0 ? ended : driver_->graph_instantiate(&executable, graph, 0);
  if (graph != nullptr) (void)driver_->graph_destroy(graph);
  if (made != 0) {
    graphs_.give_up();
    launch_list();
    return 0;
  }
  if (const auto leaves = graphs_.keep(list_.content(), executable); leaves != nullptr) {
    (void)driver_->executable_destroy(leaves);
  }
  return driver_->graph_launch(executable, stream_);
}

void Device::copy_in(DeviceAddress to, const void* from, size_t bytes) {
  submit();
  if (fault_ && bytes > 0) note(driver_->copy_to_device(to, from, bytes, stream_), "copying to the device");
}

void Device::copy_out(void* to, DeviceAddress from, size_t bytes) {
  submit();
  if (fault_ && bytes > 0) note(driver_->copy_to_host(to, from, bytes, stream_), "copying from the device");
}

void Device::copy_within(DeviceAddress to, DeviceAddress from, size_t bytes) {
  submit();
  if (fault_ && bytes > 0) note(driver_->copy_on_device(to, from, bytes, stream_), "copying on the device");
}

// Asks again and again, since the driver knows no wait with an end. Steps take milliseconds: longer ones can
// wait a little for having been noticed.
Status Device::wait_for(StreamHandle stream, const char* doing) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kPatience = std::chrono::milliseconds(5);
  constexpr auto kPause = std::chrono::microseconds(50);
  if (hangs()) return Error{"CUDA: the device hangs", ErrorKind::device_lost};
  if (deadline_ms_ <= 0) return driver_->status(driver_->stream_wait(stream), doing);
  const auto begin = Clock::now();
  while (true) {
    // Before the question: what has ended meanwhile is in time.
    const auto took = Clock::now() - begin;
    const int code = driver_->stream_query(stream);
    if (code != kNotReady) return driver_->status(code, doing);
    if (took > std::chrono::milliseconds(deadline_ms_)) {
      hangs_.store(true);
      return Error{"CUDA: " + std::string(doing) + ": no end after " + std::to_string(deadline_ms_) + " ms",
                   ErrorKind::device_lost};
    }
    if (took < kPatience) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kPause);
    }
  }
}

void Device::drain() {
  submit();
  Status waited = wait_for(stream_, "waiting for the device");
  if (fault_ && !waited) fault_ = std::move(waited);
}

Status Device::wait() {
  drain();
  if (fault_) return {};
  Status fault = fault_;
  // What follows on a lost device fails by itself, too; this says why it was lost.
  if (fault.error().kind != ErrorKind::device_lost) fault_ = Status();
  return fault;
}

Status Device::upload(DeviceAddress to, const void* from, size_t bytes) {
  if (bytes == 0) return {};
  return in_load([&](LoadStream& stream) {
    stream.note(driver_->copy_to_device(to, from, bytes, load_stream_), "copying to the device");
  });
}

Status Device::fill(DeviceAddress to, unsigned char value, size_t bytes) {
  if (bytes == 0) return {};
  return in_load([&](LoadStream& stream) {
    stream.note(driver_->fill(to, value, bytes, load_stream_), "filling memory");
  });
}

void Device::LoadStream::wait() {
  Status waited = device_.wait_for(device_.load_stream_, "waiting for a load");
  if (status_ && !waited) status_ = std::move(waited);
}

Status Device::LoadStream::finish() {
  wait();
  return status_;
}

Result<DeviceMemory> DeviceMemory::allocate(Device& device, size_t bytes, const std::string& what) {
  DeviceMemory memory;
  if (bytes == 0) return memory;
  device.enter();
  const Driver& d = device.driver();
  if (const int code = d.memory_allocate(&memory.address_, bytes); code != 0) {
    Error error = d.error(code, mebibytes(bytes) + " for " + what);
    size_t free = 0, total = 0;
    if (d.memory_info(&free, &total) == 0) {
      error.message += "; the device has " + mebibytes(free) + " of " + mebibytes(total) + " left";
    }
    return error;
  }
  memory.device_ = &device;
  memory.bytes_ = bytes;
  return memory;
}

Result<DeviceMemory> DeviceMemory::holding(Device& device, std::span<const std::byte> bytes,
                                           const std::string& what) {
  auto memory = allocate(device, bytes.size(), what);
  if (!memory) return memory;
  if (Status s = device.upload(memory->address(), bytes.data(), bytes.size()); !s) return s.error();
  return memory;
}

DeviceMemory::~DeviceMemory() {
  if (device_ == nullptr || device_->hangs()) return;
  device_->enter();
  (void)device_->driver().memory_free(address_);
}

DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(address_, other.address_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Result<PinnedMemory> PinnedMemory::allocate(Device& device, size_t bytes) {
  PinnedMemory memory;
  if (bytes == 0) return memory;
  device.enter();
  const int code = device.driver().host_allocate(&memory.pointer_, bytes, 0);
  if (code != 0) return device.driver().error(code, mebibytes(bytes) + " of pinned host memory");
  memory.device_ = &device;
  memory.bytes_ = bytes;
  return memory;
}

PinnedMemory::~PinnedMemory() {
  if (device_ == nullptr || device_->hangs()) return;
  device_->enter();
  (void)device_->driver().host_free(pointer_);
}

PinnedMemory& PinnedMemory::operator=(PinnedMemory&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(pointer_, other.pointer_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace lorikeet::cuda
