#pragma once
#include <type_traits>

#include "simulator/machine/numbers.h"
#include "simulator/machine/warp.h"
#include "simulator/ptx/types.h"

namespace lorikeet::simulator {

// Handlers made of a function of one lane. All 32 are computed, whoever is active: a plain loop that the
// compiler makes vectors of; only the active ones are stored. So functions must be defined for whatever
// inactive lanes hold.

template <>
inline Half unpack<Half>(uint32_t stored) {
  return {static_cast<uint16_t>(stored)};
}
template <>
inline Brain unpack<Brain>(uint32_t stored) {
  return {static_cast<uint16_t>(stored)};
}
template <>
inline uint32_t pack<Half>(Half value) {
  return value.bits;
}
template <>
inline uint32_t pack<Brain>(Brain value) {
  return value.bits;
}

// Rows: result, sources.
template <auto F, typename R, typename A>
void lanes1(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const auto* a = warp.lanes<A>(instruction.row[1]);
  Stored<R> out[Warp::kLanes];
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) out[lane] = pack<R>(F(unpack<A>(a[lane])));
  warp.store(warp.lanes<R>(instruction.row[0]), out, mask);
}

template <auto F, typename R, typename A, typename B = A>
void lanes2(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const auto* a = warp.lanes<A>(instruction.row[1]);
  const auto* b = warp.lanes<B>(instruction.row[2]);
  Stored<R> out[Warp::kLanes];
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    out[lane] = pack<R>(F(unpack<A>(a[lane]), unpack<B>(b[lane])));
  }
  warp.store(warp.lanes<R>(instruction.row[0]), out, mask);
}

template <auto F, typename R, typename A, typename B = A, typename C = A>
void lanes3(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const auto* a = warp.lanes<A>(instruction.row[1]);
  const auto* b = warp.lanes<B>(instruction.row[2]);
  const auto* c = warp.lanes<C>(instruction.row[3]);
  Stored<R> out[Warp::kLanes];
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    out[lane] = pack<R>(F(unpack<A>(a[lane]), unpack<B>(b[lane]), unpack<C>(c[lane])));
  }
  warp.store(warp.lanes<R>(instruction.row[0]), out, mask);
}

template <auto F, typename R, typename A, typename B = A, typename C = A, typename D = A>
void lanes4(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const auto* a = warp.lanes<A>(instruction.row[1]);
  const auto* b = warp.lanes<B>(instruction.row[2]);
  const auto* c = warp.lanes<C>(instruction.row[3]);
  const auto* d = warp.lanes<D>(instruction.row[4]);
  Stored<R> out[Warp::kLanes];
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    out[lane] = pack<R>(F(unpack<A>(a[lane]), unpack<B>(b[lane]), unpack<C>(c[lane]), unpack<D>(d[lane])));
  }
  warp.store(warp.lanes<R>(instruction.row[0]), out, mask);
}

// As lanes2 of the same type thrice, for each type of integers; none for others.
template <auto F>
Handler integer1(Type type) {
  switch (type) {
    case Type::u16:
    case Type::b16:
      return lanes1<F, uint16_t, uint16_t>;
    case Type::s16:
      return lanes1<F, int16_t, int16_t>;
    case Type::u32:
    case Type::b32:
      return lanes1<F, uint32_t, uint32_t>;
    case Type::s32:
      return lanes1<F, int32_t, int32_t>;
    case Type::u64:
    case Type::b64:
      return lanes1<F, uint64_t, uint64_t>;
    case Type::s64:
      return lanes1<F, int64_t, int64_t>;
    default:
      return nullptr;
  }
}

template <auto F>
Handler integer2(Type type) {
  switch (type) {
    case Type::u16:
    case Type::b16:
      return lanes2<F, uint16_t, uint16_t>;
    case Type::s16:
      return lanes2<F, int16_t, int16_t>;
    case Type::u32:
    case Type::b32:
      return lanes2<F, uint32_t, uint32_t>;
    case Type::s32:
      return lanes2<F, int32_t, int32_t>;
    case Type::u64:
    case Type::b64:
      return lanes2<F, uint64_t, uint64_t>;
    case Type::s64:
      return lanes2<F, int64_t, int64_t>;
    default:
      return nullptr;
  }
}

template <auto F>
Handler integer3(Type type) {
  switch (type) {
    case Type::u16:
    case Type::b16:
      return lanes3<F, uint16_t, uint16_t>;
    case Type::s16:
      return lanes3<F, int16_t, int16_t>;
    case Type::u32:
    case Type::b32:
      return lanes3<F, uint32_t, uint32_t>;
    case Type::s32:
      return lanes3<F, int32_t, int32_t>;
    case Type::u64:
    case Type::b64:
      return lanes3<F, uint64_t, uint64_t>;
    case Type::s64:
      return lanes3<F, int64_t, int64_t>;
    default:
      return nullptr;
  }
}

// By size alone: where the sign does not matter.
template <auto F>
Handler bits2(Type type) {
  switch (bytes_of(type)) {
    case 2:
      return lanes2<F, uint16_t, uint16_t>;
    case 4:
      return lanes2<F, uint32_t, uint32_t>;
    case 8:
      return lanes2<F, uint64_t, uint64_t>;
    default:
      return nullptr;
  }
}

}  // namespace lorikeet::simulator
