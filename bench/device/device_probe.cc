// What a card is and can do, apart from our kernels: each case is one line of JSON on standard output,
// flushed.
//   device_probe probe|vectors|ceilings [dry]
// probe: the device, the driver, and how long our kernels take to be ready. vectors: tensor cores and
// approximate functions against numbers computed here; integers have to be exact. ceilings: copies, products
// of tensor cores, what a launch and a node of a graph cost.
#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "backend/cuda/device.h"

using namespace lorikeet;
using namespace lorikeet::cuda;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

[[noreturn]] void fail(const std::string& message) {
  std::printf("{\"case\": \"device_probe\", \"ok\": false, \"error\": \"%s\"}\n", message.c_str());
  std::fflush(stdout);
  std::exit(1);
}

template <class... Values>
void line(const char* format, Values... values) {
  std::printf(format, values...);
  std::printf("\n");
  std::fflush(stdout);
}

std::string mma(const std::string& shape, const std::string& d) {
  return "mma.sync.aligned." + shape + " {" + d + "0, " + d + "1, " + d + "2, " + d +
         "3}, {%a0, %a1, %a2, %a3}, {%b0, %b1}, {" + d + "0, " + d + "1, " + d + "2, " + d + "3};\n";
}

constexpr const char* kIntegers = "m16n8k32.row.col.s32.u8.s8.s32";
constexpr const char* kFloats = "m16n8k16.row.col.f32.bf16.bf16.f32";
constexpr int kChains = 8, kWarps = 8;

// Independent sums one after the other, so that only the rate counts.
std::string rate_kernel(const char* name, const char* shape, const char* type) {
  std::string text = std::string(".visible .entry ") + name +
                     "(.param .u64 out, .param .u32 rounds) {\n.reg .pred %p; .reg .u32 %n;\n"
                     ".reg .b32 %a<4>, %b<2>; .reg .u64 %o;\n";
  for (int chain = 0; chain < kChains; ++chain)
    text += std::string(".reg .") + type + " %d" + std::to_string(chain) + "_<4>;\n";
  text +=
      "ld.param.u64 %o, [out]; ld.param.u32 %n, [rounds];\nmov.b32 %a0, 0x01010101; mov.b32 %a1, %a0; "
      "mov.b32 %a2, %a0; "
      "mov.b32 %a3, %a0; mov.b32 %b0, %a0; mov.b32 %b1, %a0;\n";
  const std::string zero = std::string(type) == "s32" ? "0" : "0f00000000";
  for (int chain = 0; chain < kChains; ++chain) {
    for (int i = 0; i < 4; ++i)
      text += std::string("mov.") + type + " %d" + std::to_string(chain) + "_" + std::to_string(i) + ", " +
              zero + ";\n";
  }
  text += "again:\n";
  for (int chain = 0; chain < kChains; ++chain) text += mma(shape, "%d" + std::to_string(chain) + "_");
  text += "sub.u32 %n, %n, 1; setp.ne.u32 %p, %n, 0; @%p bra again;\n";
  for (int chain = 1; chain < kChains; ++chain)
    text += std::string("add.") + type + " %d0_0, %d0_0, %d" + std::to_string(chain) + "_0;\n";
  return text + "st.global." + type + " [%o], %d0_0;\nret;\n}\n";
}

// One warp: ten registers of each lane in (a, b, c), four out.
std::string vector_kernel(const char* name, const char* shape, const char* type) {
  std::string text =
      std::string(".visible .entry ") + name +
      "(.param .u64 out, .param .u64 in) {\n.reg .b32 %a<4>, %b<2>, %t; .reg ." + type +
      " %d<4>; .reg .u64 %o, %i;\nld.param.u64 %o, [out]; ld.param.u64 %i, [in]; mov.u32 %t, %tid.x;\n"
      "mad.wide.u32 %i, %t, 40, %i; mad.wide.u32 %o, %t, 16, %o;\n";
  const char* const registers[] = {"%a0", "%a1", "%a2", "%a3", "%b0", "%b1", "%d0", "%d1", "%d2", "%d3"};
  for (int i = 0; i < 10; ++i)
    text += std::string("ld.global.") + (i < 6 ? "b32" : type) + " " + registers[i] + ", [%i+" +
            std::to_string(4 * i) + "];\n";
  text += mma(shape, "%d");
  for (int i = 0; i < 4; ++i)
    text += std::string("st.global.") + type + " [%o+" + std::to_string(4 * i) + "], %d" + std::to_string(i) +
            ";\n";
  return text + "ret;\n}\n";
}

