// What the conformance tests share: random tensors whose float64 values are known exactly, the list of
// backends, and the comparison against a bound.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "backend/interface/backend.h"
#include "backend/shared/dtype.h"
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
struct Tensor {
  int64_t rows = 0;
  int64_t cols = 0;
  DType dtype = DType::f32;
  std::vector<std::byte> bytes;
  std::vector<double> values;  // after rounding to dtype

  double at(int64_t row, int64_t col) const { return values[static_cast<size_t>(row * cols + col)]; }
  // One byte into the buffer: a safetensors header of odd length leaves tensors unaligned.
  HostTensor host() const { return {bytes.data() + 1, dtype, rows, cols}; }
};

inline Tensor random_tensor(Random& random, int64_t rows, int64_t cols, DType dtype, double low = -1,
                            double high = 1) {
  Tensor tensor{rows, cols, dtype, {}, {}};
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

inline NormDesc rms_of(const Tensor& gain) {
  NormDesc desc;
  desc.width = gain.cols;
  desc.gain = gain.host();
  return desc;
}

// Integers of [-127, 127].
inline Tensor random_int8(Random& random, int64_t rows, int64_t cols) {
  Tensor tensor{rows, cols, DType::int8, std::vector<std::byte>(static_cast<size_t>(rows * cols) + 1), {}};
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

// The reference, and the CPU backend under every instruction set of this machine with one and two threads;
// the best one also with more threads than most test machines have cores to spare.
inline const std::vector<std::unique_ptr<Backend>>& all_backends() {
  static const std::vector<std::unique_ptr<Backend>> backends = [] {
    std::vector<std::unique_ptr<Backend>> list;
    list.push_back(std::move(*make_reference_backend({})));
    for (const char* isa : {"portable", "avx2", "avx512", "avx512vnni"}) {
      for (const int threads : {1, 2}) {
        auto backend = make_cpu_backend({.threads = threads, .isa = isa});
        if (backend) list.push_back(std::move(*backend));
      }
    }
    list.push_back(std::move(*make_cpu_backend({.threads = 3, .isa = ""})));
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

// The largest |actual - expected| / bound; infinite where a value is not a number.
inline double worst_ratio(const float* actual, const std::vector<double>& expected,
                          const std::vector<double>& bound) {
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double error = std::abs(static_cast<double>(actual[i]) - expected[i]);
    const double ratio = error == 0 ? 0 : error / bound[i];
    if (!(ratio <= worst)) worst = std::isnan(ratio) ? INFINITY : ratio;
  }
  return worst;
}

}  // namespace lorikeet::test
