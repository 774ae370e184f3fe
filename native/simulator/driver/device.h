#pragma once
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "simulator/driver/graph.h"
#include "simulator/driver/kernel.h"
#include "simulator/driver/settings.h"
#include "simulator/driver/stream.h"

namespace lorikeet::simulator {

// What the program asked for since the context was made; what is captured counts when its graph is launched,
// as one.
struct ProgramCalls {
  uint64_t launches = 0, graphs = 0, copies = 0;
};

// The device in use, and the state of its primary context. All calls hold `mutex`.
class Device {
 public:
  std::recursive_mutex mutex;

  // ---- the context ----
  // Of one device at a time. False: that of another is in use.
  bool retain(int ordinal);
  int ordinal() const { return ordinal_; }
  // At the last release everything is gone, the error too.
  void release();
  bool has_context() const { return memory_ != nullptr; }
  Result error() const { return error_; }
  Result fail(Result error, const std::string& report);
  const DriverSettings& settings() const { return settings_; }
  const std::string& report() const { return report_; }
  const Counters& last_counters() const { return last_counters_; }
  ProgramCalls calls;

  // ---- memory ----
  DeviceMemory& memory() { return *memory_; }
  const std::shared_ptr<DeviceMemory>& shared_memory() { return memory_; }
  std::optional<uint64_t> allocate(uint64_t bytes);
  // Counts one more, of the device or of pinned memory.
  bool allocation_fails() { return ++allocations_ == settings_.fail_allocation; }

  // ---- streams ----
  std::shared_ptr<Stream> add_stream(bool with_default);
  void remove_stream(const std::shared_ptr<Stream>& stream);
  // Of a handle: null and 1 are the default stream.
  std::shared_ptr<Stream> stream_of(StreamHandle* handle);
  // At the end of the stream, or as a node where the stream is captured.
  Result submit(const std::shared_ptr<Stream>& stream, GraphNode node);
  // For all streams that took part.
  void end_capture(const std::shared_ptr<Graph>& graph);
  Result wait_for(const StreamPoint& point, std::unique_lock<std::recursive_mutex>& lock);
  Result wait_for_all(std::unique_lock<std::recursive_mutex>& lock);

  Result run(const KernelLaunch& launch);

 private:
  enum class PlannedFault { none, fail, hang };
  PlannedFault planned_fault() const;
  void print_counters(const KernelLaunch& launch) const;

  int retained_ = 0, ordinal_ = 0;
  DriverSettings settings_;
  std::shared_ptr<DeviceMemory> memory_;
  std::shared_ptr<Stream> default_stream_;
  std::set<std::shared_ptr<Stream>> streams_;
  Result error_ = kSuccess;
  std::string report_;
  Counters last_counters_;
  uint64_t allocations_ = 0, launches_ = 0;
};

Device& device();

// Handles are pointers to these.
struct StreamBox {
  std::shared_ptr<Stream> stream;
};

}  // namespace lorikeet::simulator