std::string function_kernel(const std::string& name, const std::string& instruction) {
  return ".visible .entry " + name +
         "(.param .u64 out, .param .u64 in) {\n.reg .u64 %o, %i; .reg .b32 %t; .reg .f32 %x, "
         "%y;\nld.param.u64 %o, [out]; "
         "ld.param.u64 %i, [in]; mov.u32 %t, %tid.x;\nmad.wide.u32 %i, %t, 4, %i; mad.wide.u32 %o, %t, 4, "
         "%o;\n"
         "ld.global.f32 %x, [%i];\n" +
         instruction + " %y, %x;\nst.global.f32 [%o], %y;\nret;\n}\n";
}

struct ApproximateFunction {
  const char *name, *instruction;
  double low, high;
  double (*exact)(double);
};
const ApproximateFunction kFunctions[] = {
    {"ex2", "ex2.approx.f32", -20, 20, [](double x) { return std::exp2(x); }},
    {"rcp", "rcp.approx.f32", 0.01, 100, [](double x) { return 1 / x; }},
    {"rsqrt", "rsqrt.approx.f32", 0.01, 100, [](double x) { return 1 / std::sqrt(x); }},
    {"lg2", "lg2.approx.f32", 4, 1000, [](double x) { return std::log2(x); }},
};

std::string module_text() {
  std::string text = ".version 7.4\n.target sm_80\n.address_size 64\n.visible .entry nothing() { ret; }\n";
  text += rate_kernel("rate_integers", kIntegers, "s32") + rate_kernel("rate_floats", kFloats, "f32");
  text += vector_kernel("vector_integers", kIntegers, "s32") + vector_kernel("vector_floats", kFloats, "f32");
  for (const auto& function : kFunctions) text += function_kernel(function.name, function.instruction);
  return text;
}

// The device with the module above.
class Card {
 public:
  Card() {
    auto opened = Device::open_without_kernels(0);
    if (!opened) fail(opened.error().message);
    device_ = std::move(*opened);
    device_->enter();
    check(driver().stream_create(&stream_, 1), "a stream");
    check(driver().module_load(&module_, text_.c_str(), 0, nullptr, nullptr), "loading PTX");
  }
  Device& device() { return *device_; }
  const Driver& driver() const { return device_->driver(); }
  StreamHandle stream() const { return stream_; }
  void check(int code, const char* doing) const {
    if (code != 0) fail(driver().error(code, doing).message);
  }
  void wait() const { check(driver().stream_wait(stream_), "waiting"); }
  DeviceMemory memory(size_t bytes) {
    auto memory = DeviceMemory::allocate(*device_, bytes, "a measurement");
    if (!memory) fail(memory.error().message);
    return std::move(*memory);
  }
  template <class... Arguments>
  void launch(const char* kernel, unsigned blocks, unsigned threads, Arguments... arguments) {
    FunctionHandle& function = functions_[kernel];
    if (function == nullptr) check(driver().module_function(&function, module_, kernel), kernel);
    void* pointers[] = {static_cast<void*>(&arguments)..., nullptr};
    check(driver().launch(function, blocks, 1, 1, threads, 1, 1, 0, stream_, pointers, nullptr), kernel);
  }
  // Of work that begins and ends with an empty stream: the best of three, after one that does not count.
  double seconds(const std::function<void()>& work) {
    double best = 0;
    for (int turn = 0; turn < 4; ++turn) {
      wait();
      const auto begin = Clock::now();
      work();
      wait();
      const double took = seconds_since(begin);
      if (turn > 0) best = best == 0 ? took : std::min(best, took);
    }
    return best;
  }

 private:
  std::unique_ptr<Device> device_;
  std::string text_ = module_text();
  StreamHandle stream_ = nullptr;
  ModuleHandle module_ = nullptr;
  std::map<std::string, FunctionHandle> functions_;
};

int attribute(const Card& card, int id) {
  int value = 0;
  card.check(card.driver().device_attribute(&value, id, 0), "an attribute");
  return value;
}

void probe(bool) {
  const auto begin = Clock::now();
  auto opened = Device::open(0);
  if (!opened) fail(opened.error().message);
  const double ready = seconds_since(begin);
  int version = 0;
  (void)(*opened)->driver().driver_version(&version);
  size_t free = 0, total = 0;
  (void)(*opened)->memory(free, total);
  line(
      "{\"case\": \"device\", \"ok\": true, \"device\": \"%s\", \"driver\": %d, \"free_bytes\": %zu, "
      "\"total_bytes\": %zu, "
      "\"kernels_ready_s\": %.3f}",
      (*opened)->description().c_str(), version, free, total, ready);
  Card card;
  line(
      "{\"case\": \"attributes\", \"ok\": true, \"multiprocessors\": %d, \"khz\": %d, \"memory_khz\": %d, "
      "\"bus_bits\": %d, "
      "\"l2_bytes\": %d}",
      attribute(card, 16), attribute(card, 13), attribute(card, 36), attribute(card, 37),
      attribute(card, 38));
}

