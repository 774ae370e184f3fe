#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace lorikeet::binding {

// One thread that runs jobs in order. The owner stops it; jobs must not throw.
class Worker {
 public:
  Worker();
  ~Worker() { stop(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void post(std::function<void()> job);
  // From the next job on, the thread gives way to all others (Linux; elsewhere nothing happens).
  void run_in_background();
  // From the next job on, the thread runs only where a core would be idle.
  void run_when_idle();
  // Runs the job on the thread and returns when it is done.
  void run(const std::function<void()>& job);
  // Finishes the queue and joins. Nothing may be posted afterwards.
  void stop();

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace lorikeet::binding
