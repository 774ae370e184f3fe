// Kernels with one bug each. Every test names the bug's line of PTX by the text that stands there.
#include <cstdint>

extern "C" {

__global__ void missing_barrier(float* out) {
  __shared__ float values[64];
  values[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = values[63 - threadIdx.x];
}

// The second warp jumps over the first barrier and meets the others at the second.
__global__ void skipped_barrier(float* out) {
  __shared__ float values[64];
  values[threadIdx.x] = threadIdx.x;
  if (threadIdx.x < 32) asm volatile("bar.sync 0;");
  out[threadIdx.x] = values[threadIdx.x];
  asm volatile("bar.sync 0;");
  out[threadIdx.x] += 1;
}

__global__ void late_copy(float* out, const float* in) {
  __shared__ __align__(16) float values[128];
  const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(values + threadIdx.x * 4));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(in + threadIdx.x * 4));
  asm volatile("cp.async.commit_group;");
  out[threadIdx.x] = values[threadIdx.x * 4];
  asm volatile("cp.async.wait_group 0;");
}

// Reads the element behind the last of its segment, which is the last of the allocation.
__global__ void past_segment(float* out, const float* in, int n) {
  const int i = threadIdx.x;
  out[i] = in[i] + (i + 1 <= n ? in[i + 1] : 0);
}

__global__ void into_neighbour(float* out, int n) {
  __shared__ float first[32];
  __shared__ float second[32];
  first[threadIdx.x] = 1;
  second[threadIdx.x] = 2;
  __syncthreads();
  if (threadIdx.x < n) first[threadIdx.x + 1] = 3;
  __syncthreads();
  out[threadIdx.x] = first[threadIdx.x] + second[threadIdx.x];
}

__global__ void two_blocks_one_word(int* out) {
  if (threadIdx.x == 0) out[blockIdx.x / 2] = blockIdx.x;
}

__global__ void reads_of_another_block(int* out) {
  out[blockIdx.x * 32 + threadIdx.x] = 1;
  if (blockIdx.x == 1) out[32 + threadIdx.x] += out[threadIdx.x];
}

__global__ void shuffle_in_branch(int* out) {
  int value = threadIdx.x;
  if (threadIdx.x < 20) value += __shfl_xor_sync(0xffffffffu, value, 1);
  out[threadIdx.x] = value;
}

__global__ void barrier_in_branch(int* out) {
  if (threadIdx.x < 20) {
    out[threadIdx.x] = 1;
    __syncthreads();
  }
  out[threadIdx.x] = 2;
}

// One partial sum per warp, of which the last is never written.
__global__ void uninitialised_partial(float* out) {
  __shared__ float partial[4];
  if (threadIdx.x % 32 == 0 && threadIdx.x < 96) partial[threadIdx.x / 32] = 1;
  __syncthreads();
  if (threadIdx.x < 4) out[threadIdx.x] = partial[threadIdx.x];
}

__global__ void reads_what_nobody_wrote(float* out, const float* in) {
  out[threadIdx.x] = in[threadIdx.x];
}

__global__ void misaligned_vector(float4* out, const float* in) {
  out[threadIdx.x] = *reinterpret_cast<const float4*>(in + 1 + threadIdx.x * 4);
}

__global__ void never_meets(int* out) {
  if (threadIdx.x < 32) {
    asm volatile("bar.sync 1, 64;");
  } else {
    asm volatile("bar.sync 2, 64;");
  }
  out[threadIdx.x] = 1;
}

__global__ void never_ends(volatile int* flag) {
  while (*flag == 0) {
  }
}

__global__ void within_warp(int* out) {
  __shared__ volatile int values[32];
  values[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = values[31 - threadIdx.x];
}

}  // extern "C"
