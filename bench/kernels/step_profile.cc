// Where a whole step's time goes: the decoder on a real checkpoint, each call of the backend timed. One JSON line per step
// and op. Adapters are random, on all seven projections, in bfloat16 where a step's name says no more.
//   step_profile CHECKPOINT [threads] [none|int8|int4|nf4] [rank] [steps] [only steps whose name begins so]
// A step's time is the lower quartile of its runs, an op's the mean over those runs that are no slower than that.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/interface/open_backend.h"
#include "backend/shared/dtype.h"
#include "model/adapter.h"
#include "model/checkpoint.h"
#include "model/decoder.h"
#include "model/narrow.h"
#include "model/network_config.h"
#include "model/step_plan.h"
#include "model/weights.h"

using namespace lorikeet;

namespace {

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "%s\n", result.error().message.c_str());
  std::exit(1);
}

// Hands every call to the backend that it wraps and adds up the time by op.
class TimedBackend final : public Backend {
 public:
  explicit TimedBackend(Backend& inner) : inner_(inner) {}

  std::map<const Linear*, std::string> names;  // of the linear maps
  std::map<std::string, double> times_ms;

  Caps caps() const override { return inner_.caps(); }
  Status reserve(const StepLimits& limits, const NetworkShape& shape) override {
    return inner_.reserve(limits, shape);
  }
  size_t scratch_bytes() const override { return inner_.scratch_bytes(); }
  Result<std::unique_ptr<Tensor>> tensor_create(int64_t rows, int64_t cols) override {
    return inner_.tensor_create(rows, cols);
  }
  Status upload(TensorView to, std::span<const float> values) override { return inner_.upload(to, values); }
  Status download(std::span<float> values, TensorView from) override { return inner_.download(values, from); }
  Result<std::unique_ptr<Linear>> linear_create(const LinearDesc& desc) override {
    return inner_.linear_create(desc);
  }
  Result<std::unique_ptr<Embedding>> embedding_create(const EmbeddingDesc& desc) override {
    return inner_.embedding_create(desc);
  }
  Result<std::unique_ptr<NormGain>> norm_create(const NormDesc& desc) override {
    return inner_.norm_create(desc);
  }
  Result<std::unique_ptr<Rotation>> rotation_create(const RotationDesc& desc) override {
    return inner_.rotation_create(desc);
  }
  Result<std::unique_ptr<Experts>> experts_create(std::span<const ExpertDesc> experts) override {
    return inner_.experts_create(experts);
  }
  Result<std::unique_ptr<AdapterLinear>> adapter_linear_create(
      const Linear& base, std::span<const AdapterPartDesc> parts) override {
    return inner_.adapter_linear_create(base, parts);
  }
  Result<std::unique_ptr<AdapterEmbedding>> adapter_embedding_create(
      const Embedding& base, const AdapterEmbeddingDesc& desc) override {
    return inner_.adapter_embedding_create(base, desc);
  }
  Result<std::unique_ptr<KvCache>> kv_create(const KvDesc& desc) override { return inner_.kv_create(desc); }

