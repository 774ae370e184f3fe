#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <utility>

#include "backend/cpu/cpu_backend.h"
#include "backend/shared/kv_type.h"

namespace lorikeet::cpu {
namespace {

// Keys lie transposed in their page: [head_dim][page_tokens].
template <class U>
void scatter_key(std::byte* block, const void* key, int64_t head_dim, int64_t page_tokens, int64_t offset) {
  const U* const from = static_cast<const U*>(key);
  U* const to = reinterpret_cast<U*>(block) + offset;
  for (int64_t d = 0; d < head_dim; ++d) to[d * page_tokens] = from[d];
}

float query_scale(const QueryScaling& scaling, int32_t position) {
  const double turns =
      std::floor(static_cast<double>(position + scaling.shift) / static_cast<double>(scaling.span));
  return static_cast<float>(1.0 + static_cast<double>(scaling.beta) * std::log(1.0 + turns));
}

}  // namespace

Result<std::unique_ptr<Rotation>> CpuBackend::rotation_create(const RotationDesc& desc) {
  auto rotation = std::make_unique<CpuRotation>(desc, scratch_bytes_);
  const size_t angles = 2 * desc.inv_freq.size() * static_cast<size_t>(most_rows_);
  if (Status s = rotation->angles.reserve(angles); !s) return s.error();
  return std::unique_ptr<Rotation>(std::move(rotation));
}

// cos [T, R / 2] then sin [T, R / 2]. The angle is rounded to float32 before the cosine, as Hugging Face
// does: at long positions a more exact angle would be a different model.
const float* CpuBackend::rope_angles(const CpuRotation& rotation) {
  const RotationDesc& rope = rotation.desc;
  const int64_t rows = step_.rows();
  const auto half = static_cast<int64_t>(rope.inv_freq.size());
  float* const cos = rotation.angles.floats(static_cast<size_t>(2 * rows * half));
  if (std::exchange(rotation.step, step_number_) == step_number_) return cos;
  for_rows(rows, 32 * half, [&](int64_t row, int) {
    const auto position = static_cast<float>(step_.input().position[static_cast<size_t>(row)]);
    for (int64_t i = 0; i < half; ++i) {
      const float angle = position * rope.inv_freq[static_cast<size_t>(i)];
      cos[row * half + i] = static_cast<float>(std::cos(static_cast<double>(angle))) * rope.attention_factor;
      cos[(rows + row) * half + i] =
          static_cast<float>(std::sin(static_cast<double>(angle))) * rope.attention_factor;
    }
  });
  return cos;
}

// x [count]: the heads of one row, one after the other
void CpuBackend::normalize_heads(const HeadNorm& norm, float* x, int64_t count, int64_t row) const {
  if (norm.gain == nullptr) return;
  const CpuNormGain& own = gain_of_row(*norm.gain, norm.segments, row);
  assert(count % own.row_width() == 0);
  for (int64_t at = 0; at < count; at += own.row_width())
    normalize(own, x + at, x + at, nullptr, norm.epsilon);
}

void CpuBackend::rope_kv(TensorView qkv, KvCache& kv, int layer, const Rotation& rotation,
                         const AttentionDesc& attention, const HeadNorms& norms) {
  if (!step_.runs()) return;
  const auto& turn = static_cast<const CpuRotation&>(rotation);
  const RotationDesc& rope = turn.desc;
  const StepInput& step = step_.input();
  const auto& cache = static_cast<const CpuKvCache&>(kv);
  const int64_t head_dim = attention.head_dim;
  const int64_t q_width = attention.q_width(), kv_width = attention.kv_width(), width = attention.width();
  const bool has_keys = attention.projected != Projected::q;
  const int64_t rows = step_.rows();
  const auto half = static_cast<int64_t>(rope.inv_freq.size());
  assert(head_dim == cache.head_dim(layer) && attention.kv_heads == cache.kv_heads(layer));
  assert(2 * half <= head_dim && head_dim <= kMaxHeadDim);
  const float* const cos = half == 0 ? nullptr : rope_angles(turn);
  const float* const sin = half == 0 ? nullptr : cos + rows * half;
  float* const first = f32(qkv);
  for_rows(rows, width, [&](int64_t row, int thread) {
    float* const q = first + row * width + attention.q_begin();
    float* const k = q + q_width;
    float* const rotated_end = has_keys ? k + kv_width : k;
    float* v = k + kv_width;
    if (attention.clip > 0) {
      for (int64_t i = 0; i < width - attention.q_begin(); ++i)
        q[i] = std::clamp(q[i], -attention.clip, attention.clip);
    }
    if (attention.projected == Projected::qk) {  // a key is its value before anything is done to it
      v = thread_scratch_[static_cast<size_t>(thread)].floats(static_cast<size_t>(kv_width + kSlack));
      std::copy_n(k, kv_width, v);
    }
    const auto normalize_both = [&] {
      normalize_heads(norms.q, q, q_width, row);
      if (has_keys) normalize_heads(norms.k, k, kv_width, row);
    };
    if (!norms.after_rope) normalize_both();
    for (float* head = q; half > 0 && head < rotated_end; head += head_dim) {
      if (rope.interleaved) {
        kernels_.rotate_pairs(head, cos + row * half, sin + row * half, static_cast<int>(half));
      } else {
        kernels_.rotate_row(head, head + half, cos + row * half, sin + row * half, static_cast<int>(half));
      }
    }
    if (norms.after_rope) normalize_both();
    if (attention.query_scaling.beta != 0.0f) {
      const int32_t position = step.position[static_cast<size_t>(row)];
      kernels_.scale_row(q, q, query_scale(attention.query_scaling, position), q_width);
    }
    if (!has_keys) return;
    normalize_heads(norms.v, v, kv_width, row);
    const int32_t slot = step.kv_slot[static_cast<size_t>(row)];
    for (int head = 0; head < attention.kv_heads; ++head) {
      store_kv(cache, {layer, slot, head}, k + head * head_dim, v + head * head_dim);
    }
  });
}

// One head's key and value of a row.
void CpuBackend::store_kv(const CpuKvCache& cache, const KvPlace& place, const float* key,
                          const float* value) const {
  const KvDesc& desc = cache.desc;
  const int head_dim = cache.head_dim(place.layer);
  const int64_t page = place.slot / desc.page_tokens;
  const int64_t offset = place.slot % desc.page_tokens;
  std::byte* const keys = cache.keys(place.layer, page, place.head);
  std::byte* const to = cache.values(place.layer, page, place.head) +
                        static_cast<size_t>(offset * head_dim) * dtype_bytes(desc.type);
  if (desc.type == DType::int8) {
    alignas(64) int8_t q[kMaxHeadDim];
    cache.key_scales(place.layer, page, place.head)[offset] =
        quantized_kernels_.quantize_vector(q, key, head_dim);
    scatter_key<int8_t>(keys, q, head_dim, desc.page_tokens, offset);
    cache.value_scales(place.layer, page, place.head)[offset] =
        quantized_kernels_.quantize_vector(q, value, head_dim);
    std::memcpy(to, q, static_cast<size_t>(head_dim));
    return;
  }
  alignas(64) float stored[kMaxHeadDim];
  const auto store = kernels_.store_row[static_cast<int>(desc.type)];
  store(stored, key, head_dim);
  if (desc.type == DType::f32) {
    scatter_key<uint32_t>(keys, stored, head_dim, desc.page_tokens, offset);
  } else {
    scatter_key<uint16_t>(keys, stored, head_dim, desc.page_tokens, offset);
  }
  store(to, value, head_dim);
}

}  // namespace lorikeet::cpu
