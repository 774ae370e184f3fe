// Ops on rows and on single elements: embeddings, norms, activations, gathers. None is bound by arithmetic.

#include "backend/cuda/kernels/packed.cuh"
#include "backend/cuda/kernels/rows.cuh"

namespace lorikeet::cuda {

// Grid: rows. `positions`: y += the row of each position, in place of y = that of each token.
extern "C" __global__ void __launch_bounds__(256)
    embed_rows(float* y, Matrix table, const int32_t* number, int offset, int add) {
  const int64_t row = blockIdx.x, from = int64_t{number[row]} + offset;
  for (int64_t h = threadIdx.x; h < table.k; h += 256) {
    const float value = weight_at(table, from, h);
    float& to = y[row * table.k + h];
    to = add != 0 ? __fadd_rn(to, value) : value;
  }
}

// y = ratio * (table[token] + s B A[:, token]); a token row of its own replaces all of that. Grid: items,
// rows.
extern "C" __global__ void __launch_bounds__(256, 4)
    embed_adapters(float* y, Matrix table, const int32_t* token, const EmbeddingItem* items) {
  const EmbeddingItem& item = items[blockIdx.x];
  const float scale = __fmul_rn(item.adapter_scale, item.segment_scale);
  for (int r = blockIdx.y; r < item.rows; r += gridDim.y) {
    const int64_t row = item.row0 + r, id = token[row];
    const float* own = nullptr;
    for (int i = 0; i < item.token_rows; ++i) {
      if (item.token_row[i] == id) own = item.token_row_value + i * table.k;
    }
    for (int64_t h = threadIdx.x; h < table.k; h += 256) {
      float value;
      if (own != nullptr) {
        value = own[h];
      } else {
        float delta = 0.0f;
        for (int k = 0; k < item.rank; ++k) {
          delta = __fmaf_rn(element(item.b, item.b_type, h * item.rank + k),
                            element(item.a, item.a_type, k * table.n + id), delta);
        }
        value = item.weight != nullptr ? element(item.weight, item.weight_type, id * table.k + h)
                                       : weight_at(table, id, h);
        value = __fmaf_rn(scale, delta, value);
        if (item.ratio != nullptr) value = __fmul_rn(value, item.ratio[h]);
      }
      y[row * table.k + h] = value;
    }
  }
}

// DoRA of an embedding: the norms run over the table's columns; NaN where one is zero. One warp a column.
// Grid: H / 8.
extern "C" __global__ void __launch_bounds__(256)
    embedding_ratio(float* ratio, const float* magnitudes, Matrix table, EmbeddingItem item) {
  const int64_t h = blockIdx.x * 8 + threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  if (h >= table.k) return;
  float squares = 0.0f;
  for (int64_t id = lane; id < table.n; id += 32) {
    float delta = 0.0f;
    for (int k = 0; k < item.rank; ++k) {
      delta = __fmaf_rn(element(item.b, item.b_type, h * item.rank + k),
                        element(item.a, item.a_type, k * table.n + id), delta);
    }
    float value = item.weight != nullptr ? element(item.weight, item.weight_type, id * table.k + h)
                                         : weight_at(table, id, h);
    value = __fmaf_rn(item.adapter_scale, delta, value);
    squares = __fmaf_rn(value, value, squares);
  }
  squares = warp_sum(squares);
  if (lane == 0)
    ratio[h] = squares > 0.0f ? __fdiv_rn(magnitudes[h], __fsqrt_rn(squares)) : __uint_as_float(0x7fc00000u);
}

// Values of a group that stay in shared memory between the sum over them and its use.
constexpr int kKeptWidth = 8192;

// Grid: groups of a row, rows. y may be x; `residual` null: none.
extern "C" __global__ void __launch_bounds__(kNormThreads)
    norm_rows(float* y, const float* x, float* residual, NormArguments norm) {
  __shared__ float kept[kKeptWidth];
  const int64_t at = (int64_t{blockIdx.y} * norm.copies + blockIdx.x) * norm.width;
  const bool keeps = norm.width <= kKeptWidth;
  const float* from = keeps ? kept : residual != nullptr ? residual + at : x + at;
  // Each thread reads again what it wrote itself.
  for (int64_t i = threadIdx.x; i < norm.width; i += kNormThreads) {
    float value = x[at + i];
    if (residual != nullptr) residual[at + i] = value = __fadd_rn(residual[at + i], value);
    if (keeps) kept[i] = value;
  }
  const int64_t group = blockIdx.x * norm.width;
  normalize(y + at, from, norm.gain + group, norm.bias == nullptr ? nullptr : norm.bias + group, norm);
}

namespace {

// The kinds are those of ActivationKind.
__device__ float activated(float x, const ActivationArguments& f) {
  switch (f.kind) {
    case 0:
      return __fdiv_rn(x, __fadd_rn(1.0f, expf(-x)));
    case 1:
      return __fmul_rn(__fmul_rn(0.5f, x), erfcf(__fmul_rn(x, -0.70710678118654752f)));
    case 2: {
      const float inner = __fmaf_rn(__fmul_rn(__fmul_rn(0.044715f, x), x), x, x);
      return __fmul_rn(__fmul_rn(0.5f, x), __fadd_rn(1.0f, tanhf(__fmul_rn(0.79788456080286536f, inner))));
    }
    case 3:
      return x < 0.0f ? 0.0f : x;
    case 4:
      return x < 0.0f ? 0.0f : __fmul_rn(x, x);
    case 5:
      return __fdiv_rn(1.0f, __fadd_rn(1.0f, expf(-x)));
    default:
      break;
  }
  if (x > 0.0f) return __fadd_rn(__fmul_rn(__fmul_rn(f.alpha, x), x), __fmul_rn(f.beta, x));
  const float low = x > f.epsilon ? f.epsilon : x;
  return __fadd_rn(__fmul_rn(f.alpha_n, __fsub_rn(expm1f(low), x)), __fmul_rn(f.beta, x));
}

__device__ float gated(float gate, float up, const ActivationArguments& f) {
  if (f.kind != 6) return __fmul_rn(activated(gate, f), up);
  const float g = gate > f.limit ? f.limit : gate;
  const float u = up > f.limit ? f.limit : up < -f.limit ? -f.limit : up;
  return __fmul_rn(__fdiv_rn(g, __fadd_rn(1.0f, expf(__fmul_rn(-f.alpha, g)))), __fadd_rn(u, 1.0f));
}

}  // namespace

// y [rows, width] of x [rows, width] or, `gate`, [rows, 2 width]. Grid: width / 256, rows.
extern "C" __global__ void __launch_bounds__(256)
    activate_rows(float* y, const float* x, int64_t width, int gate, ActivationArguments f) {
  const int64_t i = blockIdx.x * 256 + threadIdx.x, row = blockIdx.y;
  if (i >= width) return;
  const float* const from = x + row * width * (gate != 0 ? 2 : 1);
  y[row * width + i] = gate != 0 ? gated(from[i], from[width + i], f) : activated(from[i], f);
}

// Grid: cols / 256, rows.
extern "C" __global__ void __launch_bounds__(256)
    gather_rows(float* to, const float* from, const int32_t* index, int64_t cols) {
  const int64_t i = blockIdx.x * 256 + threadIdx.x, row = blockIdx.y;
  if (i < cols) to[row * cols + i] = from[index[row] * cols + i];
}

// y [rows, cols] *= sigmoid(gate [rows]). Grid: cols / 256, rows.
extern "C" __global__ void __launch_bounds__(256) gate_rows(float* y, const float* gate, int64_t cols) {
  const int64_t i = blockIdx.x * 256 + threadIdx.x, row = blockIdx.y;
  if (i >= cols) return;
  const float factor = __fdiv_rn(1.0f, __fadd_rn(1.0f, expf(-gate[row])));
  y[row * cols + i] = __fmul_rn(y[row * cols + i], factor);
}

// y [rows, cols] *= columns of x [rows, stride], of which x is the first's. Grid: cols / 256, rows.
extern "C" __global__ void __launch_bounds__(256)
    multiply_columns(float* y, const float* x, int64_t cols, int64_t stride) {
  const int64_t i = blockIdx.x * 256 + threadIdx.x, row = blockIdx.y;
  if (i < cols) y[row * cols + i] = __fmul_rn(y[row * cols + i], x[row * stride + i]);
}

extern "C" __global__ void __launch_bounds__(256)
    add_scaled(float* y, const float* x, float factor, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * 256 + threadIdx.x;
  if (i < count) y[i] = __fmaf_rn(factor, x[i], y[i]);
}

extern "C" __global__ void __launch_bounds__(256) scale_by(float* y, float factor, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * 256 + threadIdx.x;
  if (i < count) y[i] = __fmul_rn(y[i], factor);
}

extern "C" __global__ void __launch_bounds__(256) soft_cap(float* y, float cap, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * 256 + threadIdx.x;
  if (i < count) y[i] = __fmul_rn(cap, tanhf(__fdiv_rn(y[i], cap)));
}

}  // namespace lorikeet::cuda