struct Fragments {
  std::vector<uint32_t> in = std::vector<uint32_t>(32 * 10);
  std::vector<double> a, b, c;  // [16, K], [K, 8], [16, 8]
};

// Lane g * 4 + t holds of A rows g and g + 8, of B column g, of C rows g and g + 8 in columns 2t and 2t + 1.
Fragments fragments(std::mt19937& random, bool integers) {
  const int depth = integers ? 32 : 16, packed = integers ? 4 : 2;
  Fragments f{.a = std::vector<double>(static_cast<size_t>(16 * depth)),
              .b = std::vector<double>(static_cast<size_t>(8 * depth)),
              .c = std::vector<double>(128)};
  const auto put = [&](uint32_t& word, int i, bool is_signed) {
    if (integers) {
      const auto byte = static_cast<uint8_t>(random());
      word |= uint32_t{byte} << (8 * i);
      return is_signed ? double{static_cast<double>(static_cast<int8_t>(byte))}
                       : double{static_cast<double>(byte)};
    }
    const float value =
        std::ldexp(static_cast<float>(random() % 255 + 1), static_cast<int>(random() % 12) - 12) *
        (random() % 2 == 0 ? 1.0f : -1.0f);
    word |= (std::bit_cast<uint32_t>(value) >> 16) << (16 * i);
    return static_cast<double>(std::bit_cast<float>(std::bit_cast<uint32_t>(value) & 0xffff0000));
  };
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    uint32_t* const words = f.in.data() + lane * 10;
    for (int word = 0; word < 4; ++word) {
      const int row = g + 8 * (word % 2), k = packed * t + (depth / 2) * (word / 2);
      for (int i = 0; i < packed; ++i)
        f.a[static_cast<size_t>(row * depth + k + i)] = put(words[word], i, false);
    }
    for (int word = 0; word < 2; ++word) {
      const int k = packed * t + (depth / 2) * word;
      for (int i = 0; i < packed; ++i)
        f.b[static_cast<size_t>((k + i) * 8 + g)] = put(words[4 + word], i, true);
    }
    for (int i = 0; i < 4; ++i) {
      const auto value = static_cast<int32_t>(random() % 2001) - 1000;
      words[6 + i] =
          integers ? static_cast<uint32_t>(value) : std::bit_cast<uint32_t>(static_cast<float>(value) / 8);
      f.c[static_cast<size_t>((g + 8 * (i / 2)) * 8 + 2 * t + i % 2)] = integers ? value : value / 8.0;
    }
  }
  return f;
}

// The largest error in units of float32's rounding of the sum of magnitudes; of integers the largest
// difference.
double worst_of_mma(Card& card, std::mt19937& random, bool integers) {
  const int depth = integers ? 32 : 16;
  const Fragments f = fragments(random, integers);
  const DeviceMemory in = card.memory(f.in.size() * 4), out = card.memory(32 * 16);
  std::vector<uint32_t> got(128);
  card.check(card.driver().copy_to_device(in.address(), f.in.data(), f.in.size() * 4, card.stream()),
             "copying");
  card.launch(integers ? "vector_integers" : "vector_floats", 1, 32, out.address(), in.address());
  card.check(card.driver().copy_to_host(got.data(), out.address(), 512, card.stream()), "copying");
  card.wait();
  double worst = 0;
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + 8 * (i / 2), col = 2 * (lane % 4) + i % 2;
      double sum = f.c[static_cast<size_t>(row * 8 + col)], magnitude = std::abs(sum);
      for (int k = 0; k < depth; ++k) {
        const double product =
            f.a[static_cast<size_t>(row * depth + k)] * f.b[static_cast<size_t>(k * 8 + col)];
        sum += product;
        magnitude += std::abs(product);
      }
      const uint32_t word = got[static_cast<size_t>(lane * 4 + i)];
      const double value =
          integers ? static_cast<double>(static_cast<int32_t>(word)) : double{std::bit_cast<float>(word)};
      worst = std::max(worst, integers ? std::abs(value - sum)
                                       : std::abs(value - sum) / (magnitude * std::ldexp(1.0, -24)));
    }
  }
  return worst;
}

