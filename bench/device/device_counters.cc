// What single ops of a decode step ask of a device's memory, at the shapes of an 8B model (32 query heads of
// 128, 8 of keys, 4096 wide, 14336 in the middle; of the head a quarter): for each op a line with the bytes that it cannot do
// without, then, of the simulated driver (LORIKEET_SIM_COUNTERS=1), a line for each launch. Both on standard
// error, so that they stay in order.
//   device_counters [quick]
// Numbers are no matter here, so weights repeat a short pattern.
#include <algorithm>
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
  Bench(const Shape& shape) : shape_(shape), backend_(must(make_cuda_backend({.threads = 2, .isa = ""}))) {
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
    std::vector<int32_t> position(static_cast<size_t>(rows), shape_.context - 1), slot, start(1, 0), length,
        table;
    for (int row = 0; row < rows; ++row) {
      slot.push_back((row + 1) * shape_.context - 1);
      start.push_back(row + 1);
      length.push_back(shape_.context);
    }
    table.resize(static_cast<size_t>(rows * pages));
    std::iota(table.begin(), table.end(), 0);
    const StepInput input{.token = position,
                          .position = position,
                          .kv_slot = slot,
                          .q_start = start,
                          .kv_len = length,
                          .page_table = table,
                          .page_table_stride = pages};
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

 private:
  HostTensor host(int64_t rows, int64_t cols) const { return {numbers_.data(), DType::bf16, rows, cols}; }

  std::unique_ptr<Tensor> filled(int64_t rows, int64_t cols) {
    auto tensor = must(backend_->tensor_create(rows, cols));
    must(backend_->upload(whole(*tensor), std::vector<float>(static_cast<size_t>(rows * cols), 0.5f)));
    return tensor;
  }

  template <class Op>
  void step(const std::string& name, int rows, size_t bytes, Op&& op, const StepInput& input = {}) {
    std::fprintf(stderr, "op: {\"name\": \"%s\", \"rows\": %d, \"bytes\": %zu}\n", name.c_str(), rows, bytes);
    backend_->step_begin(input);
    op();
    must(backend_->step_end({}));
  }

  Shape shape_;
  std::unique_ptr<Backend> backend_;
  std::vector<std::byte> numbers_;
};

}  // namespace

int main(int argc, char** argv) {
  Shape shape;
  if (argc > 1 && std::string(argv[1]) == "quick")
    shape = {.hidden = 512, .ffn = 1024, .vocab = 1000, .context = 256};
  Bench bench(shape);
  const int64_t heads = shape.q_heads * int64_t{shape.head_dim},
                kv = shape.kv_heads * int64_t{shape.head_dim};
  const auto qkv = bench.map(heads + 2 * kv, shape.hidden, Quantization::int4);
  const auto out = bench.map(shape.hidden, heads, Quantization::int4);
  const auto up = bench.map(2 * shape.ffn, shape.hidden, Quantization::int4, 2);
  const auto down = bench.map(shape.hidden, shape.ffn, Quantization::int4);
  const auto head = bench.map(shape.vocab, shape.hidden, Quantization::int8);
  const auto plain = bench.map(heads + 2 * kv, shape.hidden, Quantization::none);
  for (const int rows : {1, 8, kMostRows}) {
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
  }
}
