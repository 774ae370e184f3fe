// Speed of the linear op and of attention at the shapes of a 1B model, next to what this machine can do at
// the same moment: the product inside the cache and reads from memory, on the same threads. Not part of the
// tests.
//   lorikeet_bench [threads] [isa] [none|int8|int4|attention|packed]
// A quantized map's peak is that of the byte dot product on registers. `packed` compares maps in other tools'
// codes, in integers and in float32, with int4, in turns. Every time is the lower decile of many runs. With
// one thread it is the thread's CPU time, so that other processes cost only the caches and the bandwidth that
// they take; with more it is wall time, and the machine should be quiet.
#include <time.h>
#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC bug 105593
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#endif

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "backend/cpu/memory.h"
#include "backend/interface/open_backend.h"
#include "backend/shared/dtype.h"

using namespace lorikeet;

namespace {

clockid_t clock_id = CLOCK_MONOTONIC;

double now_seconds(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Calls body until some time has passed, at least three times; the lower decile of its times.
template <class Body>
double best_seconds(Body&& body) {
  std::vector<double> times;
  const double start = now_seconds(CLOCK_MONOTONIC);
  while (times.size() < 3 || (now_seconds(CLOCK_MONOTONIC) - start < 0.5 && times.size() < 1000)) {
    const double before = now_seconds(clock_id);
    body();
    times.push_back(now_seconds(clock_id) - before);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 10];
}

std::vector<std::byte> random_weights(size_t count, DType dtype, uint32_t seed) {
  std::vector<std::byte> bytes(count * dtype_bytes(dtype));
  std::minstd_rand random(seed);
  std::uniform_real_distribution<float> uniform(-0.05f, 0.05f);
  for (size_t i = 0; i < count; ++i) store_f32(bytes.data(), dtype, static_cast<int64_t>(i), uniform(random));
  return bytes;
}

// A map and as many copies as make the last-level cache useless: a step never finds the weights of the last
// step there.
struct Layers {
  std::vector<std::unique_ptr<Linear>> copies;
  size_t next = 0;
  const Linear& turn() { return *copies[next++ % copies.size()]; }
};

Layers create_layers(Backend& backend, const LinearDesc& desc) {
  Layers layers;
  constexpr size_t kBeyondCache = size_t{96} << 20;
  for (size_t held = 0; held < kBeyondCache; held += layers.copies.back()->bytes()) {
    auto linear = backend.linear_create(desc);
    if (!linear) {
      std::fprintf(stderr, "%s\n", linear.error().message.c_str());
      std::exit(1);
    }
    layers.copies.push_back(std::move(*linear));
  }
  return layers;
}

Layers create_layers(Backend& backend, int64_t k, int64_t n, Quantization quantization) {
  const auto count = static_cast<size_t>(k * n);
  const auto bytes = random_weights(count, DType::bf16, 1);
  LinearDesc desc;
  desc.parts.push_back({{bytes.data(), DType::bf16, n, k}, std::nullopt});
  desc.quantization = quantization;
  return create_layers(backend, desc);
}

// Codes at random, and scales of which every format holds each exactly.
class RandomCodes final : public CodedSource {
 public:
  using CodedSource::CodedSource;
  bool read_row(const CodedRow& to, int64_t row) const override {
    std::minstd_rand random(static_cast<uint32_t>(row) + 1);
    const auto fill = [&](auto* numbers, int64_t count, uint32_t below) {
      if (numbers == nullptr) return;
      for (int64_t i = 0; i < count; ++i)
        numbers[i] = static_cast<std::remove_reference_t<decltype(*numbers)>>((random() >> 8) % below);
    };
    fill(to.codes, cols(), 1u << format().bits);
    fill(to.zero, format().groups, 16);
    fill(to.scale, format().groups, 7);
    fill(to.offset, format().groups, 7);
    fill(to.scale_factor, format().factors(), 7);
    fill(to.offset_factor, format().factors(), 7);
    return true;
  }
  void release_rows(int64_t, int64_t) const override {}
};

Layers create_coded_layers(Backend& backend, int64_t k, int64_t n, CodedFormat format, bool integers) {
  format.groups = k / format.group;
  LinearDesc desc;
  desc.parts.push_back(
      {{nullptr, DType::f32, n, k}, std::nullopt, {}, std::make_shared<RandomCodes>(n, k, format)});
  desc.integer_activations = integers;
  return create_layers(backend, desc);
}

std::vector<std::unique_ptr<AdapterLinear>> create_adapters(Backend& backend, const Linear& base, int count,
                                                            int rank) {
  const auto a = random_weights(static_cast<size_t>(rank * base.inputs()), DType::bf16, 2);
  const auto b = random_weights(static_cast<size_t>(rank * base.outputs()), DType::bf16, 3);
  std::vector<std::unique_ptr<AdapterLinear>> adapters;
  for (int i = 0; i < count; ++i) {
    AdapterPartDesc part;
    part.rank = rank;
    part.scale = 2.0f;
    part.a = {a.data(), DType::bf16, rank, base.inputs()};
    part.b = {b.data(), DType::bf16, base.outputs(), rank};
    auto adapter = backend.adapter_linear_create(base, std::span(&part, 1));
    if (!adapter) std::exit(1);
    adapters.push_back(std::move(*adapter));
  }
  return adapters;
}

template <class Body>
void on_threads(int threads, Body&& body) {
  std::vector<std::thread> workers;
  for (int i = 1; i < threads; ++i) workers.emplace_back([&body, i] { body(i); });
  body(0);
  for (std::thread& worker : workers) worker.join();
}

// GB/s of a plain sum over memory with huge pages, each thread its own part.
double read_bandwidth(int threads) {
  constexpr size_t kBytes = size_t{512} << 20;
  static auto memory = cpu::Memory::allocate(kBytes);
  if (!memory) return 0;
  auto* const words = reinterpret_cast<uint64_t*>(memory->data());
  static const bool touched = [&] {
    for (size_t i = 0; i < kBytes / 8; i += 64) words[i] = i;
    return true;
  }();
  (void)touched;
  std::atomic<uint64_t> sink{0};
  const double seconds = best_seconds([&] {
    on_threads(threads, [&](int thread) {
      const size_t part = kBytes / 8 / static_cast<size_t>(threads);
      const uint64_t* const from = words + static_cast<size_t>(thread) * part;
      uint64_t sums[8] = {};
      for (size_t i = 0; i + 8 <= part; i += 8) {
        for (size_t j = 0; j < 8; ++j) sums[j] += from[i + j];
      }
      for (const uint64_t sum : sums) sink += sum;
    });
  });
  return static_cast<double>(kBytes) / seconds * 1e-9;
}

// Of the largest step here.
constexpr StepLimits kLimits{.rows = 512, .sequences = 16, .samples = 1, .context = 4096, .kv_slots = 8192};
constexpr NetworkShape kShape{.vocab = 1,
                              .hidden = 2048,
                              .widest_input = 8192,
                              .widest_output = 8192,
                              .quantized = true,
                              .q_heads = 32,
                              .kv_heads = 8,
                              .head_dim = 64};

std::unique_ptr<Tensor> on_device(Backend& backend, const std::vector<float>& values, int64_t cols) {
  auto tensor = backend.tensor_create(static_cast<int64_t>(values.size()) / cols, cols);
  if (!tensor || !backend.upload(whole(**tensor), values)) std::exit(1);
  return std::move(*tensor);
}

// The lower decile of the times of a step of that op.
template <class Op>
double best_step_seconds(Backend& backend, const StepInput& input, Op&& op) {
  backend.step_begin(input);
  const double seconds = best_seconds(op);
  if (!backend.step_end({})) std::exit(1);
  return seconds;
}

// GFLOP/s of the product where no operand leaves the second-level cache.
double peak_flops(Backend& backend) {
  const int64_t k = 512, n = 64 * 8 * backend.caps().threads, rows = 96;
  const auto bytes = random_weights(static_cast<size_t>(k * n), DType::bf16, 4);
  LinearDesc desc;
  desc.parts.push_back({{bytes.data(), DType::bf16, n, k}, std::nullopt});
  auto linear = backend.linear_create(desc);
  if (!linear) return 0;
  const auto x = on_device(backend, std::vector<float>(static_cast<size_t>(rows * k), 0.5f), k);
  const auto y = on_device(backend, std::vector<float>(static_cast<size_t>(rows * n)), n);
  const double seconds = best_step_seconds(
      backend, {}, [&] { backend.linear(whole(*y), whole(*x), **linear, {}, LinearOutput::store); });
  return 2.0 * static_cast<double>(k * n * rows) / seconds * 1e-9;
}

// GOP/s of the byte dot product on registers only, 0 where the processor has no instruction for it.
#if defined(__x86_64__)
// Twelve chains: more than the instruction's latency.
__attribute__((target("avx512f,avx512vnni"))) void run_dot_products(int64_t turns) {
  __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, k = a,
          l = a;
  const __m512i x = _mm512_set1_epi32(0x01020304);
  for (int64_t turn = 0; turn < turns; ++turn) {
    a = _mm512_dpbusd_epi32(a, x, x);
    b = _mm512_dpbusd_epi32(b, x, x);
    c = _mm512_dpbusd_epi32(c, x, x);
    d = _mm512_dpbusd_epi32(d, x, x);
    e = _mm512_dpbusd_epi32(e, x, x);
    f = _mm512_dpbusd_epi32(f, x, x);
    g = _mm512_dpbusd_epi32(g, x, x);
    h = _mm512_dpbusd_epi32(h, x, x);
    i = _mm512_dpbusd_epi32(i, x, x);
    j = _mm512_dpbusd_epi32(j, x, x);
    k = _mm512_dpbusd_epi32(k, x, x);
    l = _mm512_dpbusd_epi32(l, x, x);
    asm volatile("" : "+v"(a), "+v"(b), "+v"(c), "+v"(d), "+v"(e), "+v"(f));
    asm volatile("" : "+v"(g), "+v"(h), "+v"(i), "+v"(j), "+v"(k), "+v"(l));
  }
}

double peak_int8(int threads) {
  if (!__builtin_cpu_supports("avx512vnni")) return 0;
  constexpr int64_t kTurns = 1 << 18;
  const double seconds = best_seconds([&] { on_threads(threads, [&](int) { run_dot_products(kTurns); }); });
  return static_cast<double>(kTurns * 12 * 128 * threads) / seconds * 1e-9;
}
#else
double peak_int8(int) {
  return 0;
}
#endif

void bench_shape(Backend& backend, int64_t k, int64_t n, Quantization quantization, double peak) {
  Layers layers = create_layers(backend, k, n, quantization);
  const auto adapters = create_adapters(backend, *layers.copies.front(), 16, 16);
  std::vector<float> values(static_cast<size_t>(512 * k));
  std::minstd_rand random(5);
  for (float& value : values) value = std::uniform_real_distribution<float>(-1, 1)(random);
  const auto all_x = on_device(backend, values, k);
  const auto all_y = on_device(backend, std::vector<float>(static_cast<size_t>(512 * n)), n);
  for (const int rows : {1, 4, 16, 128, 512}) {
    const TensorView x = whole(*all_x).part(0, rows), y = whole(*all_y).part(0, rows);
    const double seconds =
        best_step_seconds(backend, {}, [&] { backend.linear(y, x, layers.turn(), {}, LinearOutput::store); });
    const double bandwidth = read_bandwidth(backend.caps().threads);
    const double flops = 2.0 * static_cast<double>(rows * k * n) / seconds * 1e-9;
    const double bytes = static_cast<double>(layers.copies.front()->bytes()) / seconds * 1e-9;
    std::printf("%5lld x %-5lld %5d  %9.1f us  %7.1f GFLOP/s (%.2f)  %6.1f GB/s (%.2f of %.1f)",
                static_cast<long long>(k), static_cast<long long>(n), rows, seconds * 1e6, flops,
                flops / peak, bytes, bytes / bandwidth, bandwidth);
    if (rows <= 16) {
      std::vector<LinearSegment> segments;
      for (int32_t row = 0; row < rows; ++row)
        segments.push_back({row, 1, adapters[static_cast<size_t>(row)].get()});
      const double adapted = best_step_seconds(
          backend, {}, [&] { backend.linear(y, x, layers.turn(), segments, LinearOutput::store); });
      std::printf("  distinct r16 adapters: %.2f of the time", adapted / seconds);
    }
    std::printf("\n");
  }
}

struct PackedFormat {
  const char* name;
  CodedFormat format;
};

std::vector<PackedFormat> packed_formats() {
  CodedFormat gptq;
  gptq.group = 128;
  gptq.scale_type = DType::f16;
  gptq.zero = 8;
  CodedFormat zeros = gptq;
  zeros.zeros = true;
  CodedFormat mlx = gptq;
  mlx.group = 64;
  mlx.zero = 0;
  mlx.offsets = true;
  return {{"gptq, group 128", gptq}, {"gptq, group 128, zeros", zeros}, {"mlx, group 64", mlx}};
}

double middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Times of the same rows with int4, and with codes in integers and in float32: in turns, so that what else
// the machine does meets all of them.
void bench_packed(Backend& backend, int64_t k, int64_t n, const PackedFormat& packed) {
  Layers layers[] = {create_layers(backend, k, n, Quantization::int4),
                     create_coded_layers(backend, k, n, packed.format, true),
                     create_coded_layers(backend, k, n, packed.format, false)};
  std::vector<float> values(static_cast<size_t>(128 * k));
  std::minstd_rand random(5);
  for (float& value : values) value = std::uniform_real_distribution<float>(-1, 1)(random);
  const auto all_x = on_device(backend, values, k);
  const auto all_y = on_device(backend, std::vector<float>(static_cast<size_t>(128 * n)), n);
  for (const int rows : {1, 8, 128}) {
    const TensorView x = whole(*all_x).part(0, rows), y = whole(*all_y).part(0, rows);
    std::vector<double> seconds[3];
    for (int turn = 0; turn < 5; ++turn) {
      for (size_t i = 0; i < 3; ++i) {
        seconds[i].push_back(best_step_seconds(
            backend, {}, [&] { backend.linear(y, x, layers[i].turn(), {}, LinearOutput::store); }));
      }
    }
    const double int4 = middle(seconds[0]), integers = middle(seconds[1]), floats = middle(seconds[2]);
    std::printf(
        "%-24s %5lld x %-5lld %4d rows: int4 %9.1f us, in integers %9.1f us (%.2f), in float32 %9.1f us "
        "(%.2f)\n",
        packed.name, static_cast<long long>(k), static_cast<long long>(n), rows, int4 * 1e6, integers * 1e6,
        integers / int4, floats * 1e6, floats / int4);
  }
}

// Sequences of equal context on pages in order, each with `rows` new rows: 32 query heads, 8 KV heads of 64.
void bench_attention(Backend& backend, int sequences, int rows, int context, DType type) {
  constexpr int kPageTokens = 16;
  const AttentionDesc desc{32, 8, 64, 0.125f};
  const int pages = (context + kPageTokens - 1) / kPageTokens;
  auto kv = backend.kv_create(
      {.layers = {{8, 64}}, .pages = pages * sequences, .page_tokens = kPageTokens, .type = type});
  if (!kv) std::exit(1);
  std::vector<int32_t> token, position, slot, q_start{0}, kv_len, table;
  for (int sequence = 0; sequence < sequences; ++sequence) {
    for (int row = context - rows; row < context; ++row) {
      token.push_back(0);
      position.push_back(row);
      slot.push_back(sequence * pages * kPageTokens + row);
    }
    q_start.push_back(static_cast<int32_t>(token.size()));
    kv_len.push_back(context);
    for (int page = 0; page < pages; ++page) table.push_back(sequence * pages + page);
  }
  const StepInput input{.token = token,
                        .token_from = {},
                        .position = position,
                        .kv_slot = slot,
                        .q_start = q_start,
                        .kv_len = kv_len,
                        .page_table = table,
                        .page_table_stride = pages,
                        .sample_row = {},
                        .samples = {},
                        .copies = {}};
  const auto qkv = on_device(backend, std::vector<float>(token.size() * 48 * 64, 0.25f), 48 * 64);
  const auto out = on_device(backend, std::vector<float>(token.size() * 32 * 64), 32 * 64);
  const auto rotation = backend.rotation_create({std::vector<float>(32, 0.001f), 1.0f, false});
  if (!rotation) std::exit(1);
  const double rope_seconds =
      best_step_seconds(backend, input, [&] { backend.rope_kv(whole(*qkv), **kv, 0, **rotation, desc); });
  const double seconds =
      best_step_seconds(backend, input, [&] { backend.attention(whole(*out), whole(*qkv), **kv, 0, desc); });
  const double seen = static_cast<double>(sequences) * rows * (context - (rows - 1) / 2.0);
  std::printf(
      "attention %3d x %4d rows, context %5d: %9.1f us  %6.1f GFLOP/s  %6.1f GB/s of cache; rope_kv %7.1f "
      "us\n",
      sequences, rows, context, seconds * 1e6, seen * 32 * 64 * 4 / seconds * 1e-9,
      static_cast<double>((*kv)->bytes()) / seconds * 1e-9, rope_seconds * 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  BackendOptions options;
  options.threads = argc > 1 ? std::atoi(argv[1]) : 1;
  options.isa = argc > 2 ? argv[2] : "";
  if (options.threads == 1) clock_id = CLOCK_THREAD_CPUTIME_ID;
  auto backend = make_cpu_backend(options);
  if (!backend) {
    std::fprintf(stderr, "%s\n", backend.error().message.c_str());
    return 1;
  }
  if (!(*backend)->reserve(kLimits, kShape)) return 1;
  const std::string only = argc > 3 ? argv[3] : "";
  std::printf("%s, read %.1f GB/s\n", (*backend)->caps().device.c_str(), read_bandwidth(options.threads));
  const std::pair<const char*, Quantization> formats[] = {
      {"none", Quantization::none}, {"int8", Quantization::int8}, {"int4", Quantization::int4}};
  for (const auto& [name, quantization] : formats) {
    if (!only.empty() && only != name) continue;
    const bool floats = quantization == Quantization::none;
    const double peak = floats ? peak_flops(**backend) : peak_int8(options.threads);
    std::printf("%s, peak %.1f G%s/s\n", floats ? "bf16" : name, peak, floats ? "FLOP" : "OP");
    for (const auto& [k, n] :
         std::vector<std::pair<int64_t, int64_t>>{{2048, 2048}, {2048, 8192}, {8192, 2048}}) {
      bench_shape(**backend, k, n, quantization, peak);
    }
  }
  if (only == "packed") {
    for (const PackedFormat& packed : packed_formats()) {
      for (const auto& [k, n] :
           std::vector<std::pair<int64_t, int64_t>>{{2048, 2048}, {2048, 8192}, {8192, 2048}})
        bench_packed(**backend, k, n, packed);
    }
  }
  if (!only.empty() && only != "attention") return 0;
  for (const auto& [name, type] :
       {std::pair{"f32", DType::f32}, std::pair{"bf16", DType::bf16}, std::pair{"int8", DType::int8}}) {
    std::printf("KV cache in %s\n", name);
    bench_attention(**backend, 1, 1, 4096, type);
    bench_attention(**backend, 16, 1, 512, type);
    bench_attention(**backend, 1, 512, 512, type);
    bench_attention(**backend, 1, 256, 4096, type);
  }
  return 0;
}
