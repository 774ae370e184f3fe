#include <chrono>
#include <thread>
#include <vector>

#include "backend/cpu/pool.h"
#include "test/checks.h"

using lorikeet::cpu::Pool;

TEST_CASE("the pool runs every item once, job after job, whether its threads spin, yield or sleep") {
  for (const int threads : {1, 2, 4}) {
    Pool pool(threads);
    CHECK(pool.threads() == threads);
    bool once = true, named = true;
    for (int job = 0; job < 400; ++job) {
      const int64_t items = job % 37;
      std::vector<int> done(static_cast<size_t>(items), 0);
      pool.run(items, [&](int64_t item, int thread) {
        ++done[static_cast<size_t>(item)];
        if (thread < 0 || thread >= threads) named = false;
      });
      for (const int count : done) once = once && count == 1;
      if (job % 100 == 99) std::this_thread::sleep_for(std::chrono::milliseconds(3));  // long enough to park
    }
    CHECK(once);
    CHECK(named);
  }
}

TEST_CASE("the pool stops at once when no job ever came, and when its threads are parked") {
  { Pool pool(3); }
  Pool pool(3);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
}
