// What single ops of a decode step ask of a device's memory, at the shapes of an 8B model (32 query heads of
// 128, 8 of keys, 4096 wide, 14336 in the middle; of the head a quarter): for each op a line with the bytes
// that it cannot do without, then, of the simulated driver (LORIKEET_SIM_COUNTERS=1), a line for each launch.
// Both on standard error, so that they stay in order.
//   device_counters [quick] [time]
// On a card there is nothing to count: with `time` each op is a line of JSON on standard output with what one
// of many in a row takes, and so is a decode step of all layers, whose second time is a graph. Numbers are no
// matter here, so weights repeat a short pattern.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "backend/interface/open_backend.h"
#include "backend/shared/dtype.h"
#include "backend/shared/kv_type.h"

using namespace lorikeet;

namespace {

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "device_counters: %s\n", result.error().message.c_str());
  std::exit(1);
}
void must(const Status& status) {
  if (status) return;
  std::fprintf(stderr, "device_counters: %s\n", status.error().message.c_str());
  std::exit(1);
}

struct Shape {
  int64_t hidden = 4096, ffn = 14336, vocab = 32064;
  int q_heads = 32, kv_heads = 8, head_dim = 128, context = 1024;
};

constexpr int kPageTokens = 16, kRank = 16;
constexpr int kMostRows = 32;

std::vector<std::byte> numbers(int64_t count) {
  std::vector<std::byte> bytes(static_cast<size_t>(count) * 2);
  for (int64_t i = 0; i < count; ++i)
    store_f32(bytes.data(), DType::bf16, i, static_cast<float>(i % 251 - 125) / 500.0f);
  return bytes;
}

class Bench {
 public:
  Bench(const Shape& shape, bool timed, int repeats)
      : shape_(shape),
        timed_(timed),
        repeats_(repeats),
        backend_(must(make_cuda_backend({.threads = 2, .isa = ""}))) {
    const int64_t widest = std::max(shape.vocab, 2 * shape.ffn);
    must(backend_->reserve({.rows = kMostRows,
                            .sequences = kMostRows,
                            .samples = kMostRows,
                            .context = shape.context,
                            .kv_slots = int64_t{kMostRows} * shape.context},
                           {.vocab = shape.vocab,
                            .hidden = shape.hidden,
                            .widest_input = shape.ffn,
                            .widest_output = widest,
                            .quantized = true,
                            .q_heads = shape.q_heads,
                            .kv_heads = shape.kv_heads,
                            .head_dim = shape.head_dim}));
    const int64_t heads = int64_t{shape.q_heads + 2 * shape.kv_heads} * shape.head_dim;
    numbers_ = numbers(std::max({shape.vocab, 2 * shape.ffn, heads}) * shape.hidden);
  }

  std::unique_ptr<Linear> map(int64_t n, int64_t k, Quantization quantization, int parts = 1) {
    LinearDesc desc;
    desc.quantization = quantization;
    for (int part = 0; part < parts; ++part) desc.parts.push_back({host(n / parts, k), std::nullopt});
    return must(backend_->linear_create(desc));
  }

  void linear(const std::string& name, const Linear& map, int rows, LinearOutput output,
              bool adapters = false) {
    const int64_t k = map.inputs(), n = output == LinearOutput::glu ? map.outputs() / 2 : map.outputs();
    const auto x = filled(rows, k), y = filled(rows, n);
    std::vector<std::unique_ptr<AdapterLinear>> loaded;
    std::vector<LinearSegment> segments;
    size_t bytes = map.bytes() + static_cast<size_t>(rows * (k + n)) * sizeof(float);
    for (int row = 0; adapters && row < rows; ++row) {
      AdapterPartDesc part;
      part.rank = kRank;
      part.a = host(kRank, k);
      part.b = host(map.outputs(), kRank);
      loaded.push_back(must(backend_->adapter_linear_create(map, {&part, 1})));
      bytes += loaded.back()->bytes();
      segments.push_back({row, 1, loaded.back().get(), 1.0f});
    }
    step(name, rows, bytes, [&] { backend_->linear(whole(*y), whole(*x), map, segments, output, {}); });
  }

  void norm(int rows) {
    const int64_t width = shape_.hidden;
    const auto gain = must(backend_->norm_create({.width = width, .gain = host(1, width)}));
    const auto x = filled(rows, width), y = filled(rows, width), residual = filled(rows, width);
    const size_t bytes = static_cast<size_t>(rows * width * 4 + width) * sizeof(float);
    step("norm with residual", rows, bytes,
         [&] { backend_->norm(whole(*y), whole(*x), whole(*residual), *gain, 1e-5f, {}); });
  }

