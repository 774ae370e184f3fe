// Rotary embedding with the write to the paged cache, and attention over it.
//
// Attention of a row is cut at multiples of kSplitPositions, wherever its context ends and whatever else the
// step holds: each split gives a maximum, a sum and a sum of values, and the splits are merged in ascending
// order. So a row's result depends on its own position, cache and window alone (batch invariance). A block
// takes one split of a tile, which is one row or some consecutive ones of a prompt, and reads the keys and
// values of one KV head once for all of its rows and up to kSplitQueries of their queries. What is added up
// in which order is the same for each query, whatever the tile.

#include "backend/cuda/kernels/rows.cuh"

namespace lorikeet::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int kLaneDims = 8;  // head_dim is at most 256
constexpr int kQueriesAtOnce = 8;

__device__ __forceinline__ int bytes_of(Element type) {
  return type == Element::f32 ? 4 : type == Element::int8 ? 1 : 2;
}

// The vectors and scales of one head and position.
struct CacheAddress {
  uint8_t* vector;
  float* scale;
};
__device__ __forceinline__ CacheAddress cache_address(const CacheArguments& cache, int64_t page, int offset,
                                                      int which, int head) {
  uint8_t* const base = cache.layer + page * cache.page_bytes;
  const int64_t vectors = int64_t{2} * cache.kv_heads * cache.page_tokens;
  const int64_t at = (int64_t{which} * cache.kv_heads + head) * cache.page_tokens + offset;
  const int64_t vector_bytes = int64_t{cache.head_dim} * bytes_of(cache.type);
  return {base + at * vector_bytes, reinterpret_cast<float*>(base + vectors * vector_bytes) + at};
}

// One warp writes one vector.
__device__ void store_vector(const CacheArguments& cache, const CacheAddress& to, const float* from) {
  const int lane = threadIdx.x % 32;
  float value[kLaneDims];
  uint32_t largest = 0;
#pragma unroll
  for (int i = 0; i < kLaneDims; ++i) {
    value[i] = lane + 32 * i < cache.head_dim ? from[lane + 32 * i] : 0.0f;
    largest = max(largest, magnitude(value[i]));
  }
  QuantizedScale by{};
  if (cache.type == Element::int8) {
    by = quantized_scale(warp_max(largest));
    if (lane == 0) *to.scale = by.scale;
  }
#pragma unroll
  for (int i = 0; i < kLaneDims; ++i) {
    const int d = lane + 32 * i;
    if (d >= cache.head_dim) continue;
    if (cache.type == Element::int8) {
      reinterpret_cast<int8_t*>(to.vector)[d] = static_cast<int8_t>(quantized(value[i], by));
    } else if (cache.type == Element::f32) {
      reinterpret_cast<float*>(to.vector)[d] = value[i];
    } else if (cache.type == Element::f16) {
      reinterpret_cast<__half*>(to.vector)[d] = __float2half_rn(value[i]);
    } else {
      reinterpret_cast<__nv_bfloat16*>(to.vector)[d] = __float2bfloat16_rn(value[i]);
    }
  }
}

// Heads of one row one after the other, all `count` values of them.
__device__ void normalize_heads(float* x, int64_t count, const NormArguments& norm) {
  if (norm.gain == nullptr) return;
  const int64_t row = norm.width * norm.copies;
  for (int64_t at = 0; at < count; at += norm.width) {
    const int64_t group = at % row;
    normalize(x + at, x + at, norm.gain + group, norm.bias == nullptr ? nullptr : norm.bias + group, norm);
  }
  __syncthreads();
}

