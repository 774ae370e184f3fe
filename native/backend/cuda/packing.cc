// Weights into the order in which kernels read them: kernels/packed.cuh.

#include <algorithm>
#include <atomic>
#include <cstring>

#include "backend/cuda/weights.h"
#include "backend/shared/nf4.h"
#include "backend/shared/parallel.h"
#include "backend/shared/quantization.h"

namespace lorikeet::cuda {
namespace {

constexpr int64_t kTile = 16;   // outputs
constexpr int64_t kChunk = 64;  // inputs

constexpr bool same_table() {
  for (size_t code = 0; code < kNf4Integers.size(); ++code) {
    const auto byte = static_cast<int8_t>(kNf4Bytes[code / 4] >> (8 * (code % 4)));
    if (byte != kNf4Integers[code]) return false;
  }
  return true;
}
static_assert(same_table());

// Of a quantized matrix in device memory.
struct PackedSizes {
  PackedSizes(Quantization format, int64_t outputs, int64_t inputs)
      : quantization(format), n(outputs), k(inputs) {}

  Quantization quantization;
  int64_t n, k;
  int64_t chunks = (k + kChunk - 1) / kChunk;
  int64_t tiles = (n + kTile - 1) / kTile;
  int64_t chunk_bytes = kTile * kChunk * stored_bits(quantization) / 8;
  int64_t groups = chunks * kChunk / group_size(quantization);
  size_t weight_bytes = static_cast<size_t>(tiles * chunks * chunk_bytes);
  size_t scale_bytes = static_cast<size_t>(tiles * groups * kTile * 2);
};

// One matrix while it is packed.
struct Packing : PackedSizes {
  using PackedSizes::PackedSizes;

  std::vector<uint8_t> bytes = std::vector<uint8_t>(weight_bytes + scale_bytes);

  // One output; q [k filled up to groups], scale [groups of k].
  void write(int64_t output, const int8_t* q, const float* scale, int64_t own_groups) {
    const int group = group_size(quantization);
    for (int64_t g = 0; g < groups; ++g) {
      const uint16_t bits = g < own_groups ? f32_to_bf16(scale[g]) : 0;
      const auto at =
          static_cast<size_t>((output / kTile * groups + g) * kTile + output % 8 * 2 + output % kTile / 8);
      std::memcpy(bytes.data() + weight_bytes + at * 2, &bits, 2);
    }
    for (int64_t input = 0; input < chunks * kChunk; ++input) {
      set(output, input, input < own_groups * group ? q[input] : 0);
    }
  }

