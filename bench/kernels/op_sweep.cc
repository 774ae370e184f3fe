// The linear op with adapters over formats, shapes, rows, ranks and popularity: one JSON line per measurement. It links the
// native engine's own library and calls it as the decoder does, with weights that no cache still holds from the last call.
//   op_sweep [threads] [quick]
// Every time is the lower decile of wall times: on a busy machine repeat, and look at the probe beside.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/interface/open_backend.h"
#include "backend/shared/dtype.h"

using namespace lorikeet;

namespace {

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <class Body>
double lower_decile_seconds(double budget_seconds, Body&& body) {
  body();
  std::vector<double> times;
  const double start = now_seconds();
  while (times.size() < 5 || (now_seconds() - start < budget_seconds && times.size() < 2000)) {
    const double before = now_seconds();
    body();
    times.push_back(now_seconds() - before);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 10];
}

// bf16 numbers of about the given size; one source is enough, since every object repacks its own copy.
std::vector<std::byte> random_bf16(size_t count, float size) {
  std::vector<std::byte> bytes(count * 2);
  std::minstd_rand random(7);
  std::uniform_real_distribution<float> uniform(-size, size);
  const size_t period = std::min<size_t>(count, 1 << 20);
  for (size_t i = 0; i < period; ++i) store_f32(bytes.data(), DType::bf16, static_cast<int64_t>(i), uniform(random));
  for (size_t i = period; i < count; i += period) {
    std::memcpy(bytes.data() + i * 2, bytes.data(), std::min(period, count - i) * 2);
  }
  return bytes;
}

struct Format {
  const char* name;
  Quantization quantization;
};

// The formats that this build of the engine has.
template <class Q>
std::vector<Format> formats() {
  std::vector<Format> found{{"none", Q::none}};
  if constexpr (requires { Q::int8; }) found.push_back({"int8", Q::int8});
  if constexpr (requires { Q::int4; }) found.push_back({"int4", Q::int4});
  if constexpr (requires { Q::nf4; }) found.push_back({"nf4", Q::nf4});
  return found;
}

// One map as a model's layers have it: several copies, each with its own adapters, used in turn.
struct Layers {
  struct Layer {
    std::unique_ptr<Linear> linear;
    std::vector<std::unique_ptr<AdapterLinear>> adapters;
  };
  std::vector<Layer> layers;
  size_t next = 0;
  const Layer& turn() { return layers[next++ % layers.size()]; }
};

[[noreturn]] void stop(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(1);
}

constexpr size_t kBeyondCache = size_t{96} << 20;
constexpr size_t kMostLayers = 12;

Layers create_layers(Backend& backend, int64_t k, int64_t n, Quantization quantization) {
  const auto bytes = random_bf16(static_cast<size_t>(k * n), 0.05f);
  LinearDesc desc;
  desc.parts.push_back({{bytes.data(), DType::bf16, n, k}, std::nullopt});
  desc.quantization = quantization;
  Layers layers;
  for (size_t held = 0; held < kBeyondCache && layers.layers.size() < kMostLayers;) {
    auto linear = backend.linear_create(desc);
    if (!linear) stop(linear.error().message);
    held += (*linear)->bytes();
    layers.layers.push_back({std::move(*linear), {}});
  }
  return layers;
}

void set_adapters(Backend& backend, Layers& layers, int count, int rank) {
  const Linear& shape = *layers.layers.front().linear;
  const auto a = random_bf16(static_cast<size_t>(rank * shape.inputs()), 0.02f);
  const auto b = random_bf16(static_cast<size_t>(rank * shape.outputs()), 0.02f);
  AdapterPartDesc part;
  part.rank = rank;
  part.scale = 2.0f;
  part.a = {a.data(), DType::bf16, rank, shape.inputs()};
  part.b = {b.data(), DType::bf16, shape.outputs(), rank};
  for (Layers::Layer& layer : layers.layers) {
    layer.adapters.clear();
    for (int i = 0; i < count; ++i) {
      auto adapter = backend.adapter_linear_create(*layer.linear, std::span(&part, 1));
      if (!adapter) stop(adapter.error().message);
      layer.adapters.push_back(std::move(*adapter));
    }
  }
}

// Rows of each adapter, in order; empty: no row has one.
std::vector<int> rows_per_adapter(const std::string& popularity, int rows) {
  if (popularity == "none") return {};
  if (popularity == "identical") return {rows};
  if (popularity == "distinct") return std::vector<int>(static_cast<size_t>(rows), 1);
  int used = 1;
  while (used * used < rows) ++used;
  std::vector<int> counts(static_cast<size_t>(used), rows / used);
  for (int i = 0; i < rows % used; ++i) ++counts[static_cast<size_t>(i)];
  return counts;
}

struct Case {
  const char* format;
  int rows;
  int rank;  // 0: no adapter
  std::string popularity;
};

void measure(Backend& backend, Layers& layers, const Case& what, double budget_seconds) {
  const Linear& shape = *layers.layers.front().linear;
  std::vector<float> values(static_cast<size_t>(what.rows * shape.inputs()));
  std::minstd_rand random(3);
  for (float& value : values) value = std::uniform_real_distribution<float>(-1, 1)(random);
  auto x = backend.tensor_create(what.rows, shape.inputs());
  auto y = backend.tensor_create(what.rows, shape.outputs());
  if (!x || !y || !backend.upload(whole(**x), values)) stop("no memory for activations");
  const std::vector<int> counts = rows_per_adapter(what.popularity, what.rows);
  std::vector<LinearSegment> segments(counts.size());
  const double seconds = lower_decile_seconds(budget_seconds, [&] {
    const Layers::Layer& layer = layers.turn();
    int32_t row = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      segments[i] = {row, counts[i], layer.adapters[i].get()};
      row += counts[i];
    }
    backend.step_begin({});
    backend.linear(whole(**y), whole(**x), *layer.linear, segments, LinearOutput::store);
    if (!backend.step_end({})) stop("a step failed");
  });
  double bytes = static_cast<double>(shape.bytes());
  for (size_t i = 0; i < counts.size(); ++i) bytes += static_cast<double>(layers.layers.front().adapters[i]->bytes());
  const double products = static_cast<double>(what.rows) *
                          (static_cast<double>(shape.inputs() * shape.outputs()) +
                           (counts.empty() ? 0.0 : static_cast<double>(what.rank * (shape.inputs() + shape.outputs()))));
  std::printf("{\"op\": \"linear\", \"format\": \"%s\", \"k\": %lld, \"n\": %lld, \"rows\": %d, \"rank\": %d, "
              "\"popularity\": \"%s\", \"us\": %.2f, \"GBps\": %.2f, \"Gops\": %.1f}\n",
              what.format, static_cast<long long>(shape.inputs()), static_cast<long long>(shape.outputs()), what.rows,
              counts.empty() ? 0 : what.rank, what.popularity.c_str(), seconds * 1e6, bytes / seconds * 1e-9,
              2 * products / seconds * 1e-9);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  BackendOptions options;
  options.threads = argc > 1 ? std::atoi(argv[1]) : 1;
  const bool quick = argc > 2;
  auto backend = make_cpu_backend(options);
  if (!backend) stop(backend.error().message);
  const Status reserved =
      (*backend)->reserve({.rows = 512, .sequences = 512}, {.widest_input = 8192, .widest_output = 8192, .quantized = true});
  if (!reserved) stop(reserved.error().message);
  const double budget_seconds = quick ? 0.02 : 0.12;
  const std::vector<int> rows = quick ? std::vector<int>{1, 16} : std::vector<int>{1, 16, 64};
  const std::vector<int> ranks = quick ? std::vector<int>{16} : std::vector<int>{8, 16, 32, 64};
  for (const auto& [name, quantization] : formats<Quantization>()) {
    for (const auto& [k, n] : std::vector<std::pair<int64_t, int64_t>>{{2048, 2048}, {2048, 8192}, {8192, 2048}}) {
      Layers layers = create_layers(**backend, k, n, quantization);
      for (const int count : {1, 4, 16, 128, 512}) {
        if (!quick || count <= 16) measure(**backend, layers, {name, count, 0, "none"}, budget_seconds);
      }
      for (const int rank : ranks) {
        set_adapters(**backend, layers, rows.back(), rank);
        for (const int count : rows) {
          for (const char* popularity : {"identical", "uniform", "distinct"}) {
            measure(**backend, layers, {name, count, rank, popularity}, budget_seconds);
          }
        }
      }
    }
  }
  return 0;
}