struct Turn {
  float sine, cosine;
};
// Within 1.5 ulp of 1. The angle is brought within an eighth of a turn in float64, so that it may be as large
// as positions are; then the polynomials of Cephes (sinf, cosf). sincosf would bring local memory with it.
__device__ __forceinline__ Turn turn(float angle) {
  constexpr double kQuarter = 1.5707963267948966, kQuarterRest = 6.123233995736766e-17;
  const int quarters = __double2int_rn(__dmul_rn(angle, 0.63661977236758134));
  const double rest = __fma_rn(-quarters, kQuarterRest, __fma_rn(-quarters, kQuarter, angle));
  const float x = __double2float_rn(rest), z = __fmul_rn(x, x);
  float sine = __fmaf_rn(-1.9515295891e-4f, z, 8.3321608736e-3f);
  sine = __fmaf_rn(sine, z, -1.6666654611e-1f);
  sine = __fmaf_rn(__fmul_rn(sine, z), x, x);
  float cosine = __fmaf_rn(2.443315711809948e-5f, z, -1.388731625493765e-3f);
  cosine = __fmaf_rn(cosine, z, 4.166664568298827e-2f);
  cosine = __fmaf_rn(__fmul_rn(cosine, z), z, __fmaf_rn(-0.5f, z, 1.0f));
  const bool swaps = (quarters & 1) != 0;
  const float s = swaps ? cosine : sine, c = swaps ? sine : cosine;
  return {(quarters & 2) != 0 ? -s : s, ((quarters + 1) & 2) != 0 ? -c : c};
}

// The angle is a float32 product, as in Transformers: at long positions that rounding is visible.
__device__ void rotate_heads(float* x, int heads, const RopeArguments& p, int position) {
  __shared__ Turn turns[32 * kLaneDims / 2];  // the same of all heads
  for (int i = threadIdx.x; i < p.pairs; i += kThreads) {
    const Turn by = turn(__fmul_rn(static_cast<float>(position), p.inv_freq[i]));
    turns[i] = {__fmul_rn(by.sine, p.attention_factor), __fmul_rn(by.cosine, p.attention_factor)};
  }
  __syncthreads();
  for (int at = threadIdx.x; at < heads * p.pairs; at += kThreads) {
    const int i = at % p.pairs;
    float* const head = x + int64_t{at / p.pairs} * p.cache.head_dim;
    const auto [sine, cosine] = turns[i];
    float& low = head[p.interleaved != 0 ? 2 * i : i];
    float& high = head[p.interleaved != 0 ? 2 * i + 1 : i + p.pairs];
    const float a = low, b = high;
    low = __fsub_rn(__fmul_rn(a, cosine), __fmul_rn(b, sine));
    high = __fadd_rn(__fmul_rn(b, cosine), __fmul_rn(a, sine));
  }
  __syncthreads();
}

}  // namespace

// Grid: rows.
extern "C" __global__ void __launch_bounds__(kThreads) rope_kv(RopeArguments p) {
  const int row = p.row0 + blockIdx.x;
  const int head_dim = p.cache.head_dim, kv_heads = p.cache.kv_heads;
  const int64_t q_width = int64_t{p.q_heads} * head_dim, kv_width = int64_t{kv_heads} * head_dim;
  float* const q = p.qkv + row * (q_width + 2 * kv_width);
  float* const k = q + q_width;
  float* const v = k + kv_width;
  if (p.clip > 0.0f) {
    for (int64_t i = threadIdx.x; i < q_width + 2 * kv_width; i += kThreads) {
      q[i] = q[i] < -p.clip ? -p.clip : q[i] > p.clip ? p.clip : q[i];
    }
    __syncthreads();
  }
  if (p.norm_after == 0) {
    normalize_heads(q, q_width, p.q_norm);
    normalize_heads(k, kv_width, p.k_norm);
  }
  const int position = p.position[row];
  if (p.pairs > 0) rotate_heads(q, p.q_heads + kv_heads, p, position);
  if (p.norm_after != 0) {
    normalize_heads(q, q_width, p.q_norm);
    normalize_heads(k, kv_width, p.k_norm);
  }
  normalize_heads(v, kv_width, p.v_norm);
  if (p.query_beta != 0.0f) {
    const float turns = floorf(__fdiv_rn(static_cast<float>(position + p.query_shift), p.query_span));
    const float factor = __fmaf_rn(p.query_beta, logf(__fadd_rn(1.0f, turns)), 1.0f);
    for (int64_t i = threadIdx.x; i < q_width; i += kThreads) q[i] = __fmul_rn(q[i], factor);
  }
  const int slot = p.kv_slot[row];
  const int64_t page = slot / p.cache.page_tokens;
  const int offset = slot % p.cache.page_tokens;
  for (int vector = threadIdx.x / 32; vector < 2 * kv_heads; vector += kWarps) {
    const int which = vector / kv_heads, head = vector % kv_heads;
    store_vector(p.cache, cache_address(p.cache, page, offset, which, head), k + int64_t{vector} * head_dim);
  }
}

