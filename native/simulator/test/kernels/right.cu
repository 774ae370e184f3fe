// Kernels that are right, small forms of what a data plane does.
#include <cuda_bf16.h>

#include <cstdint>

extern "C" {

// Sums a row of n by one block: strided partials, shuffles, shared memory, a barrier. The last block of the
// grid adds the rows' sums in their order, behind a fence and a counter.
__global__ void row_sums(const float* in, float* sums, float* total, unsigned* done, int n) {
  __shared__ float partial[8];
  __shared__ bool last;
  float sum = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) sum += in[blockIdx.x * n + i];
  for (int step = 16; step > 0; step /= 2) sum += __shfl_down_sync(0xffffffffu, sum, step);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int i = 1; i < blockDim.x / 32; ++i) sum += partial[i];
    sums[blockIdx.x] = sum;
    __threadfence();
    last = atomicAdd(done, 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    float all = 0;
    for (int i = 0; i < gridDim.x; ++i) all += sums[i];
    *total = all;
  }
}

// c [m, n] = a [m, k] * b [n, k]', one 16 x 8 tile per warp, both staged by cp.async in two stages of 16 k.
__global__ void tiled_product(float* c, const __nv_bfloat16* a, const __nv_bfloat16* b, int n, int k) {
  __shared__ __align__(16) __nv_bfloat16 as[2][16][16];
  __shared__ __align__(16) __nv_bfloat16 bs[2][8][16];
  const int lane = threadIdx.x, row0 = blockIdx.y * 16, column0 = blockIdx.x * 8;
  const auto shared = [](const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); };
  const auto stage = [&](int step) {
    const int s = step & 1;
    const __nv_bfloat16* from = a + (row0 + lane / 2) * k + step * 16 + lane % 2 * 8;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared(&as[s][lane / 2][lane % 2 * 8])),
                 "l"(from));
    if (lane < 16) {
      from = b + (column0 + lane / 2) * k + step * 16 + lane % 2 * 8;
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared(&bs[s][lane / 2][lane % 2 * 8])),
                   "l"(from));
    }
    asm volatile("cp.async.commit_group;");
  };
  float d[4] = {0, 0, 0, 0};
  stage(0);
  for (int step = 0; step < k / 16; ++step) {
    if (step + 1 < k / 16) {
      stage(step + 1);
      asm volatile("cp.async.wait_group 1;");
    } else {
      asm volatile("cp.async.wait_group 0;");
    }
    __syncthreads();
    uint32_t x[4], w[2];
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                 : "r"(shared(&as[step & 1][lane % 16][lane / 16 * 8])));
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(w[0]), "=r"(w[1])
                 : "r"(shared(&bs[step & 1][lane % 8][lane / 8 % 2 * 8])));
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(w[0]), "r"(w[1]));
    __syncthreads();
  }
  const int row = row0 + lane / 4, column = column0 + lane % 4 * 2;
  c[row * n + column] = d[0];
  c[row * n + column + 1] = d[1];
  c[(row + 8) * n + column] = d[2];
  c[(row + 8) * n + column + 1] = d[3];
}

// y [m, n]: 4-bit weights in groups of 32 with a scale each, activations of 8 bits with one scale per row;
// integer sums by mma, fma over the groups in ascending order. w [n / 16][k / 32][lane] words of 8 nibbles (k
// as A's fragment holds it), s [k / 32][n], x [m = 8][k], xs [m].
__global__ void int4_product(float* y, const uint2* w, const float* s, const int8_t* x, const float* xs,
                             int n, int k) {
  const int lane = threadIdx.x, g = lane / 4, t = lane % 4, tile = blockIdx.x;
  float sums[4] = {0, 0, 0, 0};
  for (int group = 0; group < k / 32; ++group) {
    const uint2 packed = w[(tile * (k / 32) + group) * 32 + lane];
    const uint32_t a[4] = {packed.x & 0x0f0f0f0fu, packed.x >> 4 & 0x0f0f0f0fu, packed.y & 0x0f0f0f0fu,
                           packed.y >> 4 & 0x0f0f0f0fu};
    const uint32_t* row = reinterpret_cast<const uint32_t*>(x + g * k + group * 32);
    const uint32_t b[2] = {row[t], row[t + 4]};
    // Nibbles stand 8 higher than their values.
    int offset = __dp4a(static_cast<int>(b[0]), 0x01010101, __dp4a(static_cast<int>(b[1]), 0x01010101, 0));
    offset += __shfl_xor_sync(0xffffffffu, offset, 1);
    offset += __shfl_xor_sync(0xffffffffu, offset, 2);
    const int first = -8 * __shfl_sync(0xffffffffu, offset, t * 8),
              second = -8 * __shfl_sync(0xffffffffu, offset, t * 8 + 4);
    int d[4] = {first, second, first, second};
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    const float low = s[group * n + tile * 16 + g], high = s[group * n + tile * 16 + g + 8];
    sums[0] = __fmaf_rn(static_cast<float>(d[0]), low, sums[0]);
    sums[1] = __fmaf_rn(static_cast<float>(d[1]), low, sums[1]);
    sums[2] = __fmaf_rn(static_cast<float>(d[2]), high, sums[2]);
    sums[3] = __fmaf_rn(static_cast<float>(d[3]), high, sums[3]);
  }
  for (int i = 0; i < 4; ++i) {
    const int m = t * 2 + i % 2, column = tile * 16 + g + i / 2 * 8;
    y[m * n + column] = sums[i] * xs[m];
  }
}

__device__ __noinline__ int collatz(int n) {
  int steps = 0;
  while (n != 1) {
    n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    ++steps;
  }
  return steps;
}

// Ways that part and meet again: loops of different length, a call in a branch, a local array by a varying
// index.
__global__ void ways(int* out, const int* in) {
  __shared__ int counts[4];
  int local[4] = {1, 2, 3, 4};
  const int i = blockIdx.x * blockDim.x + threadIdx.x, value = in[i];
  if (threadIdx.x < 4) counts[threadIdx.x] = 0;
  __syncthreads();
  int result = 0;
  if (value % 3 == 0) {
    result = collatz(value + 1);
  } else {
    for (int j = 0; j < value % 7; ++j) local[(value + j) & 3] += j;
    result = local[value & 3] * 1000 + local[(value + 1) & 3];
  }
  atomicAdd(&counts[value & 3], 1);
  __syncthreads();
  out[i] = result + counts[value & 3] * 1000000;
}

__constant__ float table[4] = {0.5f, 1.5f, -2.5f, 8.0f};
__device__ int calls = 0;

__global__ void variables(float* out) {
  extern __shared__ float dynamic[];
  dynamic[threadIdx.x] = table[threadIdx.x & 3];
  __syncthreads();
  out[threadIdx.x] = dynamic[threadIdx.x ^ 1];
  if (threadIdx.x == 0) calls += 1;
}

// Everything that warps tell each other.
__global__ void votes(unsigned* out, const int* in) {
  const int value = in[threadIdx.x];
  const unsigned odd = __ballot_sync(0xffffffffu, value & 1), active = __activemask();
  unsigned* mine = out + threadIdx.x * 6;
  mine[0] = odd;
  mine[1] = __match_any_sync(0xffffffffu, value & 3);
  mine[2] = __reduce_add_sync(0xffffffffu, static_cast<unsigned>(value));
  mine[3] = __all_sync(0xffffffffu, value < 100) * 2 + __any_sync(0xffffffffu, value == 5);
  mine[4] = __syncthreads_count(value & 1);
  mine[5] = active;
}

}  // extern "C"
