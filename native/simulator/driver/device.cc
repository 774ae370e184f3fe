#include "simulator/driver/device.h"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <thread>

namespace lorikeet::simulator {

namespace {

Result result_of(FaultKind kind) {
  switch (kind) {
    case FaultKind::out_of_bounds:
    case FaultKind::use_after_free:
    case FaultKind::uninitialised:
      return kIllegalAddress;
    case FaultKind::misaligned:
      return kMisalignedAddress;
    case FaultKind::endless:
    case FaultKind::deadlock:
      return kLaunchTimeout;
    case FaultKind::trap:
      return kAssert;
    default:
      return kLaunchFailed;
  }
}

}  // namespace

// Never destroyed: programs call the driver until they have ended.
Device& device() {
  static auto* const the_device = new Device;
  return *the_device;
}

bool Device::retain(int ordinal) {
  if (retained_ > 0 && ordinal != ordinal_) return false;
  if (retained_++ > 0) return true;
  ordinal_ = ordinal;
  settings_ = settings_from_environment();
  memory_ = std::make_shared<DeviceMemory>(settings_.memory_bytes);
  default_stream_ = std::make_shared<Stream>(true);
  allocations_ = launches_ = 0;
  calls = {};
  return true;
}

void Device::release() {
  if (retained_ == 0 || --retained_ > 0) return;
  for (const auto& stream : streams_) stream->drop_all();
  streams_.clear();
  default_stream_.reset();
  memory_.reset();
  error_ = kSuccess;
  report_.clear();
}

Result Device::fail(Result error, const std::string& report) {
  error_ = error;
  report_ = report;
  std::fputs(report.c_str(), stderr);
  return error;
}

std::optional<uint64_t> Device::allocate(uint64_t bytes) {
  if (allocation_fails()) return std::nullopt;
  return memory_->allocate(bytes);
}

std::shared_ptr<Stream> Device::add_stream(bool with_default) {
  auto stream = std::make_shared<Stream>(with_default);
  streams_.insert(stream);
  return stream;
}

// Work that was submitted still comes, for whoever waits for everything.
void Device::remove_stream(const std::shared_ptr<Stream>& stream) {
  if (stream->is_done(stream->end())) streams_.erase(stream);
}

std::shared_ptr<Stream> Device::stream_of(StreamHandle* handle) {
  if (reinterpret_cast<uintptr_t>(handle) <= 2) return default_stream_;
  return reinterpret_cast<StreamBox*>(handle)->stream;
}

Result Device::submit(const std::shared_ptr<Stream>& stream, GraphNode node) {
  if (stream->capture) {
    node.after = stream->capture_after;
    stream->capture_after = {&stream->capture->add(std::move(node))};
    return kSuccess;
  }
  Work work;
  if (node.type == NodeType::kernel) {
    work.run = [this, launch = std::move(node.launch)] { return run(launch); };
  } else {
    work.run = std::move(node.run);
  }
  if (stream == default_stream_) {
    for (const auto& other : streams_) {
      if (other->with_default()) work.after.push_back({other, other->end()});
    }
  } else if (stream->with_default()) {
    work.after.push_back({default_stream_, default_stream_->end()});
  }
  stream->push(std::move(work));
  return kSuccess;
}

void Device::end_capture(const std::shared_ptr<Graph>& graph) {
  for (const auto& stream : streams_) {
    if (stream->capture != graph) continue;
    stream->capture.reset();
    stream->began_capture = false;
    stream->capture_after.clear();
  }
}

// A kernel that never ends is waited for without the lock, so that other threads can ask meanwhile.
Result Device::wait_for(const StreamPoint& point, std::unique_lock<std::recursive_mutex>& lock) {
  if (error_ == kSuccess) point.stream->run_to(point.position);
  while (error_ == kSuccess && !point.stream->is_done(point.position)) {
    lock.unlock();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    lock.lock();
  }
  return error_;
}

Result Device::wait_for_all(std::unique_lock<std::recursive_mutex>& lock) {
  const auto streams = streams_;
  for (const auto& stream : streams) {
    if (const Result result = wait_for({stream, stream->end()}, lock); result != kSuccess) return result;
  }
  return wait_for({default_stream_, default_stream_->end()}, lock);
}

// By number, or by a file that somebody put there meanwhile.
Device::PlannedFault Device::planned_fault() const {
  if (launches_ == settings_.hang_launch) return PlannedFault::hang;
  if (launches_ == settings_.fail_launch) return PlannedFault::fail;
  if (settings_.fault_file.empty()) return PlannedFault::none;
  std::ifstream file(settings_.fault_file);
  if (!file) return PlannedFault::none;
  std::string word;
  file >> word;
  std::remove(settings_.fault_file.c_str());
  return word == "hang" ? PlannedFault::hang : PlannedFault::fail;
}

Result Device::run(const KernelLaunch& launch) {
  if (error_ != kSuccess) return error_;
  ++launches_;
  const PlannedFault fault = planned_fault();
  if (fault == PlannedFault::hang) return kHangs;
  if (fault == PlannedFault::fail) {
    return fail(kIllegalAddress, "simulator: launch " + std::to_string(launches_) + " fails on purpose\n");
  }
  const LaunchResult result = simulator::launch({*launch.program, launch.shape, launch.parameters.data(),
                                                 static_cast<uint32_t>(launches_), launch.may_overlap},
                                                *memory_, settings_.options);
  last_counters_ = result.counters;
  if (settings_.print_counters) print_counters(launch);
  return result.fault ? fail(result_of(result.fault->kind), result.fault->text()) : kSuccess;
}

void Device::print_counters(const KernelLaunch& launch) const {
  const Counters& c = last_counters_;
  const auto number = [](uint64_t value) { return static_cast<unsigned long long>(value); };
  std::fprintf(stderr,
               "simulator: launch %llu %s instructions %llu lanes %llu read %llu written %llu sectors %llu "
               "shared %llu "
               "conflicts %llu mma %llu barriers %llu\n",
               number(launches_), launch.program->name.c_str(), number(c.instructions), number(c.lanes),
               number(c.global_bytes_read), number(c.global_bytes_written), number(c.global_sectors),
               number(c.shared_accesses), number(c.bank_conflicts), number(c.matrix_products),
               number(c.barriers));
}

}  // namespace lorikeet::simulator