namespace {

// The positions of a split that a row sees, counted from the tile's first.
struct Seen {
  int begin, end, last;  // last: its own position
};

// What a split gives of a query: its maximum and sum, and its sum of values [head_dim].
struct Partial {
  float *stat, *value;
};
__device__ __forceinline__ Partial partial_of(const AttentionArguments& p, int64_t row, int split, int head) {
  const int head_dim = p.cache.head_dim;
  float* const all = p.partial + (row * p.splits + split) * partial_floats(p.q_heads, head_dim);
  return {all + head * 2, all + p.q_heads * 2 + int64_t{head} * head_dim};
}

template <class T>
struct Split {
  const AttentionArguments& p;
  int row0, rows, begin, count, kv_head;  // of the tile; positions that any of its rows sees
  const Seen* seen;                       // [rows]
  float (&weight)[kSplitQueries][kSplitPositions];
  const T* (&key)[kSplitPositions];  // of each position
  // int8: of its key and of its value.
  float (&key_scale)[kSplitPositions], (&value_scale)[kSplitPositions];
  float (&some)[kQueriesAtOnce][32 * kLaneDims];  // queries while keys pass

  static constexpr bool kScaled = sizeof(T) == 1;

  __device__ int64_t value_distance() const {
    return int64_t{p.cache.kv_heads} * p.cache.page_tokens;
  }  // vectors
  __device__ const float* query(int row, int head) const {
    return p.qkv + (row0 + row) * p.qkv_stride + int64_t{head} * p.cache.head_dim;
  }

  __device__ void find_keys() {
    const int32_t* const table = p.page_table + int64_t{p.sequence[row0]} * p.page_stride;
    for (int j = threadIdx.x; j < count; j += kThreads) {
      const int position = begin + j;
      const CacheAddress at = cache_address(p.cache, table[position / p.cache.page_tokens],
                                            position % p.cache.page_tokens, 0, kv_head);
      key[j] = reinterpret_cast<const T*>(at.vector);
      if (!kScaled) continue;
      key_scale[j] = at.scale[0];
      value_scale[j] = at.scale[value_distance()];
    }
  }

  // weight [rows, heads][count] = scores. A warp takes every kWarps-th position, a lane every 32nd dimension;
  // some queries stay in registers while the keys pass.
  __device__ void score(int first_head, int heads) {
    const int lane = threadIdx.x % 32, head_dim = p.cache.head_dim, queries = rows * heads;
    for (int first = 0; first < queries; first += kQueriesAtOnce) {
      const int chunk = min(kQueriesAtOnce, queries - first);
      __syncthreads();  // nobody reads the queries before any more
      for (int i = threadIdx.x; i < chunk * head_dim; i += kThreads) {
        const int n = i / head_dim, d = i % head_dim, at = first + n;
        some[n][d] = query(at / heads, first_head + at % heads)[d];
      }
      __syncthreads();
      float q[kQueriesAtOnce][kLaneDims];
#pragma unroll
      for (int n = 0; n < kQueriesAtOnce; ++n) {
#pragma unroll
        for (int i = 0; i < kLaneDims; ++i)
          q[n][i] = n < chunk && lane + 32 * i < head_dim ? some[n][lane + 32 * i] : 0.0f;
      }
      for (int j = threadIdx.x / 32; j < count; j += kWarps) {
        float own[kLaneDims];
#pragma unroll
        for (int i = 0; i < kLaneDims; ++i)
          own[i] = lane + 32 * i < head_dim ? element(key[j], lane + 32 * i) : 0.0f;
#pragma unroll
        for (int n = 0; n < kQueriesAtOnce; ++n) {
          const int at = first + n;
          if (at >= queries) continue;
          const Seen& own_seen = seen[at / heads];
          if (j < own_seen.begin || j >= own_seen.end) continue;
          float sum = 0.0f;
#pragma unroll
          for (int i = 0; i < kLaneDims; ++i) {
            if (32 * i < head_dim) sum = __fmaf_rn(q[n][i], own[i], sum);
          }
          const float value = scaled(warp_sum(sum), j, first_head + at % heads, own_seen.last);
          if (lane == 0) weight[at][j] = value;
        }
      }
    }
  }

