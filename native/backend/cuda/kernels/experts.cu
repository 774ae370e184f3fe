// Mixtures of experts: the router's choice, the rows sorted by expert, products of expert and adapter for
// what each chose, and the sum of that.
//
// Nothing of it goes through the host: which expert a row takes is known on the device alone, so grids are
// sized by what the rows can need at most and blocks without work end at once. A row's result depends on its
// own input alone: its choice is its own, every product of a place is its own, and what its experts gave is
// added up in the order in which it chose them.

#include "backend/cuda/kernels/dense.cuh"

namespace lorikeet::cuda {
namespace {

constexpr int kSortThreads = 256;
constexpr int kSortWarps = kSortThreads / 32;

// Larger first, then the lower number; NaN last (backend/shared/routing.cc).
__device__ __forceinline__ bool better(double left, int left_number, double right, int right_number) {
  const bool left_nan = isnan(left), right_nan = isnan(right);
  if (left_nan != right_nan) return right_nan;
  if (left != right && !left_nan) return left > right;
  return left_number < right_number;
}

__device__ __forceinline__ double warp_sum(double value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value = __dadd_rn(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}

// One row of a router, by one warp.
struct Row {
  const RouterArguments& p;
  double* score;  // [experts]
  double* rank;   // [experts] what is chosen by
  double* group;  // [groups]

  __device__ void score_all(const float* logits) {
    const int lane = threadIdx.x;
    if (p.sigmoid != 0) {
      for (int e = lane; e < p.experts; e += 32)
        score[e] = 1.0 / (1.0 + exp(-static_cast<double>(logits[e])));
    } else {
      float top = -INFINITY;
      for (int e = lane; e < p.experts; e += 32) top = fmaxf(top, logits[e]);
#pragma unroll
      for (int distance = 16; distance > 0; distance /= 2) {
        top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, distance));
      }
      double total = 0.0;
      for (int e = lane; e < p.experts; e += 32) {
        score[e] = exp(static_cast<double>(logits[e]) - static_cast<double>(top));
        total = __dadd_rn(total, score[e]);
      }
      total = warp_sum(total);
      for (int e = lane; e < p.experts; e += 32) score[e] = __ddiv_rn(score[e], total);
    }
    for (int e = lane; e < p.experts; e += 32) {
      rank[e] = p.bias != nullptr ? __dadd_rn(score[e], p.bias[e]) : score[e];
    }
    __syncwarp();
  }

  // Experts outside of the best groups, by the sum of a group's two best, cannot be chosen.
  __device__ void leave_best_groups() {
    const int lane = threadIdx.x, size = p.experts / p.groups;
    for (int g = lane; g < p.groups; g += 32) {
      double best = -INFINITY, second = -INFINITY;
      for (int i = 0; i < size; ++i) {
        const double own = rank[g * size + i];
        if (own > best) {
          second = best;
          best = own;
        } else if (own > second) {
          second = own;
        }
      }
      group[g] = size > 1 ? __dadd_rn(best, second) : best;
    }
    __syncwarp();
    for (int g = lane; g < p.groups; g += 32) {
      int before = 0;
      for (int other = 0; other < p.groups; ++other) {
        if (better(group[other], other, group[g], g)) ++before;
      }
      if (before < p.chosen_groups) continue;
      for (int i = 0; i < size; ++i) rank[g * size + i] = -INFINITY;
    }
    __syncwarp();
  }

  // The best of those whose bit in `taken` (bit i: expert lane + 32 i) is not set, in every lane.
  __device__ int best(uint32_t taken) const {
    double top = 0.0;
    int number = p.experts;  // none
    for (int e = threadIdx.x; e < p.experts; e += 32) {
      if ((taken >> (e / 32) & 1u) != 0) continue;
      if (number == p.experts || better(rank[e], e, top, number)) {
        top = rank[e];
        number = e;
      }
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      const double other = __shfl_xor_sync(kAllLanes, top, distance);
      const int other_number = __shfl_xor_sync(kAllLanes, number, distance);
      if (other_number == p.experts) continue;
      if (number == p.experts || better(other, other_number, top, number)) {
        top = other;
        number = other_number;
      }
    }
    return number;
  }

