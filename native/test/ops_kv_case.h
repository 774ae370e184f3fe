// Sequences with known queries, keys and values, laid out over shuffled pages, and steps over parts of them.
#pragma once

#include <algorithm>
#include <numeric>

#include "backend/shared/kv_type.h"
#include "backend/shared/quantization.h"
#include "ops_fixture.h"

namespace lorikeet::test {

struct HeadShape {
  int q_heads = 4;
  int kv_heads = 2;
  int head_dim = 16;
  int width() const { return (q_heads + 2 * kv_heads) * head_dim; }
};

constexpr DType kAllKvTypes[] = {DType::f32, DType::f16, DType::bf16, DType::int8};

// What the cache is to hold of a vector.
inline std::vector<double> as_cached(const float* from, int count, DType type) {
  std::vector<double> result;
  std::vector<int8_t> q(static_cast<size_t>(count));
  const float scale = type == DType::int8 ? quantize_activations(q.data(), from, count) : 0.0f;
  for (int i = 0; i < count; ++i) {
    if (type == DType::int8) {
      result.push_back(static_cast<double>(scale) * q[static_cast<size_t>(i)]);
      continue;
    }
    std::byte bytes[4];
    store_f32(bytes, type, 0, from[i]);
    result.push_back(load_f32(bytes, type, 0));
  }
  return result;
}

struct SequenceCase {
  int length = 0;
  std::vector<float> qkv;      // [length, (HQ + 2 HKV) D] q | k | v of every position, before rotation
  std::vector<double> cached;  // the same; k and v as an unrotated cache keeps them
  std::vector<int32_t> pages;  // page table
};

struct KvCase {
  HeadShape heads;
  int page_tokens = 16;
  DType type = DType::f32;
  int pages = 0;
  std::vector<SequenceCase> sequences;

  double key(int sequence, int position, int kv_head, int d) const {
    return at(sequence, position, heads.q_heads + kv_head, d);
  }
  double value(int sequence, int position, int kv_head, int d) const {
    return at(sequence, position, heads.q_heads + heads.kv_heads + kv_head, d);
  }
  double at(int sequence, int position, int head, int d) const {
    return sequences[static_cast<size_t>(sequence)]
        .cached[static_cast<size_t>(position * heads.width() + head * heads.head_dim + d)];
  }
};

inline KvCase random_kv(Random& random, HeadShape heads, int page_tokens, DType type,
                        std::vector<int> lengths) {
  KvCase result{heads, page_tokens, type, 3, {}};
  for (const int length : lengths) result.pages += (length + page_tokens - 1) / page_tokens;
  std::vector<int32_t> free(static_cast<size_t>(result.pages));
  std::iota(free.begin(), free.end(), 0);
  for (size_t i = free.size() - 1; i > 0; --i)
    std::swap(free[i], free[static_cast<size_t>(random.integer(0, static_cast<int>(i)))]);
  for (const int length : lengths) {
    SequenceCase sequence{length, random_floats(random, int64_t{length} * heads.width(), -2, 2), {}, {}};
    const int queries = heads.q_heads * heads.head_dim;
    for (int64_t i = 0; i < int64_t{length} * heads.width(); i += heads.head_dim) {
      const float* const from = &sequence.qkv[static_cast<size_t>(i)];
      const bool query = i % heads.width() < queries;
      const auto vector = as_cached(from, heads.head_dim, query ? DType::f32 : type);
      sequence.cached.insert(sequence.cached.end(), vector.begin(), vector.end());
    }
    const auto pages = static_cast<size_t>((length + page_tokens - 1) / page_tokens);
    sequence.pages.assign(free.end() - static_cast<int64_t>(pages), free.end());
    free.resize(free.size() - pages);
    result.sequences.push_back(std::move(sequence));
  }
  return result;
}

// Positions [begin, end) of a sequence in one step.
struct Chunk {
  int sequence, begin, end;
};

// The arrays behind a StepInput, and the queries, keys and values of its rows.
struct StepCase {
  std::vector<int32_t> token, position, kv_slot, q_start{0}, kv_len, page_table;
  int32_t ld = 0;  // of page_table
  std::vector<float> qkv;

