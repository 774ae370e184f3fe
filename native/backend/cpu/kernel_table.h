// The table of one instruction set; included by kernels_*.cc only.
#pragma once

#include "backend/cpu/activation_kernel.h"
#include "backend/cpu/attention_kernel.h"
#include "backend/cpu/coded_kernel.h"
#include "backend/cpu/delta_kernel.h"
#include "backend/cpu/elements.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/linear_kernel.h"
#include "backend/cpu/norm_kernel.h"
#include "backend/cpu/row_kernel.h"

namespace lorikeet::cpu {

template <class S>
constexpr Kernels make_kernels() {
  return Kernels{
      .lanes = S::W,
      .rows = S::kRows,
      .tile_product = {LinearKernels<S, float>::tile_product, LinearKernels<S, F16>::tile_product,
                       LinearKernels<S, BF16>::tile_product, LinearKernels<S, I8>::tile_product},
      .decode_codes = {CodedKernels<S>::template decode<IntegerCode<S>>,
                       CodedKernels<S>::template decode<TableCode<S>>,
                       CodedKernels<S>::template decode<E4M3Code<S>>,
                       CodedKernels<S>::template decode<E5M2Code<S>>},
      .shrink = {LinearKernels<S, float>::shrink, LinearKernels<S, F16>::shrink,
                 LinearKernels<S, BF16>::shrink, LinearKernels<S, I8>::shrink},
      .tile_finish = TileFinishKernel<S>::tile_finish,
      .tile_row_norms = {LinearKernels<S, float>::tile_row_norms, LinearKernels<S, F16>::tile_row_norms,
                         LinearKernels<S, BF16>::tile_row_norms},
      .norm_row = NormKernel<S>::norm_row,
      .layer_norm_row = LayerNormKernel<S>::layer_norm_row,
      .key_product = {AttentionKernels<S, float>::key_product, AttentionKernels<S, F16>::key_product,
                      AttentionKernels<S, BF16>::key_product, AttentionKernels<S, I8>::key_product},
      .softmax_row = SoftmaxKernels<S>::softmax_row,
      .scale_weights = SoftmaxKernels<S>::scale_weights,
      .value_product = {AttentionKernels<S, float>::value_product, AttentionKernels<S, F16>::value_product,
                        AttentionKernels<S, BF16>::value_product, AttentionKernels<S, I8>::value_product},
      .attention_merge = SoftmaxKernels<S>::attention_merge,
      .scale_row = RowKernels<S>::scale_row,
      .activation_row = {activation_row<S, Silu>, activation_row<S, Gelu>, activation_row<S, GeluTanh>,
                         activation_row<S, Relu>, activation_row<S, ReluSquared>, activation_row<S, Sigmoid>,
                         nullptr, activation_row<S, Xielu>},
      .glu_row = {glu_row<S, Silu>, glu_row<S, Gelu>, glu_row<S, GeluTanh>, glu_row<S, Relu>,
                  glu_row<S, ReluSquared>, glu_row<S, Sigmoid>, glu_row<S, ClampedSwiglu>, glu_row<S, Xielu>},
      .soft_cap_row = RowKernels<S>::soft_cap_row,
      .rotate_row = RowKernels<S>::rotate_row,
      .rotate_pairs = RowKernels<S>::rotate_pairs,
      .multiply_row = RowKernels<S>::multiply_row,
      .multiply_add = RowKernels<S>::multiply_add,
      .add_scaled = RowKernels<S>::add_scaled,
      .load_row = {RowKernels<S>::template load_row<float>, RowKernels<S>::template load_row<F16>,
                   RowKernels<S>::template load_row<BF16>},
      .store_row = {RowKernels<S>::template store_row<float>, RowKernels<S>::template store_row<F16>,
                    RowKernels<S>::template store_row<BF16>},
      .unit_row = DeltaKernels<S>::unit_row,
      .delta_steps = DeltaKernels<S>::delta_steps,
  };
}

}  // namespace lorikeet::cpu