  __device__ void choose(int32_t* expert, float* weight) {
    uint32_t taken = 0;
    double total = p.renormalize == 0 ? 1.0 : p.sigmoid != 0 ? 1e-20 : 0.0;
    for (int i = 0; i < p.chosen; ++i) {
      const int number = best(taken);
      if (number % 32 == threadIdx.x) taken |= 1u << (number / 32);
      if (p.renormalize != 0) total = __dadd_rn(total, score[number]);
      if (threadIdx.x == 0) expert[i] = number;
    }
    __syncwarp();
    for (int i = threadIdx.x; i < p.chosen; i += 32) {
      double own = __dmul_rn(__ddiv_rn(score[expert[i]], total), p.scale);
      if (p.factor != nullptr) own = __dmul_rn(own, p.factor[expert[i]]);
      weight[i] = __double2float_rn(own);
    }
  }
};

}  // namespace

// Which experts a row goes to, best first, and with what weights (backend/shared/routing.h): in float64, so
// that all backends choose alike. Grid: rows; block: one warp.
extern "C" __global__ void __launch_bounds__(32) route_rows(RouterArguments p) {
  __shared__ double score[kMostExperts], rank[kMostExperts], group[kMostExperts];
  Row row{p, score, rank, group};
  row.score_all(p.logits + int64_t{blockIdx.x} * p.experts);
  if (p.groups > 1) row.leave_best_groups();
  row.choose(p.expert + int64_t{blockIdx.x} * p.chosen, p.weight + int64_t{blockIdx.x} * p.chosen);
}

// Sorts by expert; rows of one stay in their order. A block takes one expert and counts for itself what comes
// before it. Grid: experts.
extern "C" __global__ void __launch_bounds__(kSortThreads) sort_places(SortArguments p) {
  __shared__ int32_t count[kMostExperts];
  __shared__ int32_t begin, first_item, of_warp[kSortWarps];
  const int expert = blockIdx.x, experts = gridDim.x;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int e = threadIdx.x; e < experts; e += kSortThreads) count[e] = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < p.places; i += kSortThreads) atomicAdd(&count[p.chosen[i]], 1);
  __syncthreads();
  if (warp == 0) {
    uint32_t places = 0, items = 0;
    for (int e = lane; e < expert; e += 32) {
      places += count[e];
      items += (count[e] + p.item_rows - 1) / p.item_rows;
    }
    places = __reduce_add_sync(kAllLanes, places);
    items = __reduce_add_sync(kAllLanes, items);
    if (lane == 0) {
      begin = places;
      first_item = items;
    }
  }
  __syncthreads();
  const int own = count[expert], end_item = first_item + (own + p.item_rows - 1) / p.item_rows;
  for (int i = first_item + threadIdx.x; i < end_item; i += kSortThreads) {
    const int at = (i - first_item) * p.item_rows;
    p.items[i] = {expert, begin + at, min(p.item_rows, own - at), 0};
  }
  if (expert == experts - 1) {
    for (int i = end_item + threadIdx.x; i < p.most_items; i += kSortThreads) p.items[i] = {0, 0, 0, 0};
  }
  int next = begin;
  for (int first = 0; first < p.places; first += kSortThreads) {
    const int i = first + threadIdx.x;
    const bool chose = i < p.places && p.chosen[i] == expert;
    const uint32_t votes = __ballot_sync(kAllLanes, chose);
    if (lane == 0) of_warp[warp] = __popc(votes);
    __syncthreads();
    int at = next + __popc(votes & ((1u << lane) - 1u));
#pragma unroll
    for (int w = 0; w < kSortWarps; ++w) {
      if (w < warp) at += of_warp[w];
      next += of_warp[w];
    }
    if (chose) {
      p.place[i] = at;
      p.row[at] = p.row0 + i / p.chosen_of_row;
      p.expert[at] = expert;
    }
    __syncthreads();  // all have read of_warp
  }
}

// p of each item's expert: w, type and bias are its own, `biased` says whether that is added. Grid: blocks of
// outputs (dense.cuh), 1, items.
extern "C" __global__ void __launch_bounds__(kDenseThreads)
    dense_experts(DenseProduct p, const ExpertMap* maps, const ExpertItem* items, int biased) {
  const ExpertItem& item = items[blockIdx.z];
  if (item.rows == 0) return;
  const ExpertMap& map = maps[item.expert];
  const int64_t first = item.first;
  p.w = map.matrix.w;
  p.type = map.matrix.type;
  p.bias = biased != 0 ? map.bias : nullptr;
  p.rows = item.rows;
  p.y += first * p.y_stride;
  if (p.x_row != nullptr) {
    p.x_row += first;
  } else {
    p.x += first * p.x_stride;
  }
  dense<true>(p);
}