  void attention(int rows, DType type) {
    const KvLayer layer{shape_.kv_heads, shape_.head_dim};
    const int pages = shape_.context / kPageTokens;
    const auto kv = must(backend_->kv_create(
        {.layers = {layer}, .pages = rows * pages, .page_tokens = kPageTokens, .type = type}));
    const auto rotation = must(backend_->rotation_create(
        {.inv_freq = std::vector<float>(static_cast<size_t>(shape_.head_dim / 2), 0.1f)}));
    const int64_t width = int64_t{shape_.q_heads} * shape_.head_dim;
    const int64_t qkv_width = width + int64_t{2} * shape_.kv_heads * shape_.head_dim;
    const auto qkv = filled(rows, qkv_width), out = filled(rows, width);
    const DecodeInput decode(rows, shape_.context, pages);
    const StepInput input = decode.step();
    const AttentionDesc desc{
        .q_heads = shape_.q_heads, .kv_heads = shape_.kv_heads, .head_dim = shape_.head_dim, .scale = 0.088f};
    const std::string kind = type == DType::int8 ? "int8" : "bf16";
    const size_t page = kv_page_bytes(layer, kPageTokens, type);
    const size_t row_bytes = static_cast<size_t>(rows) * sizeof(float);
    step(
        "rotation and write to the cache, " + kind, rows,
        row_bytes * static_cast<size_t>(2 * qkv_width) + static_cast<size_t>(rows) * page / kPageTokens,
        [&] { backend_->rope_kv(whole(*qkv), *kv, 0, *rotation, desc); }, input);
    step(
        "attention over " + std::to_string(shape_.context) + " positions, " + kind, rows,
        static_cast<size_t>(rows * pages) * page + row_bytes * static_cast<size_t>(2 * width),
        [&] { backend_->attention(whole(*out), whole(*qkv), *kv, 0, desc); }, input);
  }

  // The ops of a decode step of so many layers, all with the weights of one: more than a cache holds.
  struct Layer {
    const Linear &qkv, &out, &up, &down;
  };
  void layers(int rows, int count, const Layer& layer) {
    const KvLayer heads{shape_.kv_heads, shape_.head_dim};
    const int pages = shape_.context / kPageTokens;
    const auto kv = must(backend_->kv_create(
        {.layers = {heads}, .pages = rows * pages, .page_tokens = kPageTokens, .type = DType::bf16}));
    const auto rotation = must(backend_->rotation_create(
        {.inv_freq = std::vector<float>(static_cast<size_t>(shape_.head_dim / 2), 0.1f)}));
    const auto gain = must(backend_->norm_create({.width = shape_.hidden, .gain = host(1, shape_.hidden)}));
    const auto x = filled(rows, shape_.hidden), normed = filled(rows, shape_.hidden),
               qkv = filled(rows, layer.qkv.outputs()), mixed = filled(rows, layer.out.inputs()),
               inner = filled(rows, shape_.ffn);
    const DecodeInput input(rows, shape_.context, pages);
    const AttentionDesc desc{
        .q_heads = shape_.q_heads, .kv_heads = shape_.kv_heads, .head_dim = shape_.head_dim, .scale = 0.088f};
    const auto one = [&] {
      backend_->norm(whole(*normed), whole(*x), {}, *gain, 1e-5f, {});
      backend_->linear(whole(*qkv), whole(*normed), layer.qkv, {}, LinearOutput::store, {});
      backend_->rope_kv(whole(*qkv), *kv, 0, *rotation, desc);
      backend_->attention(whole(*mixed), whole(*qkv), *kv, 0, desc);
      backend_->linear(whole(*x), whole(*mixed), layer.out, {}, LinearOutput::add, {});
      backend_->norm(whole(*normed), whole(*x), {}, *gain, 1e-5f, {});
      backend_->linear(whole(*inner), whole(*normed), layer.up, {}, LinearOutput::glu, {});
      backend_->linear(whole(*x), whole(*inner), layer.down, {}, LinearOutput::add, {});
    };
    std::vector<double> took;
    for (int turn = 0; turn < 5; ++turn) took.push_back(seconds(count, one, input.step()));
    std::printf(
        "{\"case\": \"decode step of %d layers, int4\", \"ok\": true, \"rows\": %d, \"launched_ms\": %.3f, "
        "\"graph_ms\": "
        "%.3f}\n",
        count, rows, took.front() * 1e3, *std::min_element(took.begin() + 2, took.end()) * 1e3);
    std::fflush(stdout);
  }