  void step_begin(const StepInput& input) override {
    timed("begin", [&] { inner_.step_begin(input); });
  }
  void embed(TensorView y, const Embedding& table, std::span<const EmbeddingSegment> segments) override {
    timed("embed", [&] { inner_.embed(y, table, segments); });
  }
  void embed_positions(TensorView y, const Embedding& table, int32_t offset) override {
    timed("embed", [&] { inner_.embed_positions(y, table, offset); });
  }
  void norm(TensorView y, TensorView x, TensorView residual, const NormGain& gain, float epsilon,
            std::span<const NormSegment> segments) override {
    timed("norm", [&] { inner_.norm(y, x, residual, gain, epsilon, segments); });
  }
  void linear(TensorView y, TensorView x, const Linear& weight, std::span<const LinearSegment> segments,
              LinearOutput output, const Activation& activation) override {
    timed(names[&weight], [&] { inner_.linear(y, x, weight, segments, output, activation); });
  }
  void linear_soon(std::span<const LinearSegment> segments) override { inner_.linear_soon(segments); }
  void rope_kv(TensorView qkv, KvCache& kv, int layer, const Rotation& rotation, const AttentionDesc& attention,
               const HeadNorms& norms) override {
    timed("rope_kv", [&] { inner_.rope_kv(qkv, kv, layer, rotation, attention, norms); });
  }
  void attention(TensorView out, TensorView qkv, const KvCache& kv, int layer, const AttentionDesc& desc) override {
    timed("attention", [&] { inner_.attention(out, qkv, kv, layer, desc); });
  }
  void delta_net(TensorView out, TensorView in, KvCache& kv, int layer, const DeltaNetDesc& desc,
                 const HeadNorm& norm) override {
    timed("delta_net", [&] { inner_.delta_net(out, in, kv, layer, desc, norm); });
  }
  void take_columns(TensorView y, TensorView x, int64_t column) override {
    timed("elementwise", [&] { inner_.take_columns(y, x, column); });
  }
  void join_heads(TensorView qkv, TensorView q, TensorView kv, TensorView latent,
                  const LatentHeads& heads) override {
    timed("elementwise", [&] { inner_.join_heads(qkv, q, kv, latent, heads); });
  }
  void trim_heads(TensorView y, TensorView x, const LatentHeads& heads) override {
    timed("elementwise", [&] { inner_.trim_heads(y, x, heads); });
  }
  void short_convolution(TensorView out, TensorView in, KvCache& kv, int layer,
                         const ShortConvolutionDesc& desc) override {
    timed("short_convolution", [&] { inner_.short_convolution(out, in, kv, layer, desc); });
  }
  void experts(const ExpertsCall& call, const Experts& experts) override {
    timed("experts", [&] { inner_.experts(call, experts); });
  }
  void gate_rows(TensorView y, TensorView gate) override {
    timed("elementwise", [&] { inner_.gate_rows(y, gate); });
  }
  void multiply(TensorView y, TensorView x, int64_t column) override {
    timed("elementwise", [&] { inner_.multiply(y, x, column); });
  }
  void add_scaled(TensorView y, TensorView x, float factor) override {
    timed("elementwise", [&] { inner_.add_scaled(y, x, factor); });
  }
  void scale(TensorView y, float factor) override {
    timed("elementwise", [&] { inner_.scale(y, factor); });
  }
  void soft_cap(TensorView y, float cap) override {
    timed("elementwise", [&] { inner_.soft_cap(y, cap); });
  }
  void gather_sampled(TensorView to, TensorView from) override {
    timed("gather", [&] { inner_.gather_sampled(to, from); });
  }
  void sample(TensorView logits, int32_t first) override {
    timed("sample", [&] { inner_.sample(logits, first); });
  }
  Status step_end(std::span<SampleResult> results) override { return inner_.step_end(results); }

 private:
  template <class Call>
  void timed(const std::string& name, Call&& call) {
    const double begin = now_ms();
    call();
    times_ms[name] += now_ms() - begin;
  }

  Backend& inner_;
};

constexpr int32_t kPageTokens = 16;
constexpr int32_t kMaxRows = 512;
constexpr int32_t kPages = 512;

// `sequences` with `context` tokens in the cache after the step, of which the last `rows` are computed.
StepPlan make_plan(int32_t sequences, int32_t rows, int32_t context, int32_t vocab, bool distinct) {
  StepPlan plan;
  std::minstd_rand random(9);
  const int32_t pages = (context + kPageTokens - 1) / kPageTokens;
  plan.page_table_stride = pages;
  plan.q_start.push_back(0);
  plan.history_start.push_back(0);
  plan.bias_start.push_back(0);
  for (int32_t s = 0; s < sequences; ++s) {
    for (int32_t page = 0; page < pages; ++page) plan.page_table.push_back(s * pages + page);
    if (distinct) plan.segment.insert(plan.segment.end(), {s * rows, rows, s});
    for (int32_t position = context - rows; position < context; ++position) {
      plan.token.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(vocab)));
      plan.position.push_back(position);
      plan.kv_slot.push_back(s * pages * kPageTokens + position);
    }
    plan.q_start.push_back(plan.rows());
    plan.kv_len.push_back(context);
    plan.sample_row.push_back(plan.rows() - 1);
    plan.sample_int.insert(plan.sample_int.end(), {0, 0, -1, 0});  // mode, target, topLogprobs, topK
    plan.sample_float.insert(plan.sample_float.end(), {0.0f, 1.0f, 0.0f, 1.0f, 0.0f, 0.0f});
    plan.sample_seed.insert(plan.sample_seed.end(), {0, 0});
    plan.history_start.push_back(0);
    plan.bias_start.push_back(0);
  }
  return plan;
}

