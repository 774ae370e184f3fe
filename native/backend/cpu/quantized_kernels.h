// The inner loops of products with quantized weights (backend/shared/quantization.h) behind plain function
// pointers. A table of its own beside kernels.h: AVX-512 with and without VNNI share all other kernels. The
// KV cache's int8 is quantized here too.
//
// All instruction sets give the same bits: sums inside a group are exact, and the float operations are the
// same ones.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cpu/kernels.h"

namespace lorikeet::cpu {

// Memory that comes after a product and that the hardware cannot foresee: the product asks for it on its way,
// a few lines per group and block of rows, into the second-level cache.
struct Ahead {
  struct Run {
    const std::byte* next;
    const std::byte* end;
  };
  const Run* last;  // behind the runs
  Run* run;
  int lines;

  void ask() {
    for (int line = 0; line < lines; ++line) {
      if (run == last) return;
      __builtin_prefetch(run->next, 0, 2);
      run->next += 64;
      if (run->next >= run->end) ++run;
    }
  }
};

// acc [rows, 2 W of acc_stride] (+)= x * block: a run of groups of one block of 2 W outputs
// (quantized_weight.h), from the start of an activation group.
struct QuantizedProduct {
  float* acc;
  int64_t acc_stride;
  const int8_t* x;  // [rows, x_stride]
  int64_t x_stride;
  const float* x_scale;  // [rows, x_scale_stride] of kActivationGroup inputs
  int64_t x_scale_stride;
  const int32_t* x_offset;  // [rows, group_stride] -zero_point * sum of the group's x
  int64_t group_stride;
  int rows;
  const uint8_t* weight;
  int64_t groups;
  bool accumulate;
  Ahead* ahead;
  // Where the weights of the next product lie, as many bytes as this one's; null when unknown. Asked for
  // where several blocks of rows use one block of weights: the hardware's own prefetch sleeps through the
  // later ones.
  const uint8_t* next_weight;
};

// The next product's weights, and how many lines of them a group of each block of rows asks for.
struct NextWeight {
  const uint8_t* at;
  int lines;

  void ask() {
    for (int line = 0; line < lines; ++line, at += 64) __builtin_prefetch(at, 0, 2);
  }
};

// The same over inputs [begin, end) of a block of a weight in a checkpoint's own codes of four bits
// (backend/shared/coded_integers.h), whole activation groups but for the last.
struct CodedProduct {
  float* acc;
  int64_t acc_stride;
  const int8_t* x;  // [rows, x_stride]
  int64_t x_stride;
  const float* x_scale;  // [rows, x_scale_stride] of kActivationGroup inputs
  int64_t x_scale_stride;
  const int32_t* x_sum;  // [rows, x_sum_stride] of the inputs before each step
  int64_t x_sum_stride;
  int rows;
  int64_t begin;
  int64_t end;
  const uint8_t* codes;  // of the block, in words (coded_weight.h)
  int64_t group;
  int32_t zero;          // where zeros are null
  const uint8_t* zeros;  // [groups][2 W] or null
  CodedNumbers scale, offset;
  Ahead* ahead;
  const uint8_t* next_weight;  // QuantizedProduct's
};

// One row of activations: whole groups, padded with zeros beyond k.
struct QuantizeRow {
  int8_t* q;
  float* scale;     // [k / kActivationGroup]
  int32_t* offset;  // [k / group]
  const float* x;   // [k]
  int64_t k;
  int group;
  int zero_point;
};

// The same for CodedProduct: whole steps of inputs in the weight's order.
struct QuantizeOrderedRow {
  int8_t* q;
  float* scale;    // [k / kActivationGroup]
  int32_t* sum;    // [steps + 1] of the inputs before each step
  const float* x;  // [k]
  int64_t k;
  const int32_t* order;  // [k] or null
};

struct QuantizedKernels {
  int lanes;
  int rows;  // that a product holds in registers
  void (*product8)(const QuantizedProduct&);
  void (*product4)(const QuantizedProduct&);
  void (*product_nf4)(const QuantizedProduct&);
  void (*product_coded)(const CodedProduct&);
  void (*quantize_row)(const QuantizeRow&);
  void (*quantize_ordered_row)(const QuantizeOrderedRow&);
  // quantize_activations (backend/shared/quantization.h); q has room for n rounded up to whole vectors.
  float (*quantize_vector)(int8_t* q, const float* x, int n);
};

extern const QuantizedKernels kPortableQuantized;
extern const QuantizedKernels kAvx2Quantized;
extern const QuantizedKernels kAvx512Quantized;
extern const QuantizedKernels kAvx512VnniQuantized;

}  // namespace lorikeet::cpu