namespace {

// Null: the row has no adapter.
__device__ const ExpertSegment* segment_of(const ExpertDeltas& d, int row) {
  int low = 0, high = d.segment_count;  // the last that begins at or before the row is in [low, high)
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (d.segments[middle].row0 <= row) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const ExpertSegment& found = d.segments[low];
  return found.row0 <= row && row < found.row0 + found.rows ? &found : nullptr;
}

__device__ const ExpertPart& part_of(const ExpertDeltas& d, const ExpertSegment& segment, int place,
                                     int part) {
  return segment.parts[d.expert[place] * d.parts + part];
}

// Places from this one on that share its expert and its segment: up to the next multiple of kDenseRows. 0:
// the place before has them in its run.
__device__ int run_of(const ExpertDeltas& d, const ExpertSegment* segment, int place) {
  const auto same = [&](int other) {
    return d.expert[other] == d.expert[place] && segment_of(d, d.row[other]) == segment;
  };
  if (place % kDenseRows != 0 && same(place - 1)) return 0;
  int end = place + 1;
  while (end < d.places && end % kDenseRows != 0 && same(end)) ++end;
  return end - place;
}

}  // namespace

// Of adapters, A x (`expand` 0: p.x is x and p.y the products of all parts) or y += B A x (p.x is those, p.y
// is y). Grid: blocks of outputs (dense.cuh), 1, places * parts; p.x_row as in dense_experts.
extern "C" __global__ void __launch_bounds__(kDenseThreads)
    dense_deltas(DenseProduct p, ExpertDeltas d, int first_block, int expand) {
  const int64_t place = (first_block + blockIdx.z) / d.parts;
  const ExpertSegment* const segment = segment_of(d, d.row[place]);
  if (segment == nullptr) return;
  const ExpertPart& part = part_of(d, *segment, place, (first_block + blockIdx.z) % d.parts);
  if (part.rank == 0) return;
  p.rows = run_of(d, segment, place);
  if (p.rows == 0) return;
  if (p.x_row != nullptr) {
    p.x_row += place;
  } else {
    p.x += place * p.x_stride;
  }
  p.y += place * p.y_stride;
  if (expand != 0) {
    p.x += part.s_offset;
    p.y += part.first;
    p.w = part.b;
    p.type = part.b_type;
    p.k = part.rank;
    p.n = part.n;
    p.add = 1;
  } else {
    p.y += part.s_offset;
    p.w = part.a;
    p.type = part.a_type;
    p.n = part.rank;
    p.factor = part.factor;
    p.scale = __fmul_rn(part.scale, segment->scale);
  }
  dense<true>(p);
}

// y [places, n] = (y + scale * lora_bias) * ratio + bias, as finish_items has it. Grid: outputs / 256,
// places.
extern "C" __global__ void __launch_bounds__(256) finish_experts(float* y, int n, ExpertDeltas d) {
  const int at = blockIdx.x * 256 + threadIdx.x, place = blockIdx.y;
  if (at >= n) return;
  float& to = y[int64_t{place} * n + at];
  float value = to;
  if (const ExpertSegment* const segment = segment_of(d, d.row[place])) {
    for (int number = 0; number < d.parts; ++number) {
      const ExpertPart& part = part_of(d, *segment, place, number);
      const int own = at - part.first;
      if (part.rank == 0 || own < 0 || own >= part.n) continue;
      if (part.lora_bias != nullptr) value = __fmaf_rn(segment->scale, part.lora_bias[own], value);
      if (part.ratio != nullptr) value = __fmul_rn(value, part.ratio[own]);
    }
  }
  const float* const bias = d.maps[d.expert[place]].bias;
  to = bias != nullptr ? __fadd_rn(value, bias[at]) : value;
}

// y [rows, cols] = (or, `add`, +=) the sum of weight * its expert's row, in the order of choice. Grid: cols /
// 256, rows.
extern "C" __global__ void __launch_bounds__(256)
    add_experts(float* y, const float* outputs, const float* weight, const int32_t* place, int chosen,
                int64_t cols, int add) {
  const int64_t at = blockIdx.x * 256 + threadIdx.x, row = blockIdx.y;
  if (at >= cols) return;
  float& to = y[row * cols + at];
  float sum = add != 0 ? to : 0.0f;
  for (int64_t i = row * chosen; i < (row + 1) * chosen; ++i) {
    sum = __fmaf_rn(weight[i], outputs[place[i] * cols + at], sum);
  }
  to = sum;
}

}  // namespace lorikeet::cuda
