#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "simulator/driver/abi.h"

namespace lorikeet::simulator {

class Stream;
class Graph;
struct GraphNode;

// A place in a stream: all work up to there.
struct StreamPoint {
  std::shared_ptr<Stream> stream;
  uint64_t position = 0;
};

struct Work {
  std::function<Result()> run;
  std::vector<StreamPoint> after;  // of other streams
};

// Work in its order. Nothing of it runs until somebody waits for it: the latest that a device may take it up,
// so that a host which forgets to wait reads what is not there yet.
class Stream {
 public:
  explicit Stream(bool with_default) : with_default_(with_default) {}

  // Whether it is in order with the default stream, too.
  bool with_default() const { return with_default_; }
  uint64_t end() const { return done_ + queue_.size() + (running_ ? 1 : 0); }
  bool is_done(uint64_t position) const { return done_ >= position; }
  bool hangs() const { return hangs_; }

  void push(Work work) { queue_.push_back(std::move(work)); }
  // Runs what stands before `position`. Stops at a kernel that never ends: is_done() is false then.
  Result run_to(uint64_t position);
  void drop_all() { queue_.clear(); }

  // Of a capture that this stream takes part in.
  std::shared_ptr<Graph> capture;
  bool began_capture = false;
  std::vector<GraphNode*> capture_after;

 private:
  bool with_default_, running_ = false, hangs_ = false;
  uint64_t done_ = 0;
  std::deque<Work> queue_;
};

struct Event {
  StreamPoint point;
  bool recorded = false, told_not_ready = false;
  // When the work before it had run; kept apart, as the event may be recorded again.
  std::shared_ptr<double> milliseconds;
  std::shared_ptr<Graph> capture;
  std::vector<GraphNode*> capture_after;
};

// What a launch that never ends gives inside; no program sees it.
inline constexpr Result kHangs = static_cast<Result>(-1);

}  // namespace lorikeet::simulator
