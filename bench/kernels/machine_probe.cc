// What this machine can do right now: read bandwidth of memory with huge pages, and the arithmetic peaks of the types that
// kernels are built on, for 1 to N threads. Measured beside every figure, since neighbours and placement change under us.
//   machine_probe [threads] [seconds per measurement]   ->   one JSON object
// No intrinsics outside the marked functions, so it runs everywhere and reports what the CPU has.
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// A result that the compiler must compute and nobody reads.
std::atomic<uint64_t> sink{0};

template <class Body>
void on_threads(int threads, const Body& body) {
  std::vector<std::thread> workers;
  for (int thread = 1; thread < threads; ++thread) workers.emplace_back([&body, thread] { body(thread); });
  body(0);
  for (std::thread& worker : workers) worker.join();
}

// Calls round(thread) on all threads until the time is over, all starting together; `amount` is what one call does.
// The best of the rounds' windows would flatter: this is all work over all time.
template <class Round>
double rate(int threads, double seconds, double amount, const Round& round) {
  std::atomic<int> ready{0};
  std::atomic<uint64_t> rounds{0};
  std::atomic<int64_t> longest_ns{0};
  on_threads(threads, [&](int thread) {
    round(thread);  // warm: pages touched, clock up
    ready.fetch_add(1);
    while (ready.load() < threads) std::this_thread::yield();
    const auto start = Clock::now();
    uint64_t done = 0;
    do {
      round(thread);
      ++done;
    } while (seconds_since(start) < seconds);
    rounds.fetch_add(done);
    const auto took = static_cast<int64_t>(seconds_since(start) * 1e9);
    for (int64_t seen = longest_ns.load(); seen < took && !longest_ns.compare_exchange_weak(seen, took);) {
    }
  });
  return amount * static_cast<double>(rounds.load()) / (static_cast<double>(longest_ns.load()) * 1e-9);
}

struct HugeMemory {
  uint64_t* words = nullptr;  // [bytes / 8]
  size_t bytes = 0;

  explicit HugeMemory(size_t wanted) {
    constexpr size_t kHugePage = size_t{2} << 20;
    void* const memory =
        mmap(nullptr, wanted + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    const auto address = (reinterpret_cast<uintptr_t>(memory) + kHugePage - 1) & ~(kHugePage - 1);
    words = reinterpret_cast<uint64_t*>(address);
    bytes = wanted;
    madvise(words, bytes, MADV_HUGEPAGE);
    for (size_t i = 0; i < bytes / 8; i += 512) words[i] = i;  // one word of each small page: all have memory
  }
};

#if defined(__x86_64__)

__attribute__((target("avx512f"))) uint64_t sum_avx512(const uint64_t* words, size_t count) {
  __m512i sums[8] = {};
  for (size_t i = 0; i + 64 <= count; i += 64) {
    for (size_t j = 0; j < 8; ++j) sums[j] = _mm512_add_epi64(sums[j], _mm512_load_si512(words + i + 8 * j));
  }
  for (int j = 1; j < 8; ++j) sums[0] = _mm512_add_epi64(sums[0], sums[j]);
  return static_cast<uint64_t>(_mm512_reduce_add_epi64(sums[0]));
}

__attribute__((target("avx2"))) uint64_t sum_avx2(const uint64_t* words, size_t count) {
  __m256i sums[8] = {};
  for (size_t i = 0; i + 32 <= count; i += 32) {
    for (size_t j = 0; j < 8; ++j) {
      sums[j] = _mm256_add_epi64(sums[j], _mm256_load_si256(reinterpret_cast<const __m256i*>(words + i + 4 * j)));
    }
  }
  for (int j = 1; j < 8; ++j) sums[0] = _mm256_add_epi64(sums[0], sums[j]);
  return static_cast<uint64_t>(_mm256_extract_epi64(sums[0], 0));
}

constexpr int kChains = 12;  // independent accumulators: more than latency times throughput of any unit
constexpr int kTurns = 20000;

// The empty asm makes each chain's start unknown: equal chains would be computed once for all of them.

__attribute__((target("avx512f"))) void fp32_avx512(int) {
  __m512 sums[kChains] = {};
  for (__m512& sum : sums) asm volatile("" : "+v"(sum));
  const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
  for (int turn = 0; turn < kTurns; ++turn) {
    for (int chain = 0; chain < kChains; ++chain) sums[chain] = _mm512_fmadd_ps(sums[chain], a, b);
  }
  for (const __m512 sum : sums) sink += static_cast<uint64_t>(_mm512_reduce_add_ps(sum));
}

__attribute__((target("avx2,fma"))) void fp32_avx2(int) {
  __m256 sums[kChains] = {};
  for (__m256& sum : sums) asm volatile("" : "+x"(sum));
  const __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
  for (int turn = 0; turn < kTurns; ++turn) {
    for (int chain = 0; chain < kChains; ++chain) sums[chain] = _mm256_fmadd_ps(sums[chain], a, b);
  }
  for (const __m256 sum : sums) sink += static_cast<uint64_t>(_mm256_cvtss_f32(sum));
}

// Without VNNI a dot product of bytes in 32 bits takes three instructions.
__attribute__((target("avx2"))) void int8_avx2(int) {
  __m256i sums[kChains] = {};
  for (__m256i& sum : sums) asm volatile("" : "+x"(sum));
  __m256i a = _mm256_set1_epi8(3);
  const __m256i b = _mm256_set1_epi8(5), ones = _mm256_set1_epi16(1);
  for (int turn = 0; turn < kTurns; ++turn) {
    for (int chain = 0; chain < kChains; ++chain) {
      asm("" : "+x"(a));  // a constant product would be computed once
      sums[chain] = _mm256_add_epi32(sums[chain], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
    }
  }
  for (const __m256i sum : sums) sink += static_cast<uint64_t>(_mm256_extract_epi32(sum, 0));
}

__attribute__((target("avx512f,avx512bf16"))) void bf16_avx512(int) {
  __m512 sums[kChains] = {};
  for (__m512& sum : sums) asm volatile("" : "+v"(sum));
  const auto a = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3f80));
  const auto b = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3b80));
  for (int turn = 0; turn < kTurns; ++turn) {
    for (int chain = 0; chain < kChains; ++chain) sums[chain] = _mm512_dpbf16_ps(sums[chain], a, b);
  }
  for (const __m512 sum : sums) sink += static_cast<uint64_t>(_mm512_reduce_add_ps(sum));
}