double worst_of_function(Card& card, const ApproximateFunction& function) {
  constexpr int kCount = 1024;
  std::mt19937 random(7);
  std::vector<float> x(kCount), y(kCount);
  for (float& value : x)
    value = static_cast<float>(std::uniform_real_distribution<double>(function.low, function.high)(random));
  const DeviceMemory in = card.memory(kCount * 4), out = card.memory(kCount * 4);
  card.check(card.driver().copy_to_device(in.address(), x.data(), kCount * 4, card.stream()), "copying");
  card.launch(function.name, 1, kCount, out.address(), in.address());
  card.check(card.driver().copy_to_host(y.data(), out.address(), kCount * 4, card.stream()), "copying");
  card.wait();
  double worst = 0;
  for (int i = 0; i < kCount; ++i) {
    const double exact = function.exact(x[static_cast<size_t>(i)]);
    worst = std::max(worst,
                     std::abs(y[static_cast<size_t>(i)] - exact) / (std::abs(exact) * std::ldexp(1.0, -23)));
  }
  return worst;
}

void vectors(bool dry) {
  Card card;
  std::mt19937 random(3);
  const int turns = dry ? 20 : 500;
  for (const bool integers : {true, false}) {
    double worst = 0;
    for (int turn = 0; turn < turns; ++turn) worst = std::max(worst, worst_of_mma(card, random, integers));
    // Tensor cores cut what they sum: a few units, not the half of one that rounding would cost.
    const bool ok = integers ? worst == 0 : worst < 16;
    line("{\"case\": \"mma %s\", \"ok\": %s, \"vectors\": %d, \"worst\": %.3f}",
         integers ? kIntegers : kFloats, ok ? "true" : "false", turns, worst);
  }
  for (const auto& function : kFunctions) {
    const double worst = worst_of_function(card, function);
    line("{\"case\": \"%s\", \"ok\": %s, \"worst_ulp\": %.3f}", function.instruction,
         worst < 4 ? "true" : "false", worst);
  }
}

void rate(Card& card, const char* kernel, double operations, bool dry) {
  const auto blocks = static_cast<unsigned>(dry ? 2 : attribute(card, 16) * 4);
  const uint32_t rounds = dry ? 4 : 20000;
  const DeviceMemory out = card.memory(256);
  const double took = card.seconds([&] { card.launch(kernel, blocks, 32 * kWarps, out.address(), rounds); });
  line("{\"case\": \"%s\", \"ok\": true, \"tera_operations_per_s\": %.1f}", kernel,
       operations * kChains * kWarps * blocks * rounds / took / 1e12);
}

void ceilings(bool dry) {
  Card card;
  const size_t bytes = dry ? size_t{1} << 20 : size_t{4} << 30;
  {
    const DeviceMemory from = card.memory(bytes), to = card.memory(bytes);
    card.check(card.driver().fill(from.address(), 1, bytes, card.stream()), "filling");
    const double took = card.seconds([&] {
      card.check(card.driver().copy_on_device(to.address(), from.address(), bytes, card.stream()), "copying");
    });
    line("{\"case\": \"copy\", \"ok\": true, \"gigabytes_per_s\": %.1f}",
         2.0 * static_cast<double>(bytes) / took / 1e9);
  }
  rate(card, "rate_integers", 2.0 * 16 * 8 * 32, dry);
  rate(card, "rate_floats", 2.0 * 16 * 8 * 16, dry);
  const int nodes = dry ? 64 : 2000;
  const auto launches = [&] {
    for (int i = 0; i < nodes; ++i) card.launch("nothing", 1, 32);
  };
  line("{\"case\": \"launch\", \"ok\": true, \"microseconds\": %.3f}", card.seconds(launches) / nodes * 1e6);
  GraphHandle graph = nullptr;
  ExecutableGraphHandle executable = nullptr;
  card.check(card.driver().capture_begin(card.stream(), kCaptureOfThread), "capturing");
  launches();
  card.check(card.driver().capture_end(card.stream(), &graph), "capturing");
  card.check(card.driver().graph_instantiate(&executable, graph, 0), "making a graph");
  const double took =
      card.seconds([&] { card.check(card.driver().graph_launch(executable, card.stream()), "a graph"); });
  line("{\"case\": \"node of a graph\", \"ok\": true, \"microseconds\": %.3f}", took / nodes * 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string phase = argc > 1 ? argv[1] : "";
  const bool dry = argc > 2 && std::string(argv[2]) == "dry";
  if (phase == "probe")
    probe(dry);
  else if (phase == "vectors")
    vectors(dry);
  else if (phase == "ceilings")
    ceilings(dry);
  else
    fail("device_probe probe|vectors|ceilings [dry]");
}
