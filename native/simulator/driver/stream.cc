#include "simulator/driver/stream.h"

namespace lorikeet::simulator {

Result Stream::run_to(uint64_t position) {
  while (done_ < position && !queue_.empty() && !hangs_) {
    for (const StreamPoint& point : queue_.front().after) {
      const Result result = point.stream->run_to(point.position);
      if (result != kSuccess) return result;
      if (!point.stream->is_done(point.position)) return kSuccess;  // it hangs, and so do we
    }
    const Work work = std::move(queue_.front());
    queue_.pop_front();
    running_ = true;
    const Result result = work.run();
    running_ = false;
    if (result == kHangs) {
      hangs_ = true;
      queue_.push_front({[] { return kHangs; }, {}});
      return kSuccess;
    }
    ++done_;
    if (result != kSuccess) return result;
  }
  return kSuccess;
}

}  // namespace lorikeet::simulator