std::vector<std::byte> random_bf16(size_t count) {
  std::vector<std::byte> bytes(count * 2);
  std::minstd_rand random(7);
  std::uniform_real_distribution<float> uniform(-0.01f, 0.01f);
  for (size_t i = 0; i < count; ++i) store_f32(bytes.data(), DType::bf16, static_cast<int64_t>(i), uniform(random));
  return bytes;
}

void narrow(AdapterPartDesc& desc, const Int8Factors& factors) {
  desc.a = {reinterpret_cast<const std::byte*>(factors.a.data()), DType::int8, desc.a.rows, desc.a.cols};
  desc.b = {reinterpret_cast<const std::byte*>(factors.b.data()), DType::int8, desc.b.rows, desc.b.cols};
  desc.component_scale = factors.scale;
}

constexpr std::array<LinearSite, 4> kAdaptedSites{LinearSite::qkv, LinearSite::o, LinearSite::up, LinearSite::down};

const LinearMap& map_at(const Layer& layer, LinearSite site) {
  return site == LinearSite::qkv  ? layer.attention.qkv
         : site == LinearSite::o  ? layer.attention.o
         : site == LinearSite::up ? layer.mlp.up
                                  : layer.mlp.down;
}

std::unique_ptr<AdapterLinear> adapt(Backend& backend, const LinearMap& map, const Linear& base, int rank, bool int8) {
  static const auto values = random_bf16(size_t{1} << 20);
  std::vector<AdapterPartDesc> descs;
  std::deque<Int8Factors> kept;  // until the backend has them
  for (const MapModule& module : map.modules) {
    for (const PartRows& rows : module.parts) {
      AdapterPartDesc desc;
      desc.part = static_cast<int>(descs.size());
      desc.rank = rank;
      desc.a = {values.data(), DType::bf16, rank, base.inputs()};
      desc.b = {values.data(), DType::bf16, rows.count, rank};
      if (int8) narrow(desc, kept.emplace_back(to_int8(desc.a, desc.b).value()));
      descs.push_back(desc);
    }
  }
  return must(backend.adapter_linear_create(base, descs));
}

Adapter make_adapter(const Network& network, const Weights& weights, Backend& backend, int rank, bool int8) {
  Adapter adapter;
  adapter.layers.resize(network.layers.size());
  for (size_t layer = 0; layer < adapter.layers.size(); ++layer) {
    for (const LinearSite site : kAdaptedSites) {
      const auto index = static_cast<size_t>(site);
      const auto& base = weights.layers[layer].linear[index];
      if (base == nullptr) continue;
      adapter.layers[layer].linear[index] = adapt(backend, map_at(network.layers[layer], site), *base, rank, int8);
    }
  }
  return adapter;
}

struct Profiler {
  TimedBackend& backend;
  Decoder& decoder;
  std::span<const Adapter> adapters;
  size_t weight_bytes;
  int steps;
  std::string only;

  void profile(const std::string& name, const StepPlan& plan) {
    if (!name.starts_with(only)) return;
    std::vector<const Adapter*> used;
    for (int32_t g = 0; g < plan.segments(); ++g) used.push_back(&adapters[static_cast<size_t>(g)]);
    std::vector<SampleResult> results(static_cast<size_t>(plan.samples()));
    const std::atomic<bool> cancelled{false};
    std::vector<std::pair<double, std::map<std::string, double>>> runs;
    for (int run = -2; run < steps; ++run) {
      backend.times_ms.clear();
      const double begin = now_ms();
      if (!decoder.run(plan, used, results, cancelled)) std::exit(1);
      if (run >= 0) runs.emplace_back(now_ms() - begin, backend.times_ms);
    }
    std::sort(runs.begin(), runs.end());
    const size_t kept = runs.size() / 4 + 1;
    std::map<std::string, double> mean;
    for (size_t i = 0; i < kept; ++i) {
      for (const auto& [op, ms] : runs[i].second) mean[op] += ms / static_cast<double>(kept);
    }
    size_t adapter_bytes = 0;
    for (const Adapter* adapter : used) adapter_bytes += adapter->bytes();
    std::printf("{\"step\":\"%s\",\"rows\":%d,\"samples\":%d,\"weightBytes\":%zu,\"adapterBytes\":%zu,\"ms\":%.3f,\"ops\":{",
                name.c_str(), plan.rows(), plan.samples(), weight_bytes, adapter_bytes, runs[kept - 1].first);
    const char* comma = "";
    for (const auto& [op, ms] : mean) std::printf("%s\"%s\":%.3f", std::exchange(comma, ","), op.c_str(), ms);
    std::printf("}}\n");
    std::fflush(stdout);
  }
};

