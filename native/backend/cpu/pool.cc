#include "backend/cpu/pool.h"

#include <sched.h>

#include <chrono>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lorikeet::cpu {
namespace {

constexpr int kSpinTurns = 256;  // some 5 us of pauses: longer than the serial code between two ops
constexpr auto kYieldTime =
    std::chrono::microseconds(500);  // then a futex, whose round trip costs tens of us

void pause_core() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

constexpr uint64_t generation_of(uint64_t ticket) {
  return ticket >> 32;
}

}  // namespace

void Backoff::wait() {
  if (turns_ < kSpinTurns) {
    ++turns_;
    pause_core();
  } else {
    sched_yield();
  }
}

Pool::Pool(int threads) {
  try {
    workers_.reserve(static_cast<size_t>(threads));
    for (int thread = 1; thread < threads; ++thread) {
      workers_.emplace_back([this, thread] { worker_main(thread); });
    }
  } catch (...) {  // no memory or no more threads: those that have begun end again
    stop();
    throw;
  }
}

Pool::~Pool() {
  stop();
}

void Pool::stop() {
  stopping_.store(true);
  ticket_.fetch_add(uint64_t{1} << 32);  // a job without items
  wakeups_.fetch_add(1);
  wakeups_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Pool::dispatch(uint32_t items, void* context, Call call) {
  items_.store(items, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  call_.store(call, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  const uint64_t generation = (generation_of(ticket_.load(std::memory_order_relaxed)) + 1) & 0xffffffffu;
  ticket_.store(generation << 32 | items, std::memory_order_seq_cst);
  // Pairs with await_generation: either this sees the parked worker, or the worker sees the new ticket.
  if (parked_.load(std::memory_order_seq_cst) > 0) {
    wakeups_.fetch_add(1);
    wakeups_.notify_all();
  }
  work(generation, 0);
  Backoff backoff;
  while (done_.load(std::memory_order_acquire) != items) backoff.wait();
}

void Pool::work(uint64_t generation, int thread) noexcept {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (generation_of(ticket) == generation) {
    const uint32_t items = items_.load(std::memory_order_relaxed);
    void* const context = context_.load(std::memory_order_relaxed);
    const Call call = call_.load(std::memory_order_relaxed);
    const uint32_t left = static_cast<uint32_t>(ticket);
    if (left == 0) return;
    if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
      continue;
    }
    call(context, items - left, thread);
    done_.fetch_add(1, std::memory_order_release);
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void Pool::worker_main(int thread) {
  uint64_t seen = 0;
  while (true) {
    seen = generation_of(await_generation(seen));
    if (stopping_.load()) return;
    work(seen, thread);
  }
}

uint64_t Pool::await_generation(uint64_t seen) {
  for (int turn = 0; turn < kSpinTurns; ++turn) {
    const uint64_t ticket = ticket_.load(std::memory_order_acquire);
    if (generation_of(ticket) != seen) return ticket;
    pause_core();
  }
  const auto park_at = std::chrono::steady_clock::now() + kYieldTime;
  while (std::chrono::steady_clock::now() < park_at) {
    const uint64_t ticket = ticket_.load(std::memory_order_acquire);
    if (generation_of(ticket) != seen) return ticket;
    sched_yield();
  }
  while (true) {
    const uint32_t wakeups = wakeups_.load();
    parked_.fetch_add(1, std::memory_order_seq_cst);
    const bool fresh = generation_of(ticket_.load(std::memory_order_seq_cst)) != seen;
    if (!fresh) wakeups_.wait(wakeups);
    parked_.fetch_sub(1, std::memory_order_seq_cst);
    const uint64_t ticket = ticket_.load(std::memory_order_acquire);
    if (generation_of(ticket) != seen) return ticket;
  }
}

}  // namespace lorikeet::cpu