  __device__ float scaled(float sum, int j, int head, int last) const {
    if (kScaled) sum = __fmul_rn(sum, key_scale[j]);
    sum = __fmul_rn(sum, p.scale);
    if (p.slopes != nullptr) {
      sum = __fadd_rn(sum, __fmul_rn(p.slopes[head], static_cast<float>(begin + j - last)));
    }
    return p.softcap > 0.0f ? __fmul_rn(p.softcap, tanhf(__fdiv_rn(sum, p.softcap))) : sum;
  }

  // The scores' exponentials; of each query their maximum and sum. A warp takes every kWarps-th
  // query. NaN shows: it is left out of the maximum, not of the sum.
  template <class Place>
  __device__ void soften(int heads, Place&& place) {
    const int lane = threadIdx.x % 32;
    for (int at = threadIdx.x / 32; at < rows * heads; at += kWarps) {
      const Seen& own_seen = seen[at / heads];
      float* const own = weight[at];
      float top = -INFINITY;
      for (int j = own_seen.begin + lane; j < own_seen.end; j += 32) top = fmaxf(top, own[j]);
#pragma unroll
      for (int distance = 16; distance > 0; distance /= 2) {
        top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, distance));
      }
      float total = 0.0f;
      for (int j = own_seen.begin + lane; j < own_seen.end; j += 32) {
        own[j] = own[j] == -INFINITY ? 0.0f : expf(__fsub_rn(own[j], top));
        total = __fadd_rn(total, own[j]);
      }
      total = warp_sum(total);
      if (lane == 0 && own_seen.begin < own_seen.end) {
        const Partial to = place(at / heads, at % heads);
        to.stat[0] = top;
        to.stat[1] = total;
      }
    }
  }

  // Of each query the values' sums in ascending positions. A thread has a dimension of
  // some queries at a time.
  template <class Place>
  __device__ void add_values(int heads, Place&& place) {
    const int head_dim = p.cache.head_dim, queries = rows * heads;
    const int64_t distance = value_distance();
    const int parts = (queries + kQueriesAtOnce - 1) / kQueriesAtOnce;
    for (int item = threadIdx.x; item < parts * head_dim; item += kThreads) {
      const int first = item / head_dim * kQueriesAtOnce, d = item % head_dim;
      float sum[kQueriesAtOnce];
#pragma unroll
      for (int n = 0; n < kQueriesAtOnce; ++n) sum[n] = 0.0f;
      for (int j = 0; j < count; ++j) {
        const float value = element(key[j] + distance * head_dim, d);
        const float by_scale = kScaled ? value_scale[j] : 1.0f;
#pragma unroll
        for (int n = 0; n < kQueriesAtOnce; ++n) {
          const int at = first + n;
          if (at >= queries) continue;
          const Seen& own_seen = seen[at / heads];
          if (j < own_seen.begin || j >= own_seen.end) continue;
          const float by = kScaled ? __fmul_rn(weight[at][j], by_scale) : weight[at][j];
          sum[n] = __fmaf_rn(by, value, sum[n]);
        }
      }
#pragma unroll
      for (int n = 0; n < kQueriesAtOnce; ++n) {
        const int at = first + n;
        if (at >= queries || seen[at / heads].begin >= seen[at / heads].end) continue;
        place(at / heads, at % heads).value[d] = sum[n];
      }
    }
  }
};

