// What the conformance tests share: random tensors whose float64 values are known exactly, the list of
// backends, and the comparison against a bound.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "backend/interface/open_backend.h"
#include "backend/shared/dtype.h"
#include "test/allocations.h"
#include "test/checks.h"

namespace lorikeet::test {

constexpr double kEpsilon = 5.9604644775390625e-8;                     // 2^-24: the unit roundoff of float32
constexpr DType kAllDTypes[] = {DType::f32, DType::f16, DType::bf16};  // of checkpoints
constexpr DType kAdapterDTypes[] = {DType::f32, DType::f16, DType::bf16, DType::int8};

inline const char* name_of(DType dtype) {
  return dtype == DType::f32 ? "f32" : dtype == DType::f16 ? "f16" : dtype == DType::bf16 ? "bf16" : "int8";
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  double uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(engine_);
  }
  int integer(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }

 private:
  std::mt19937_64 engine_;
};

// A tensor as a checkpoint holds it, and what its elements mean.
struct Numbers {
  int64_t rows = 0;
  int64_t cols = 0;
  DType dtype = DType::f32;
  std::vector<std::byte> bytes;
  std::vector<double> values;  // after rounding to dtype

  double at(int64_t row, int64_t col) const { return values[static_cast<size_t>(row * cols + col)]; }
  // One byte into the buffer: a safetensors header of odd length leaves tensors unaligned.
  HostTensor host() const { return {bytes.data() + 1, dtype, rows, cols}; }
};

inline Numbers random_tensor(Random& random, int64_t rows, int64_t cols, DType dtype, double low = -1,
                             double high = 1) {
  Numbers tensor{rows, cols, dtype, {}, {}};
  const auto count = static_cast<size_t>(rows * cols);
  tensor.bytes.resize(count * dtype_bytes(dtype) + 1);
  tensor.values.resize(count);
  for (size_t i = 0; i < count; ++i) {
    store_f32(tensor.bytes.data() + 1, dtype, static_cast<int64_t>(i),
              static_cast<float>(random.uniform(low, high)));
    tensor.values[i] = load_f32(tensor.bytes.data() + 1, dtype, static_cast<int64_t>(i));
  }
  return tensor;
}

inline NormDesc rms_of(const Numbers& gain) {
  NormDesc desc;
  desc.width = gain.cols;
  desc.gain = gain.host();
  return desc;
}

// Integers of [-127, 127].
inline Numbers random_int8(Random& random, int64_t rows, int64_t cols) {
  Numbers tensor{rows, cols, DType::int8, std::vector<std::byte>(static_cast<size_t>(rows * cols) + 1), {}};
  for (int64_t i = 0; i < rows * cols; ++i) {
    const double value = std::floor(random.uniform(-127, 128));
    tensor.bytes[static_cast<size_t>(i) + 1] = static_cast<std::byte>(static_cast<int8_t>(value));
    tensor.values.push_back(value);
  }
  return tensor;
}

inline std::vector<float> random_floats(Random& random, int64_t count, double low = -1, double high = 1) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(random.uniform(low, high));
  return values;
}

// The largest of everything in these suites.
inline const StepLimits kLimits{
    .rows = 3400, .sequences = 128, .samples = 64, .context = 70'000, .kv_slots = 80'000};
inline const NetworkShape kShape{.vocab = 1000,
                                 .hidden = 300,
                                 .widest_input = 4500,
                                 .widest_output = 4000,
                                 .quantized = true,
                                 .q_heads = 8,
                                 .kv_heads = 3,
                                 .head_dim = 64,
                                 .experts = 8,
                                 .chosen_experts = 2,
                                 .expert_width = 32};

inline std::unique_ptr<Backend> opened(BackendKind kind, const BackendOptions& options,
                                       const StepLimits& limits = kLimits) {
  auto backend = open_backend(kind, options);
  if (!backend) return nullptr;  // not an instruction set of this machine
  NetworkShape shape = kShape;
  if (kind != BackendKind::cuda)
    shape.recurrent = {.heads = 8, .key_dim = 64, .value_dim = 64, .inputs = 1000};
  REQUIRE((*backend)->reserve(limits, shape));
  return std::move(*backend);
}

// Whether the suites run on the CUDA backend: lorikeet_ops_test with LORIKEET_TEST_BACKENDS=cuda, on the
// driver that LORIKEET_CUDA_DRIVER names.
inline bool on_cuda() {
  const char* const named = std::getenv("LORIKEET_TEST_BACKENDS");
  return named != nullptr && std::string(named) == "cuda";
}

