// A persistent pool that hands out small items by one atomic counter; the caller works too. A thread that
// loses its core to a neighbour delays only the item in its hands: the others take the rest, and run() waits
// for items, never for threads. Idle workers spin for microseconds, then yield, then park.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace lorikeet::cpu {

// One turn of a wait loop: pauses at first, gives the core away when the wait gets long.
class Backoff {
 public:
  void wait();

 private:
  int turns_ = 0;
};

class Pool {
 public:
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(item, thread) for every item in [0, items), each once, in parallel; returns when all are done.
  // Items start in ascending order, so an item may wait for one before it. One caller at a time. thread <
  // threads(). body must not throw: what it needs is allocated before.
  template <class Body>
  void run(int64_t items, Body&& body) {
    if (workers_.empty() || items <= 1) {
      for (int64_t item = 0; item < items; ++item) body(item, 0);
      return;
    }
    using Plain = std::remove_cvref_t<Body>;
    dispatch(static_cast<uint32_t>(items), const_cast<Plain*>(&body),
             [](void* context, uint32_t item, int thread) {
               (*static_cast<Plain*>(context))(static_cast<int64_t>(item), thread);
             });
  }

 private:
  using Call = void (*)(void* context, uint32_t item, int thread);

  void stop();
  void dispatch(uint32_t items, void* context, Call call);
  // An item that throws ends the process, on whatever thread: a job cannot be left half done.
  void work(uint64_t generation, int thread) noexcept;
  void worker_main(int thread);
  // Returns the newest ticket once its generation is not `seen`.
  uint64_t await_generation(uint64_t seen);

  // Generation of the job in the upper half, items not yet handed out in the lower. A worker claims an item
  // by compare-and-swap. Success proves that the job whose fields it read before is still the current one: a
  // job cannot end, and so its fields cannot change, while an item of it is unclaimed. (The count of items
  // left must be part of the ticket: a worker that compared its index with items_ could read the next job's
  // items_ and claim an item that does not exist.)
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<uint32_t> done_{0};
  alignas(64) std::atomic<uint32_t> items_{0};
  std::atomic<void*> context_{nullptr};
  std::atomic<Call> call_{nullptr};
  alignas(64) std::atomic<int> parked_{0};
  std::atomic<uint32_t> wakeups_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
};

}  // namespace lorikeet::cpu