template <class T>
__device__ void attend_split(const AttentionArguments& p) {
  __shared__ float weight[kSplitQueries][kSplitPositions];
  __shared__ const T* key[kSplitPositions];
  __shared__ float key_scale[kSplitPositions], value_scale[kSplitPositions];
  __shared__ float some[kQueriesAtOnce][32 * kLaneDims];
  __shared__ Seen seen[kTileRows];
  const RowTile tile = p.tiles[p.first_tile + blockIdx.z];
  const int kv_head = blockIdx.y, row0 = tile.row0;
  const auto first_seen = [&](int last) { return p.window > 0 ? max(0, last - p.window + 1) : 0; };
  // Rows of a tile are consecutive positions of one sequence.
  const int first_last = p.position[row0], top_last = first_last + tile.rows - 1;
  const int number = first_seen(first_last) / kSplitPositions + blockIdx.x;
  const int begin = max(first_seen(first_last), number * kSplitPositions);
  const int end = min(top_last + 1, (number + 1) * kSplitPositions);
  if (begin >= end) return;
  if (threadIdx.x < tile.rows) {
    const int last = first_last + threadIdx.x;
    seen[threadIdx.x] = {max(first_seen(last), begin) - begin, min(last + 1, end) - begin, last};
  }
  Split<T> split{p,    row0,   tile.rows, begin,     end - begin, kv_head,
                 seen, weight, key,       key_scale, value_scale, some};
  split.find_keys();
  const int group = p.q_heads / p.cache.kv_heads, at_once = kSplitQueries / tile.rows;
  for (int head = 0; head < group; head += at_once) {
    const int heads = min(at_once, group - head);
    const auto place = [&](int row, int own_head) {
      const int split_of_row = number - first_seen(first_last + row) / kSplitPositions;
      return partial_of(p, row0 - p.row0 + row, split_of_row, kv_head * group + head + own_head);
    };
    __syncthreads();
    split.score(kv_head * group + head, heads);
    __syncthreads();
    split.soften(heads, place);
    __syncthreads();
    split.add_values(heads, place);
  }
}

}  // namespace

// Grid: splits, KV heads, tiles of the launch.
extern "C" __global__ void __launch_bounds__(kThreads) attend_f32(AttentionArguments p) {
  attend_split<float>(p);
}
extern "C" __global__ void __launch_bounds__(kThreads) attend_f16(AttentionArguments p) {
  attend_split<__half>(p);
}
extern "C" __global__ void __launch_bounds__(kThreads) attend_bf16(AttentionArguments p) {
  attend_split<__nv_bfloat16>(p);
}
extern "C" __global__ void __launch_bounds__(kThreads) attend_int8(AttentionArguments p) {
  attend_split<int8_t>(p);
}

// Grid: query heads, rows of the launch.
extern "C" __global__ void __launch_bounds__(kThreads) merge_splits(AttentionArguments p) {
  const int row = p.row0 + blockIdx.y, head = blockIdx.x, head_dim = p.cache.head_dim;
  const int last = p.position[row];
  const int first = p.window > 0 ? max(0, last - p.window + 1) : 0;
  const int splits = last / kSplitPositions - first / kSplitPositions + 1;
  const int64_t step = partial_floats(p.q_heads, head_dim);
  const Partial from = partial_of(p, blockIdx.y, 0, head);
  __shared__ float2 stat[kThreads];  // of splits from `base` on
  const auto take = [&](int base) {
    __syncthreads();
    const int s = base + threadIdx.x;
    if (s < splits) stat[threadIdx.x] = *reinterpret_cast<const float2*>(from.stat + s * step);
    __syncthreads();
  };
  const float sink = p.sinks != nullptr ? p.sinks[head] : -INFINITY;
  float top = sink;
  for (int base = 0; base < splits; base += kThreads) {
    take(base);
    for (int s = 0; s < kThreads && base + s < splits; ++s) top = fmaxf(top, stat[s].x);
  }
  float total = p.sinks != nullptr ? expf(__fsub_rn(sink, top)) : 0.0f;
  constexpr int kOwn = 32 * kLaneDims / kThreads;  // dimensions of a thread
  float sum[kOwn] = {};
  for (int base = 0; base < splits; base += kThreads) {
    if (splits > kThreads) take(base);
    for (int s = 0; s < kThreads && base + s < splits; ++s) {
      const float2 own = stat[s];
      const float factor = own.x == -INFINITY ? 0.0f : expf(__fsub_rn(own.x, top));
      total = __fmaf_rn(factor, own.y, total);
#pragma unroll
      for (int i = 0; i < kOwn; ++i) {
        const int d = threadIdx.x + i * kThreads;
        if (d < head_dim) sum[i] = __fmaf_rn(factor, from.value[(base + s) * step + d], sum[i]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    const int d = threadIdx.x + i * kThreads;
    if (d < head_dim) p.out[(int64_t{row} * p.q_heads + head) * head_dim + d] = __fdiv_rn(sum[i], total);
  }
}

}  // namespace lorikeet::cuda
