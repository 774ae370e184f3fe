// The inner loops of one instruction set behind plain function pointers: the ops (linear.cc, attention.cc,
// ...) split the work and call these. Arrays over element types are indexed by DType.
//
// This header is compiled under every instruction set, so it holds declarations and plain structs only.
#pragma once

#include <cstdint>

namespace lorikeet::cpu {

constexpr int kElementTypes = 4;
constexpr int kFloatTypes = 3;  // all but int8, which comes last
constexpr int kMaxLanes = 16;
// A weight tile is 4 vectors of outputs wide (packed.h).
constexpr int kTileVectors = 4;
constexpr int kMaxTile = kTileVectors * kMaxLanes;
// Every scratch that a kernel reads in whole vectors is this much longer than its contents, in floats.
constexpr int kSlack = kMaxLanes;

// acc [rows, tile] (+)= x [rows, k] * tile, one chain of additions along k per element: neither the number of
// rows nor the cut of k into several calls changes a bit.
struct TileProduct {
  float* acc;
  const float* x;
  int64_t x_stride;
  int rows;
  const void* weight;  // [k][groups][2 W], packed
  int64_t k;
  int groups;  // 1 or 2 groups of 2 W outputs
  bool accumulate;
};

// Numbers that a group of inputs shares, of each output of a block: [groups][2 W] of `type` (a DType's
// index). Null: there are none.
struct CodedNumbers {
  const void* at;
  int type;
};
// to [end - begin][to_stride] = inputs [begin, end) of a block of 2 W outputs of a coded weight
// (coded_weight.h), as float32.
struct DecodeCodes {
  float* to;
  int64_t to_stride;
  const uint8_t* low;   // the planes of coded_weight.h
  const uint8_t* high;  // of a code's upper bits; null where there are none
  int low_bits;
  int high_bits;
  const float* table;    // [16] or null
  float zero;            // where zeros are null
  const uint8_t* zeros;  // [groups][2 W] or null
  CodedNumbers scale, offset, scale_factor, offset_factor;
  int64_t group;
  int factor_groups;
  const int32_t* group_of_input;  // [K] or null
  const int32_t* place;           // [K] the row of `to` of each input; null: k - begin
  int64_t begin;
  int64_t end;
};
constexpr int kCodedKinds = 4;

// s [rows, ranks] = factor [ranks] * x [rows, k] * A'
struct Shrink {
  float* s;
  int64_t s_stride;
  const float* x;
  int64_t x_stride;
  int rows;
  const void* a;  // [ranks, a_stride], each row packed in groups of 2 W along k, padded with zeros
  int64_t a_stride;
  int64_t k;
  int ranks;
  const float* factor;  // [ranks]
};

// y [n] = or += ratio * (acc + lora_bias) + bias; null pointers leave their term out. Vectors are padded to
// the tile.
struct TileFinish {
  float* y;
  const float* acc;
  const float* lora_bias;
  const float* ratio;
  const float* bias;
  int n;
  bool add;
};

// sums [tile] = sum over k of (w[k] + sum over r of a[k, r] b[r])^2
struct TileRowNorms {
  double* sums;
  const void* weight;  // [k][groups][2 W], packed
  int64_t k;
  int groups;
  const float* a;  // [k, rank]
  const float* b;  // [rank, tile], scale folded in
  int rank;
};

// residual += x when given; y = norm * gain (+ bias, of a LayerNorm, null: none). y may be x.
struct NormRow {
  float* y;
  const float* x;
  float* residual;
  const float* gain;
  const float* bias;
  int64_t n;
  float epsilon;
};

// y [n] = f(x), gated f(x) * up; Activation's numbers (backend/interface/ops.h).
struct ActivationRow {
  float* y;
  const float* x;
  const float* up;
  int64_t n;
  float alpha, limit, alpha_n, beta, epsilon;
};
constexpr int kActivationKinds = 8;

// scores [queries, n] = q [queries, d] * K, in int8 times the tokens' scales
struct KeyProduct {
  float* scores;
  int64_t score_stride;
  const float* q;  // [queries, d]
  int queries;
  int d;
  const void* k;         // [d, k_stride], tokens along the row
  int64_t k_stride;      // tokens of a page
  const float* k_scale;  // [n], int8 only
  int n;
};

// Scores of positions [begin, end) of one query -> exp(score - max), in place.
struct SoftmaxRow {
  float* scores;
  int begin;
  int end;
  float scale;
  float softcap;
  // Alibi: slope * (distance + i) is added to score i; or, coarse, scale * (slope * (begin_position + i)),
  // the product in bfloat16.
  float slope;
  float distance;
  bool coarse;
  int begin_position;
  // Results.
  float max;
  float sum;
};

// p [queries, n] *= scale [n]: in int8 the values' scales go into the weights.
struct WeightScale {
  float* p;
  int64_t p_stride;
  int queries;
  const float* scale;
  int n;
};

// o [queries, d] += p [queries, n] * V
struct ValueProduct {
  float* o;
  const float* p;
  int64_t p_stride;
  int queries;
  int d;
  const void* v;  // [n, d]
  int n;
};

// Softmax numerators of two disjoint sets of positions, added: o = into.
struct AttentionMerge {
  float* o;
  float* max;
  float* sum;
  const float* other_o;
  float other_max;
  float other_sum;
  int d;
};

// Tokens one after the other through a head's state: S = decay S; S += k (beta (v - k S))'; o = q S.
struct DeltaSteps {
  float* state;        // [key_dim, value_dim]
  float* o;            // [tokens, value_dim]
  const float* q;      // [tokens, key_dim]
  const float* k;      // [tokens, key_dim]
  const float* v;      // [tokens, value_dim]
  const float* decay;  // [tokens]
  const float* beta;   // [tokens]
  int tokens;
  int key_dim;
  int value_dim;
};

struct Kernels {
  int lanes;
  // Rows that a product holds in registers; chunks of rows are multiples of it where possible.
  int rows;
  void (*tile_product[kElementTypes])(const TileProduct&);
  void (*decode_codes[kCodedKinds])(const DecodeCodes&);  // by CodeKind
  void (*shrink[kElementTypes])(const Shrink&);
  void (*tile_finish)(const TileFinish&);
  void (*tile_row_norms[kFloatTypes])(const TileRowNorms&);
  void (*norm_row)(const NormRow&);
  void (*layer_norm_row)(const NormRow&);
  void (*key_product[kElementTypes])(const KeyProduct&);
  void (*softmax_row)(SoftmaxRow&);
  void (*scale_weights)(const WeightScale&);
  void (*value_product[kElementTypes])(const ValueProduct&);
  void (*attention_merge)(const AttentionMerge&);
  void (*scale_row)(float* y, const float* x, float factor, int64_t n);
  // By ActivationKind.
  void (*activation_row[kActivationKinds])(const ActivationRow&);
  void (*glu_row[kActivationKinds])(const ActivationRow&);
  // y = cap * tanh(y / cap)
  void (*soft_cap_row)(float* y, float cap, int64_t n);
  // (low, high) rotated by (cos, sin), in place.
  void (*rotate_row)(float* low, float* high, const float* cos, const float* sin, int n);
  // The same of pairs that lie side by side: x [2 n].
  void (*rotate_pairs)(float* x, const float* cos, const float* sin, int n);
  // y *= x
  void (*multiply_row)(float* y, const float* x, int64_t n);
  // y += a * b
  void (*multiply_add)(float* y, const float* a, const float* b, int64_t n);
  // y += a * x
  void (*add_scaled)(float* y, const float* x, float a, int64_t n);
  void (*load_row[kFloatTypes])(float* to, const void* from, int64_t n);
  void (*store_row[kFloatTypes])(void* to, const float* from, int64_t n);
  // x *= factor / |x|
  void (*unit_row)(float* x, float factor, int64_t n);
  void (*delta_steps)(const DeltaSteps&);
};

extern const Kernels kPortableKernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;

}  // namespace lorikeet::cpu