 private:
  // One new token of each of so many sequences, each in pages of its own.
  struct DecodeInput {
    DecodeInput(int rows, int context, int pages_of_each)
        : position(static_cast<size_t>(rows), context - 1), start(1, 0), pages(pages_of_each) {
      for (int row = 0; row < rows; ++row) {
        slot.push_back((row + 1) * context - 1);
        start.push_back(row + 1);
        length.push_back(context);
      }
      table.resize(static_cast<size_t>(rows * pages));
      std::iota(table.begin(), table.end(), 0);
    }
    StepInput step() const {
      return {.token = position,
              .position = position,
              .kv_slot = slot,
              .q_start = start,
              .kv_len = length,
              .page_table = table,
              .page_table_stride = pages};
    }
    std::vector<int32_t> position, slot, start, length, table;
    int32_t pages;
  };

  HostTensor host(int64_t rows, int64_t cols) const { return {numbers_.data(), DType::bf16, rows, cols}; }

  std::unique_ptr<Tensor> filled(int64_t rows, int64_t cols) {
    auto tensor = must(backend_->tensor_create(rows, cols));
    must(backend_->upload(whole(*tensor), std::vector<float>(static_cast<size_t>(rows * cols), 0.5f)));
    return tensor;
  }

  // Of a step with `count` times the op.
  template <class Op>
  double seconds(int count, Op&& op, const StepInput& input) {
    const auto begin = std::chrono::steady_clock::now();
    backend_->step_begin(input);
    for (int i = 0; i < count; ++i) op();
    must(backend_->step_end({}));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  template <class Op>
  void time(const std::string& name, int rows, size_t bytes, Op&& op, const StepInput& input) {
    double best = 0;
    for (int turn = 0; turn < (repeats_ > 1 ? 4 : 2); ++turn) {
      // What a step costs by itself is in both.
      const double once = seconds(1, op, input), more = seconds(1 + repeats_, op, input);
      const double took = std::max(1e-9, (more - once) / repeats_);
      if (turn > 0) best = best == 0 ? took : std::min(best, took);
    }
    std::printf(
        "{\"case\": \"%s\", \"ok\": true, \"rows\": %d, \"microseconds\": %.2f, \"needed_gigabytes_per_s\": "
        "%.1f}\n",
        name.c_str(), rows, best * 1e6, static_cast<double>(bytes) / best / 1e9);
    std::fflush(stdout);
  }

  template <class Op>
  void step(const std::string& name, int rows, size_t bytes, Op&& op, const StepInput& input = {}) {
    if (timed_) return time(name, rows, bytes, op, input);
    std::fprintf(stderr, "op: {\"name\": \"%s\", \"rows\": %d, \"bytes\": %zu}\n", name.c_str(), rows, bytes);
    backend_->step_begin(input);
    op();
    must(backend_->step_end({}));
  }

  Shape shape_;
  bool timed_;
  int repeats_;
  std::unique_ptr<Backend> backend_;
  std::vector<std::byte> numbers_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto has = [&](const char* word) {
    return std::find(argv + 1, argv + argc, std::string(word)) != argv + argc;
  };
  const bool quick = has("quick");
  Shape shape;
  if (quick) shape = {.hidden = 512, .ffn = 1024, .vocab = 1000, .context = 256};
  Bench bench(shape, has("time"), quick ? 1 : 20);
  const int64_t heads = shape.q_heads * int64_t{shape.head_dim},
                kv = shape.kv_heads * int64_t{shape.head_dim};
  const auto qkv = bench.map(heads + 2 * kv, shape.hidden, Quantization::int4);
  const auto out = bench.map(shape.hidden, heads, Quantization::int4);
  const auto up = bench.map(2 * shape.ffn, shape.hidden, Quantization::int4, 2);
  const auto down = bench.map(shape.hidden, shape.ffn, Quantization::int4);
  const auto head = bench.map(shape.vocab, shape.hidden, Quantization::int8);
  const auto plain = bench.map(heads + 2 * kv, shape.hidden, Quantization::none);
  const bool timed = has("time");
  // Of the simulator times say nothing: one row shows that all of it runs.
  const std::vector<int> counts = quick && timed ? std::vector{1} : std::vector{1, 8, kMostRows};
  for (const int rows : counts) {
    bench.norm(rows);
    bench.linear("q, k, v, int4", *qkv, rows, LinearOutput::store);
    bench.linear("q, k, v, int4, an adapter a row", *qkv, rows, LinearOutput::store, true);
    if (rows <= 8) bench.linear("q, k, v, bf16", *plain, rows, LinearOutput::store);
    bench.attention(rows, DType::bf16);
    bench.attention(rows, DType::int8);
    bench.linear("output of attention, int4", *out, rows, LinearOutput::add);
    bench.linear("gate and up, int4", *up, rows, LinearOutput::glu);
    bench.linear("down, int4", *down, rows, LinearOutput::add);
    if (rows == 1) bench.linear("head, int8", *head, rows, LinearOutput::store);
    if (timed) bench.layers(rows, quick ? 2 : 32, {*qkv, *out, *up, *down});
  }
}
