// A gated convolution of a few tokens: of a token the cache keeps b x, so a row finds what it needs in the
// slots of the tokens before it, whoever computed them.
#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "backend/shared/recurrent_sequence.h"

namespace lorikeet::cpu {

void CpuBackend::short_convolution(TensorView out, TensorView in, KvCache& kv, int layer,
                                   const ShortConvolutionDesc& desc) {
  if (!step_.runs()) return;
  const auto& cache = static_cast<const CpuKvCache&>(kv);
  const StepInput& step = step_.input();
  const RecurrentPages pages = cache.recurrent(layer);
  const int64_t n = desc.channels;
  for_rows(step_.rows(), n, [&](int64_t row, int) {
    const float* const b = f32(in) + row * desc.row_width();
    const int32_t slot = step.kv_slot[static_cast<size_t>(row)];
    float* const product = RecurrentPage(cache.page(layer, slot / pages.page_tokens), pages.shape)
                               .inputs(slot % pages.page_tokens);
    std::copy_n(b, n, product);
    kernels_.multiply_row(product, b + 2 * n, n);
  });
  const float* const weight = f32(desc.weight).data();
  const std::span<const float> bias = f32(desc.bias);
  for (size_t s = 0; s + 1 < step.q_start.size(); ++s) {
    const RecurrentSequence sequence(pages, step, s);
    for_rows(sequence.end() - sequence.begin(), n * desc.taps, [&](int64_t index, int) {
      const int32_t position = sequence.begin() + static_cast<int32_t>(index);
      float* const y = f32(out) + sequence.row(position) * n;
      if (bias.empty()) {
        std::fill_n(y, n, 0.0f);
      } else {
        std::copy(bias.begin(), bias.end(), y);
      }
      for (int tap = std::max(0, desc.taps - 1 - position); tap < desc.taps; ++tap)
        kernels_.multiply_add(y, weight + tap * n, sequence.inputs(position - (desc.taps - 1 - tap)), n);
      kernels_.multiply_row(y, f32(in) + sequence.row(position) * desc.row_width() + n, n);
    });
  }
}

}  // namespace lorikeet::cpu
