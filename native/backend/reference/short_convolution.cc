// A gated convolution of a few tokens (LFM2).

#include "backend/reference/backend.h"
#include "backend/shared/recurrent_sequence.h"

namespace lorikeet::reference {

void ReferenceBackend::short_convolution(TensorView out, TensorView in, KvCache& kv, int layer,
                                         const ShortConvolutionDesc& desc) {
  if (!step_.runs()) return;
  const StepInput& step = step_.input();
  const RecurrentPages pages = static_cast<RefKvCache&>(kv).recurrent(layer);
  const int n = desc.channels;
  for (size_t s = 0; s + 1 < step.q_start.size(); ++s) {
    const RecurrentSequence sequence(pages, step, s);
    for (int32_t position = sequence.begin(); position < sequence.end(); ++position) {
      const float* const b = f32(in) + sequence.row(position) * in.cols;
      const float* const gate = b + n;
      const float* const x = b + 2 * int64_t{n};
      float* const product = sequence.inputs(position);
      float* const y = f32(out) + sequence.row(position) * out.cols;
      for (int i = 0; i < n; ++i) {
        product[i] = b[i] * x[i];
        double sum = desc.bias == nullptr ? 0.0 : static_cast<double>(f32(desc.bias)[static_cast<size_t>(i)]);
        for (int back = 0; back < desc.taps && back <= position; ++back) {
          const auto weight = static_cast<size_t>(int64_t{desc.taps - 1 - back} * n + i);
          sum += static_cast<double>(f32(desc.weight)[weight]) * sequence.inputs(position - back)[i];
        }
        y[i] = static_cast<float>(sum * gate[i]);
      }
    }
  }
}

}  // namespace lorikeet::reference
