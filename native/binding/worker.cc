#include "binding/worker.h"

#ifdef __linux__
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <future>

namespace lorikeet::binding {

Worker::Worker() : thread_([this] { loop(); }) {}

void Worker::post(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void Worker::run_in_background() {
  post([] {
#ifdef __linux__
    constexpr int kNice = 10;  // about a tenth of a busy core: background work still ends
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kNice);
#endif
  });
}

void Worker::run_when_idle() {
  post([] {
#ifdef __linux__
    const sched_param none{};
    ::sched_setscheduler(0, SCHED_IDLE, &none);  // of the calling thread
#endif
  });
}

void Worker::run(const std::function<void()>& job) {
  std::promise<void> done;
  post([&] {
    job();
    done.set_value();
  });
  done.get_future().wait();
}

void Worker::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Worker::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    const std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    lock.lock();
  }
}

}  // namespace lorikeet::binding
