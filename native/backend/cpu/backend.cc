#include <algorithm>
#include <cassert>

#include "backend/cpu/attention_call.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/interface/open_backend.h"
#include "backend/shared/dtype.h"
#include "backend/shared/guarded.h"

namespace lorikeet::cpu {
namespace {

const Kernels& kernels_for(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx512 || isa == Isa::avx512vnni) return kAvx512Kernels;
  if (isa == Isa::avx2) return kAvx2Kernels;
#endif
  assert(isa == Isa::portable);
  (void)isa;
  return kPortableKernels;
}

const QuantizedKernels& quantized_kernels_for(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx512vnni) return kAvx512VnniQuantized;
  if (isa == Isa::avx512) return kAvx512Quantized;
  if (isa == Isa::avx2) return kAvx2Quantized;
#endif
  (void)isa;
  return kPortableQuantized;
}

}  // namespace

CpuBackend::CpuBackend(Isa isa, int threads)
    : isa_(isa), kernels_(kernels_for(isa)), quantized_kernels_(quantized_kernels_for(isa)), pool_(threads) {
  for (int thread = 0; thread < threads; ++thread) {
    accumulators_.emplace_back(scratch_bytes_);
    thread_scratch_.emplace_back(scratch_bytes_);
  }
}

Caps CpuBackend::caps() const {
  const int threads = pool_.threads();
  const std::string isa = name_of(isa_);
  return Caps{"cpu " + isa + " " + std::to_string(threads) + (threads == 1 ? " thread" : " threads"), isa,
              threads, true, true};
}

Status CpuBackend::reserve(const StepLimits& limits, const NetworkShape& shape) {
  return guarded([&]() -> Status {
    most_rows_ = limits.rows;
    step_.reserve(limits);
    if (Status s = reserve_linear(limits, shape); !s) return s;
    if (Status s = reserve_attention(limits, shape); !s) return s;
    if (Status s = reserve_sampling(shape); !s) return s;
    if (Status s = experts_.reserve(*this, limits.rows, shape); !s) return s;
    size_t plain = step_.bytes() + experts_.bytes() + soon_.capacity() * sizeof(Ahead::Run) +
                   attention_blocks_.capacity() * sizeof(AttentionBlock);
    for (const SampleScratch& scratch : sample_scratch_) plain += scratch.bytes();
    scratch_bytes_.fetch_add(plain - std::exchange(plain_bytes_, plain));
    return {};
  });
}

void CpuBackend::step_begin(const StepInput& input) {
  step_.begin(input);
  ++step_number_;
  adapters_.take();
  soon_.clear();  // a step that failed may have left what has gone since
  if (const PageCopies& copies = step_.input().copies; copies.kv != nullptr) {
    static_cast<const CpuKvCache*>(copies.kv)->copy(copies.from, copies.to);
  }
}

Result<std::unique_ptr<Tensor>> CpuBackend::tensor_create(int64_t rows, int64_t cols) {
  auto memory = Memory::allocate(static_cast<size_t>(rows * cols) * sizeof(float));
  if (!memory) return out_of_memory("activations");
  return std::unique_ptr<Tensor>(std::make_unique<CpuTensor>(rows, cols, std::move(*memory)));
}

std::optional<PaddedVector> pad_vector(const HostTensor& vector, int64_t tile, float scale) {
  const int64_t count = vector.rows * vector.cols;
  auto memory = Memory::allocate(static_cast<size_t>((count + tile - 1) / tile * tile) * sizeof(float));
  if (!memory) return std::nullopt;
  for (int64_t i = 0; i < count; ++i) memory->f32()[i] = scale * load_f32(vector.data, vector.dtype, i);
  return PaddedVector{std::move(*memory)};
}

std::optional<Memory> copy_f32(const HostTensor& tensor) {
  auto memory = Memory::allocate(static_cast<size_t>(tensor.rows * tensor.cols) * sizeof(float));
  if (memory) lorikeet::copy_f32(memory->f32(), tensor);
  return memory;
}

Error out_of_memory(const char* what) {
  return {std::string("out of memory for ") + what, ErrorKind::out_of_memory};
}

}  // namespace lorikeet::cpu

namespace lorikeet {

Result<std::unique_ptr<Backend>> make_cpu_backend(const BackendOptions& options) {
  if (options.threads < 1) return Error{"threads must be at least 1, not " + std::to_string(options.threads)};
  const Result<cpu::Isa> isa = cpu::choose_isa(options.isa);
  if (!isa) return isa.error();
  return std::unique_ptr<Backend>(std::make_unique<cpu::CpuBackend>(*isa, options.threads));
}

}  // namespace lorikeet