  void set(int64_t output, int64_t input, int q) {
    const int64_t tile = output / kTile, row = output % 8, high = output % kTile / 8;
    const int64_t chunk = input / kChunk, half = input % kChunk / 32, eighth = input % 8;
    const int64_t lane = row * 4 + input % 32 / 8;
    uint8_t* const at = bytes.data() + (tile * chunks + chunk) * chunk_bytes;
    if (quantization == Quantization::int8) {
      at[(half * 32 + lane) * 16 + eighth / 4 * 8 + high * 4 + eighth % 4] = static_cast<uint8_t>(q);
    } else if (quantization == Quantization::int4) {
      at[lane * 16 + half * 8 + eighth] |= static_cast<uint8_t>((q + 8) << (4 * high));
    } else {
      at[lane * 16 + half * 8 + high * 4 + eighth / 2] |=
          static_cast<uint8_t>(nf4_code_of(static_cast<int8_t>(q)) << (4 * (eighth % 2)));
    }
  }
};

// False: a weight is not finite. Tiles are taken whole, as two outputs may share a byte.
bool pack_all(Packing& to, std::span<const LinearPart> parts, int threads) {
  std::vector<WeightGroups> groups;
  std::vector<int64_t> first{0};
  for (const LinearPart& part : parts) {
    groups.emplace_back(part.weight, to.quantization, part.nf4_absmax, threads);
    first.push_back(first.back() + part.weight.rows);
  }
  const int64_t own_groups = groups.front().groups();
  std::atomic<bool> finite{true};
  parallel_ranges(threads, to.tiles, [&](int64_t begin, int64_t end) {
    std::vector<int8_t> q(static_cast<size_t>(own_groups * group_size(to.quantization)));
    std::vector<float> scale(static_cast<size_t>(own_groups));
    for (int64_t output = begin * kTile; output < end * kTile; ++output) {
      if (output >= to.n) {
        to.write(output, q.data(), scale.data(), 0);
        continue;
      }
      const auto part = static_cast<size_t>(std::ranges::upper_bound(first, output) - first.begin() - 1);
      const int64_t row = output - first[part];
      if (!groups[part].read_row(q.data(), scale.data(), row)) finite.store(false);
      to.write(output, q.data(), scale.data(), own_groups);
      groups[part].release_rows(row, row + 1);
    }
  });
  return finite.load();
}

Status fill_dense(Device& device, DeviceAddress to, const Matrix& matrix, std::span<const LinearPart> parts) {
  const auto kept = static_cast<DType>(matrix.type);
  const size_t row_bytes = static_cast<size_t>(matrix.k) * dtype_bytes(kept);
  size_t at = 0;
  for (const LinearPart& part : parts) {
    const HostTensor& from = part.weight;
    const size_t bytes = row_bytes * static_cast<size_t>(from.rows);
    std::vector<float> converted;
    const void* source = from.data;
    if (from.dtype != kept) {
      converted = floats_of(from);
      source = converted.data();
    }
    if (Status s = device.upload(to + at, source, bytes); !s) return s;
    at += bytes;
    if (from.done_with != nullptr) {
      const size_t stored = static_cast<size_t>(from.rows * from.cols) * dtype_bytes(from.dtype);
      from.done_with(from.data, from.data + stored);
    }
  }
  return {};
}

}  // namespace

Result<Matrix> shape_of(std::span<const LinearPart> parts, Quantization quantization) {
  Matrix view;
  view.k = parts.front().weight.cols;
  view.format = static_cast<Format>(quantization);
  for (const LinearPart& part : parts) {
    if (part.coded != nullptr) return coded_refusal();
    if (part.weight.cols != view.k) return Error{"parts of a linear map differ in their number of inputs"};
    view.n += part.weight.rows;
  }
  if (quantization != Quantization::none) return view;
  const DType type = parts.front().weight.dtype;
  const bool alike =
      std::ranges::all_of(parts, [&](const LinearPart& part) { return part.weight.dtype == type; });
  view.type = element_of(alike ? type : DType::f32);
  return view;
}

size_t matrix_bytes(const Matrix& shape) {
  if (shape.format == Format::none) {
    return static_cast<size_t>(shape.n * shape.k) * dtype_bytes(static_cast<DType>(shape.type));
  }
  const PackedSizes sizes(static_cast<Quantization>(shape.format), shape.n, shape.k);
  return sizes.weight_bytes + sizes.scale_bytes;
}

Status fill_matrix(Device& device, DeviceAddress to, Matrix& matrix, std::span<const LinearPart> parts,
                   int threads) {
  matrix.w = reinterpret_cast<const void*>(to);
  if (matrix.format == Format::none) return fill_dense(device, to, matrix, parts);
  Packing packing(static_cast<Quantization>(matrix.format), matrix.n, matrix.k);
  if (!pack_all(packing, parts, threads)) {
    return Error{"a weight is NaN or infinite, so it cannot be quantized"};
  }
  matrix.scale = reinterpret_cast<const uint16_t*>(to + packing.weight_bytes);
  return device.upload(to, packing.bytes.data(), packing.bytes.size());
}

Result<DeviceMatrix> matrix_of(Device& device, std::span<const LinearPart> parts, Quantization quantization,
                               int threads) {
  const auto shape = shape_of(parts, quantization);
  if (!shape) return shape.error();
  auto memory = DeviceMemory::allocate(device, matrix_bytes(*shape), "weights");
  if (!memory) return memory.error();
  DeviceMatrix matrix{std::move(*memory), *shape};
  if (Status s = fill_matrix(device, matrix.memory.address(), matrix.view, parts, threads); !s)
    return s.error();
  return matrix;
}

std::vector<float> biases_of(std::span<const LinearPart> parts) {
  if (std::ranges::none_of(parts, [](const LinearPart& part) { return part.bias.has_value(); })) return {};
  std::vector<float> bias;
  for (const LinearPart& part : parts) {
    const auto first = static_cast<std::ptrdiff_t>(bias.size());
    bias.resize(bias.size() + static_cast<size_t>(part.weight.rows), 0.0f);
    if (part.bias) copy_f32(bias.data() + first, *part.bias);
  }
  return bias;
}

Error coded_refusal() {
  return {
      "weights in the codes that other tools packed them in (GPTQ, AWQ, FP8, GGUF ...) are not served on a "
      "CUDA "
      "device yet",
      ErrorKind::unsupported};
}

size_t BlockBuilder::add(const void* from, size_t count) {
  constexpr size_t kAlignment = 16;
  const size_t at = (bytes_.size() + kAlignment - 1) / kAlignment * kAlignment;
  bytes_.resize(at + count);
  if (from != nullptr && count > 0) std::memcpy(bytes_.data() + at, from, count);
  return at;
}

std::vector<float> floats_of(const HostTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.rows * tensor.cols));
  copy_f32(values.data(), tensor);
  return values;
}

}  // namespace lorikeet::cuda