Quantization quantization_named(const std::string& name) {
  if (name == "int8") return Quantization::int8;
  if (name == "int4") return Quantization::int4;
  if (name == "nf4") return Quantization::nf4;
  return Quantization::none;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::string path = argv[1];
  const int threads = argc > 2 ? std::atoi(argv[2]) : 1;
  const Quantization quantization = quantization_named(argc > 3 ? argv[3] : "int4");
  const int rank = argc > 4 ? std::atoi(argv[4]) : 16;
  const int steps = argc > 5 ? std::atoi(argv[5]) : 12;

  const Network network = must(read_network(path));
  const auto inner = must(make_cpu_backend({.threads = threads, .isa = ""}));
  NetworkShape shape = shape_of(network);
  shape.quantized = quantization != Quantization::none;
  const StepLimits limits{.rows = kMaxRows,
                          .sequences = 16,
                          .samples = 16,
                          .context = kPages * kPageTokens,
                          .kv_slots = kPages * kPageTokens};
  if (!inner->reserve(limits, shape)) return 1;
  Checkpoint checkpoint = must(Checkpoint::open(path));
  const Weights weights = must(load_weights(network, checkpoint, *inner, quantization));
  TimedBackend backend(*inner);
  // By LinearSite; deduced, so that a site without a name does not compile below.
  constexpr std::array sites{"q_down",  "q_heads",     "kv_down",    "kv_heads",         "qkv",
                             "o",       "delta_in",    "delta_out",  "convolution_in",   "convolution_out",
                             "router",  "shared_gate", "gate_up",    "down",             "input_gate",
                             "input_projection"};
  static_assert(sites.size() == kLinearSites);
  for (const LayerWeights& layer : weights.layers) {
    for (size_t site = 0; site < kLinearSites; ++site) {
      if (layer.linear[site]) backend.names[layer.linear[site].get()] = sites[site];
    }
  }
  backend.names[weights.head.get()] = "head";
  const auto kv = must(inner->kv_create({kv_layers(network), kPages, kPageTokens,
                                         quantization == Quantization::none ? DType::f32 : DType::bf16}));
  const auto decoder = must(Decoder::create(network, weights, backend, *kv, kMaxRows));
  std::vector<Adapter> adapters, int8_adapters;
  for (int i = 0; i < 16; ++i) {
    adapters.push_back(make_adapter(network, weights, *inner, rank, false));
    int8_adapters.push_back(make_adapter(network, weights, *inner, rank, true));
  }

  Profiler profiler{backend, *decoder, adapters, weights.bytes(), steps, argc > 6 ? argv[6] : ""};
  const int32_t vocab = network.vocab;
  profiler.profile("prefill 512", make_plan(1, 512, 512, vocab, false));
  profiler.profile("prefill 4 x 128", make_plan(4, 128, 128, vocab, false));
  profiler.profile("prefill 4 x 128 distinct", make_plan(4, 128, 128, vocab, true));
  for (const int32_t sequences : {1, 4, 16}) {
    const std::string name = "decode " + std::to_string(sequences);
    profiler.profile(name, make_plan(sequences, 1, 160, vocab, false));
    profiler.profile(name + " distinct", make_plan(sequences, 1, 160, vocab, true));
    profiler.adapters = int8_adapters;
    profiler.profile(name + " distinct int8", make_plan(sequences, 1, 160, vocab, true));
    profiler.adapters = adapters;
  }
  return 0;
}