  StepInput input() const {
    StepInput input;
    input.token = token;
    input.position = position;
    input.kv_slot = kv_slot;
    input.q_start = q_start;
    input.kv_len = kv_len;
    input.page_table = page_table;
    input.page_table_stride = ld;
    return input;
  }
  int64_t rows() const { return static_cast<int64_t>(token.size()); }
};

inline StepCase step_of(const KvCase& kv, const std::vector<Chunk>& chunks) {
  StepCase step;
  for (const SequenceCase& sequence : kv.sequences) {
    step.ld = std::max(step.ld, static_cast<int32_t>(sequence.pages.size()));
  }
  for (const Chunk& chunk : chunks) {
    const SequenceCase& sequence = kv.sequences[static_cast<size_t>(chunk.sequence)];
    for (int position = chunk.begin; position < chunk.end; ++position) {
      step.token.push_back(0);
      step.position.push_back(position);
      step.kv_slot.push_back(sequence.pages[static_cast<size_t>(position / kv.page_tokens)] * kv.page_tokens +
                             position % kv.page_tokens);
    }
    const auto width = static_cast<int64_t>(kv.heads.width());
    step.qkv.insert(step.qkv.end(), sequence.qkv.begin() + chunk.begin * width,
                    sequence.qkv.begin() + chunk.end * width);
    step.q_start.push_back(static_cast<int32_t>(step.token.size()));
    step.kv_len.push_back(chunk.end);
    auto table = sequence.pages;
    table.resize(static_cast<size_t>(step.ld), -1);  // never looked at
    step.page_table.insert(step.page_table.end(), table.begin(), table.end());
  }
  return step;
}

inline std::unique_ptr<KvCache> create_kv(Backend& backend, const KvCase& kv, int layers) {
  const KvLayer layer{kv.heads.kv_heads, kv.heads.head_dim};
  auto cache = backend.kv_create({.layers = std::vector<KvLayer>(static_cast<size_t>(layers), layer),
                                  .pages = kv.pages,
                                  .page_tokens = kv.page_tokens,
                                  .type = kv.type});
  REQUIRE(cache);
  return std::move(*cache);
}

inline std::unique_ptr<Rotation> rotation_of(Backend& backend, const RotationDesc& desc) {
  auto rotation = backend.rotation_create(desc);
  REQUIRE(rotation);
  return std::move(*rotation);
}

// Frequencies of zero: the rotation is the identity, exactly.
inline RotationDesc no_rotation(int head_dim) {
  return {std::vector<float>(static_cast<size_t>(head_dim / 2), 0.0f), 1.0f};
}

// A layer of the cache.
struct CacheLayer {
  KvCache& cache;
  int layer;
};

// The rows' q | k | v after rope_kv.
inline std::vector<float> rotate(Backend& backend, CacheLayer at, const StepCase& step,
                                 const Rotation& rotation, const AttentionDesc& desc,
                                 const HeadNorms& norms = {}) {
  const auto qkv = on_device(backend, step.qkv, int64_t{desc.q_heads + 2 * desc.kv_heads} * desc.head_dim);
  submit(backend, step.input(),
         [&] { backend.rope_kv(whole(*qkv), at.cache, at.layer, rotation, desc, norms); });
  return from_device(backend, *qkv);
}

// Writes keys and values of a step's rows without attending: a cheap way to a long context.
inline void fill(Backend& backend, CacheLayer at, const StepCase& step, const AttentionDesc& desc) {
  if (step.rows() == 0) return;
  (void)rotate(backend, at, step, *rotation_of(backend, no_rotation(desc.head_dim)), desc);
}

// Runs one step of rope_kv, without rotation, and attention; out [rows, HQ D].
inline std::vector<float> attend(Backend& backend, CacheLayer at, const StepCase& step,
                                 const AttentionDesc& desc) {
  const int64_t width = int64_t{desc.q_heads} * desc.head_dim;
  const auto rotation = rotation_of(backend, no_rotation(desc.head_dim));
  const auto qkv = on_device(backend, step.qkv, desc.width());
  const auto out =
      on_device(backend, std::vector<float>(static_cast<size_t>(step.rows() * width), NAN), width);
  submit(backend, step.input(), [&] {
    backend.rope_kv(whole(*qkv), at.cache, at.layer, *rotation, desc);
    backend.attention(whole(*out), whole(*qkv), at.cache, at.layer, desc);
  });
  return from_device(backend, *out);
}

}  // namespace lorikeet::test