// The reference, and the CPU backend under every instruction set of this machine with one and two threads;
// the best one also with more threads than most test machines have cores to spare. Or the CUDA backend,
// beside the reference and the CPU, whose bits a quantized map must have.
inline const std::vector<std::unique_ptr<Backend>>& all_backends() {
  static const std::vector<std::unique_ptr<Backend>> backends = [] {
    std::vector<std::unique_ptr<Backend>> list;
    list.push_back(opened(BackendKind::reference, {}));
    if (on_cuda()) {
      list.push_back(opened(BackendKind::cpu, {.threads = 1, .isa = ""}));
      list.push_back(opened(BackendKind::cuda, {}));
      REQUIRE(list.back() != nullptr);
      return list;
    }
    for (const char* isa : {"portable", "avx2", "avx512", "avx512vnni"}) {
      for (const int threads : {1, 2}) {
        auto backend = opened(BackendKind::cpu, {.threads = threads, .isa = isa});
        if (backend) list.push_back(std::move(backend));
      }
    }
    list.push_back(opened(BackendKind::cpu, {.threads = 3, .isa = ""}));
    return list;
  }();
  return backends;
}

inline std::string device_of(const Backend& backend) {
  return backend.caps().device;
}

inline bool is_reference(const Backend& backend) {
  return &backend == all_backends().front().get();
}

// [rows, cols] on the device.
inline std::unique_ptr<Tensor> on_device(Backend& backend, std::span<const float> values, int64_t cols) {
  auto tensor = backend.tensor_create(static_cast<int64_t>(values.size()) / cols, cols);
  REQUIRE(tensor);
  REQUIRE(backend.upload(whole(**tensor), values));
  return std::move(*tensor);
}

inline std::vector<float> from_device(Backend& backend, Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.rows() * tensor.cols()));
  REQUIRE(backend.download(values, whole(tensor)));
  return values;
}

// Submits the ops as one step, which must end well. No step allocates.
template <class Ops>
void submit(Backend& backend, const StepInput& input, Ops&& ops, std::span<SampleResult> results = {}) {
  const uint64_t before = allocations();
  backend.step_begin(input);
  ops();
  const Status ended = backend.step_end(results);
  const uint64_t after = allocations();
  REQUIRE(ended);
  // A driver may: the simulated one does in each call.
  if (!on_cuda()) CHECK(after == before);
}
template <class Ops>
void submit(Backend& backend, Ops&& ops) {
  submit(backend, {}, ops);
}

// How a linear op is called.
struct LinearOp {
  std::span<const LinearSegment> segments = {};
  LinearOutput output = LinearOutput::store;
  Activation activation = {};
  bool announced = false;  // by linear_soon
};

// y of x [rows, K], which begins as `y` where that is given.
inline std::vector<float> run_linear(Backend& backend, const Linear& map, std::span<const float> x,
                                     const LinearOp& op = {}, std::vector<float> y = {}) {
  const int64_t n = op.output == LinearOutput::glu ? map.outputs() / 2 : map.outputs();
  if (y.empty()) y.assign(x.size() / static_cast<size_t>(map.inputs()) * static_cast<size_t>(n), NAN);
  const auto from = on_device(backend, x, map.inputs());
  const auto to = on_device(backend, y, n);
  submit(backend, [&] {
    if (op.announced) backend.linear_soon(op.segments);
    backend.linear(whole(*to), whole(*from), map, op.segments, op.output, op.activation);
  });
  return from_device(backend, *to);
}

struct Normed {
  std::vector<float> y, residual;
};
// Of x [rows, n], with `residual` where it is given, in place where asked.
inline Normed run_norm(Backend& backend, const NormGain& gain, float epsilon, std::span<const float> x,
                       int64_t n, std::span<const float> residual = {},
                       std::span<const NormSegment> segments = {}, bool in_place = false) {
  const auto from = on_device(backend, x, n);
  const auto apart = on_device(backend, std::vector<float>(x.size(), NAN), n);
  const auto sum = residual.empty() ? nullptr : on_device(backend, residual, n);
  Tensor& to = in_place ? *from : *apart;
  submit(backend, [&] {
    backend.norm(whole(to), whole(*from), sum ? whole(*sum) : TensorView{}, gain, epsilon, segments);
  });
  return {from_device(backend, to), sum ? from_device(backend, *sum) : std::vector<float>{}};
}

// The largest |actual - expected| / bound; infinite where a value is not a number.
inline double worst_ratio(std::span<const float> actual, const std::vector<double>& expected,
                          const std::vector<double>& bound) {
  double worst = actual.size() < expected.size() ? INFINITY : 0;
  for (size_t i = 0; i < expected.size() && i < actual.size(); ++i) {
    const double error = std::abs(static_cast<double>(actual[i]) - expected[i]);
    const double ratio = error == 0 ? 0 : error / bound[i];
    if (!(ratio <= worst)) worst = std::isnan(ratio) ? INFINITY : ratio;
  }
  return worst;
}

}  // namespace lorikeet::test
