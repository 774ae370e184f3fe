// What the driver's tests launch.
extern "C" {

__device__ int counter = 5;

__global__ void add(int* values, int amount, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) values[i] += amount;
}

__global__ void copy_to(int* to, const int* from) {
  to[threadIdx.x] = from[threadIdx.x];
}

__global__ void wants_shared(int* out) {
  extern __shared__ int room[];
  room[threadIdx.x * 512] = threadIdx.x;
  __syncthreads();
  out[threadIdx.x] = room[threadIdx.x * 512];
}

__global__ void after_the_launch_before(int* to, const int* from, int waits) {
  if (waits) asm volatile("griddepcontrol.wait;");
  to[threadIdx.x] = from[threadIdx.x];
}

}  // extern "C"