__attribute__((target("avx512f,avx512vnni"))) void int8_avx512(int) {
  __m512i sums[kChains] = {};
  for (__m512i& sum : sums) asm volatile("" : "+v"(sum));
  __m512i a = _mm512_set1_epi8(3);
  const __m512i b = _mm512_set1_epi8(5);
  for (int turn = 0; turn < kTurns; ++turn) {
    asm("" : "+v"(a));  // a constant product would be computed once
    for (int chain = 0; chain < kChains; ++chain) sums[chain] = _mm512_dpbusd_epi32(sums[chain], a, b);
  }
  for (const __m512i sum : sums) sink += static_cast<uint64_t>(_mm512_reduce_add_epi32(sum));
}

#endif

uint64_t sum_portable(const uint64_t* words, size_t count) {
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 8 <= count; i += 8) {
    for (size_t j = 0; j < 8; ++j) sums[j] += words[i + j];
  }
  for (int j = 1; j < 8; ++j) sums[0] += sums[j];
  return sums[0];
}

using Sum = uint64_t (*)(const uint64_t*, size_t);
Sum best_sum() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return sum_avx512;
  if (__builtin_cpu_supports("avx2")) return sum_avx2;
#endif
  return sum_portable;
}

double read_gbps(const HugeMemory& memory, int threads, double seconds) {
  if (memory.words == nullptr) return 0;
  const size_t part = memory.bytes / 8 / static_cast<size_t>(threads) / 64 * 64;
  const Sum sum = best_sum();
  return rate(threads, seconds, static_cast<double>(part * 8) * 1e-9,
              [&](int thread) { sink += sum(memory.words + static_cast<size_t>(thread) * part, part); });
}

struct Peak {
  const char* name;
  void (*round)(int);
  double operations;  // of one round
};

std::vector<Peak> peaks() {
  std::vector<Peak> found;
#if defined(__x86_64__)
  constexpr double kCalls = static_cast<double>(kChains) * kTurns;
  if (__builtin_cpu_supports("avx512f")) {
    found.push_back({"fp32", fp32_avx512, kCalls * 32});
    if (__builtin_cpu_supports("avx512bf16")) found.push_back({"bf16", bf16_avx512, kCalls * 64});
    if (__builtin_cpu_supports("avx512vnni")) found.push_back({"int8", int8_avx512, kCalls * 128});
  } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    found.push_back({"fp32", fp32_avx2, kCalls * 16});
    found.push_back({"int8", int8_avx2, kCalls * 64});
  }
#endif
  return found;
}

void print_for(const HugeMemory& memory, int threads, double seconds) {
  std::printf("{\"threads\": %d, \"readGBps\": %.2f", threads, read_gbps(memory, threads, seconds));
  for (const Peak& peak : peaks()) {
    std::printf(", \"%sGops\": %.1f", peak.name, rate(threads, seconds, peak.operations * 1e-9, peak.round));
  }
  std::printf("}");
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 0.3;
  if (threads < 1 || threads > 1024 || !(seconds > 0)) {
    std::fprintf(stderr, "usage: machine_probe [threads] [seconds]\n");
    return 1;
  }
  const HugeMemory memory(size_t{1} << 30);
  std::printf("{\"points\": [");
  print_for(memory, 1, seconds);
  if (threads > 1) {
    std::printf(", ");
    print_for(memory, threads, seconds);
  }
  std::printf("]}\n");
  return 0;
}
