// Gated delta nets against float64, and what a sequence finds where it goes on.
#include <algorithm>
#include <cstring>
#include <map>

#include "backend/shared/kv_type.h"
#include "ops_fixture.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

constexpr int kPageTokens = 4;
constexpr float kNormEpsilon = 1e-6f;

struct Net {
  DeltaNetDesc shape;
  std::vector<float> convolution, log_decay, time_bias, gain;
};

Net random_net(Random& random, DeltaNetDesc shape) {
  return {shape, random_floats(random, shape.taps * shape.mixed_width()),
          random_floats(random, shape.value_heads, -2, 1), random_floats(random, shape.value_heads),
          random_floats(random, shape.value_dim, 0.5, 1.5)};
}

std::vector<DeltaNetDesc> shapes() {
  const auto shape = [](int key_heads, int value_heads, int key_dim, int value_dim, int taps) {
    DeltaNetDesc desc;
    desc.key_heads = key_heads;
    desc.value_heads = value_heads;
    desc.key_dim = key_dim;
    desc.value_dim = value_dim;
    desc.taps = taps;
    return desc;
  };
  return {shape(1, 1, 3, 5, 2), shape(2, 4, 8, 8, 4), shape(2, 6, 17, 40, 4), shape(1, 2, 64, 64, 1)};
}

// One sequence by itself, in float64. in: [tokens, row_width]; out [tokens, HV VD]
class Expected {
 public:
  Expected(const Net& net, const std::vector<float>& in) : net_(net), in_(in) {}

  std::vector<double> out() {
    const DeltaNetDesc& shape = net_.shape;
    const int64_t tokens = static_cast<int64_t>(in_.size()) / shape.row_width();
    std::vector<double> out;
    states_.assign(static_cast<size_t>(shape.value_heads * shape.key_dim * shape.value_dim), 0.0);
    for (int64_t token = 0; token < tokens; ++token) {
      for (int head = 0; head < shape.value_heads; ++head) {
        const std::vector<double> o = step(token, head);
        double squares = 0;
        for (const double value : o) squares += value * value;
        const double length = std::sqrt(squares / shape.value_dim + static_cast<double>(kNormEpsilon));
        for (int j = 0; j < shape.value_dim; ++j) {
          const double z = at(token, shape.mixed_width() + head * shape.value_dim + j);
          out.push_back(o[static_cast<size_t>(j)] / length *
                        static_cast<double>(net_.gain[static_cast<size_t>(j)]) * silu(z));
        }
      }
    }
    return out;
  }

 private:
  static double silu(double x) { return x / (1 + std::exp(-x)); }
  double at(int64_t token, int64_t channel) const {
    return in_[static_cast<size_t>(token * net_.shape.row_width() + channel)];
  }
  double convolved(int64_t token, int64_t channel) const {
    double sum = 0;
    for (int back = 0; back < net_.shape.taps && back <= token; ++back) {
      const int64_t tap = net_.shape.taps - 1 - back;
      const float weight = net_.convolution[static_cast<size_t>(tap * net_.shape.mixed_width() + channel)];
      sum += static_cast<double>(weight) * at(token - back, channel);
    }
    return silu(sum);
  }
  std::vector<double> vector(int64_t token, int64_t first, int64_t count, bool unit) const {
    std::vector<double> values;
    double squares = 1e-6;
    for (int64_t i = 0; i < count; ++i) {
      values.push_back(convolved(token, first + i));
      squares += values.back() * values.back();
    }
    if (unit) {
      for (double& value : values) value /= std::sqrt(squares);
    }
    return values;
  }
  std::vector<double> step(int64_t token, int head) {
    const DeltaNetDesc& shape = net_.shape;
    const int64_t key_head = head / (shape.value_heads / shape.key_heads);
    const auto q = vector(token, key_head * shape.key_dim, shape.key_dim, true);
    const auto k = vector(token, shape.key_width() + key_head * shape.key_dim, shape.key_dim, true);
    const auto v =
        vector(token, 2 * shape.key_width() + int64_t{head} * shape.value_dim, shape.value_dim, false);
    const int64_t gates = shape.mixed_width() + shape.value_width();
    const double beta = 1 / (1 + std::exp(-at(token, gates + head)));
    const auto index = static_cast<size_t>(head);
    const double time = std::log1p(
        std::exp(at(token, gates + shape.value_heads + head) + static_cast<double>(net_.time_bias[index])));
    const double decay = std::exp(-std::exp(static_cast<double>(net_.log_decay[index])) * time);
    double* const state = &states_[static_cast<size_t>(head * shape.key_dim * shape.value_dim)];
    std::vector<double> o(static_cast<size_t>(shape.value_dim));
    for (size_t j = 0; j < v.size(); ++j) {
      double seen = 0;
      for (size_t i = 0; i < k.size(); ++i) seen += (state[i * v.size() + j] *= decay) * k[i];
      for (size_t i = 0; i < k.size(); ++i) {
        state[i * v.size() + j] += k[i] * beta * (v[j] - seen);
        o[j] += q[i] / std::sqrt(static_cast<double>(shape.key_dim)) * state[i * v.size() + j];
      }
    }
    return o;
  }

  const Net& net_;
  const std::vector<float>& in_;
  std::vector<double> states_;
};

// A net on a device, with a cache of two recurrent layers of which it is the second.
class DeviceNet {
 public:
  DeviceNet(Backend& backend, const Net& net, int pages, int layer = 1)
      : backend_(backend), desc_(net.shape), layer_(layer) {
    convolution_ = on_device(backend, net.convolution, net.shape.mixed_width());
    log_decay_ = on_device(backend, net.log_decay, net.shape.value_heads);
    time_bias_ = on_device(backend, net.time_bias, net.shape.value_heads);
    desc_.convolution = convolution_.get();
    desc_.log_decay = log_decay_.get();
    desc_.time_bias = time_bias_.get();
    gain_ = gain_of(net.gain);
    KvLayer attention{1, 6}, recurrent;
    recurrent.recurrent = net.shape.state();
    auto cache = backend.kv_create(
        {.layers = {attention, recurrent}, .pages = pages, .page_tokens = kPageTokens, .type = DType::bf16});
    REQUIRE(cache);
    cache_ = std::move(*cache);
  }

  std::unique_ptr<NormGain> gain_of(const std::vector<float>& values) {
    NormDesc desc;
    desc.width = static_cast<int64_t>(values.size());
    desc.gain = HostTensor{reinterpret_cast<const std::byte*>(values.data()), DType::f32, 1, desc.width};
    auto gain = backend_.norm_create(desc);
    REQUIRE(gain);
    return std::move(*gain);
  }

  // Tokens [begin, end) of `in` on the pages.
  struct Rows {
    const std::vector<float>& in;
    int begin, end;
    std::vector<int32_t> pages;
  };
  struct Copy {
    int32_t from, to;
  };
  std::vector<float> run(const std::vector<Rows>& sequences, const std::vector<Copy>& copies = {},
                         std::span<const NormSegment> segments = {}) {
    std::vector<int32_t> token, position, slot, q_start{0}, kv_len, table, from, to;
    std::vector<float> in;
    const size_t stride = 8;
    for (const Rows& rows : sequences) {
      for (int at = rows.begin; at < rows.end; ++at) {
        token.push_back(0);
        position.push_back(at);
        slot.push_back(rows.pages[static_cast<size_t>(at / kPageTokens)] * kPageTokens + at % kPageTokens);
      }
      const auto width = static_cast<int64_t>(desc_.row_width());
      in.insert(in.end(), rows.in.begin() + rows.begin * width, rows.in.begin() + rows.end * width);
      q_start.push_back(static_cast<int32_t>(token.size()));
      kv_len.push_back(rows.end);
      std::vector<int32_t> pages = rows.pages;
      pages.resize(stride, -1);
      table.insert(table.end(), pages.begin(), pages.end());
    }
    for (const Copy& copy : copies) {
      from.push_back(copy.from);
      to.push_back(copy.to);
    }
    const auto width = static_cast<int64_t>(desc_.value_width());
    const auto from_rows = on_device(backend_, in, desc_.row_width());
    const auto out =
        on_device(backend_, std::vector<float>(token.size() * static_cast<size_t>(width), NAN), width);
    StepInput step;
    step.token = token;
    step.position = position;
    step.kv_slot = slot;
    step.q_start = q_start;
    step.kv_len = kv_len;
    step.page_table = table;
    step.page_table_stride = static_cast<int32_t>(stride);
    step.copies = {cache_.get(), from, to};
    submit(backend_, step, [&] {
      backend_.delta_net(whole(*out), whole(*from_rows), *cache_, layer_, desc_,
                         {gain_.get(), kNormEpsilon, segments});
    });
    return from_device(backend_, *out);
  }

 private:
  Backend& backend_;
  DeltaNetDesc desc_;
  int layer_;
  std::unique_ptr<Tensor> convolution_, log_decay_, time_bias_;
  std::unique_ptr<NormGain> gain_;
  std::unique_ptr<KvCache> cache_;
};

std::vector<float> random_rows(Random& random, const Net& net, int tokens) {
  return random_floats(random, tokens * net.shape.row_width(), -2, 2);
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// Of tokens from `begin` on.
std::span<const float> rows_from(const std::vector<float>& out, const Net& net, int begin) {
  return std::span(out).subspan(static_cast<size_t>(begin * net.shape.value_width()));
}

}  // namespace

TEST_CASE("a delta net gives what float64 gives, to the bit in any chunks and company") {
  Random random(71);
  for (const DeltaNetDesc& shape : shapes()) {
    const Net net = random_net(random, shape);
    const std::vector<float> first = random_rows(random, net, 13), second = random_rows(random, net, 6);
    const std::vector<double> wanted = Expected(net, first).out();
    const std::vector<int32_t> pages{5, 2, 7, 0}, others{1, 6};
    for (const auto& backend : all_backends()) {
      INFO(device_of(*backend), " key_dim=", shape.key_dim, " value_dim=", shape.value_dim);
      const auto at_once = DeviceNet(*backend, net, 8).run({{first, 0, 13, pages}});
      CHECK(worst_ratio(at_once, wanted, std::vector<double>(wanted.size(), 1e-4)) <= 1.0);
      const auto company = DeviceNet(*backend, net, 8).run({{second, 0, 6, others}, {first, 0, 13, pages}});
      CHECK(same_bits(std::span(company).subspan(company.size() - at_once.size()), at_once));
      DeviceNet chunked(*backend, net, 8);
      std::vector<float> together;
      for (const auto& [begin, end] : {std::pair{0, 3}, {3, 4}, {4, 9}, {9, 10}, {10, 13}}) {
        const auto out = chunked.run({{first, begin, end, pages}});
        together.insert(together.end(), out.begin(), out.end());
      }
      CHECK(same_bits(together, at_once));
    }
  }
}

TEST_CASE("a delta net has the same bits on any number of threads") {
  Random random(72);
  const Net net = random_net(random, shapes()[3]);
  const std::vector<float> in = random_rows(random, net, 16);
  std::map<std::string, std::vector<float>> by_isa;
  for (const auto& backend : all_backends()) {
    const auto out = DeviceNet(*backend, net, 4).run({{in, 0, 16, {3, 1, 0, 2}}});
    const auto [known, added] = by_isa.emplace(backend->caps().isa, out);
    INFO(device_of(*backend));
    CHECK(same_bits(known->second, out));
  }
}

TEST_CASE("a delta net goes on from any token of a sequence, whatever was computed behind it") {
  Random random(73);
  const Net net = random_net(random, shapes()[1]);
  const std::vector<float> right = random_rows(random, net, 14), wrong = random_rows(random, net, 14);
  const std::vector<int32_t> pages{2, 0, 3, 1};
  for (const auto& backend : all_backends()) {
    const auto wanted = DeviceNet(*backend, net, 4).run({{right, 0, 14, pages}});
    for (int kept = 0; kept < 13; ++kept) {
      for (const int drafted : {1, 3, 5}) {
        INFO(device_of(*backend), " kept=", kept, " drafted=", drafted);
        DeviceNet own(*backend, net, 4);
        if (kept > 0) (void)own.run({{right, 0, kept, pages}});
        (void)own.run({{wrong, kept, std::min(14, kept + drafted), pages}});
        CHECK(same_bits(own.run({{right, kept, 14, pages}}), rows_from(wanted, net, kept)));
      }
    }
  }
}

TEST_CASE("a delta net finds in a copied page all that it goes on from, at its end and before") {
  Random random(74);
  const Net net = random_net(random, shapes()[1]);
  const std::vector<float> in = random_rows(random, net, 12);
  for (const auto& backend : all_backends()) {
    const auto wanted = DeviceNet(*backend, net, 6).run({{in, 0, 12, {0, 1, 2}}});
    for (int shared = 1; shared <= 8; ++shared) {
      INFO(device_of(*backend), " shared=", shared);
      DeviceNet own(*backend, net, 6);
      (void)own.run({{in, 0, 8, {0, 1}}});
      // Whole pages before the one in which it goes on are the other's, that one is a copy.
      const int32_t at = shared / kPageTokens;
      std::vector<int32_t> pages{0, 1};
      pages.resize(static_cast<size_t>(at));
      pages.insert(pages.end(), {4, 5, 3});
      std::vector<DeviceNet::Copy> copies;
      if (shared % kPageTokens != 0) copies.push_back({at, 4});
      std::vector<float> out = own.run({{in, shared, shared + 1, pages}}, copies);
      const auto rest = own.run({{in, shared + 1, 12, pages}});
      out.insert(out.end(), rest.begin(), rest.end());
      CHECK(same_bits(out, rows_from(wanted, net, shared)));
    }
  }
}

TEST_CASE("a delta net's norm has an adapter's gain in the adapter's rows alone") {
  Random random(75);
  const Net net = random_net(random, shapes()[1]);
  Net other = net;
  other.gain = random_floats(random, net.shape.value_dim, 0.5, 1.5);
  const std::vector<float> in = random_rows(random, net, 5);
  for (const auto& backend : all_backends()) {
    DeviceNet base(*backend, net, 4), adapted(*backend, other, 4);
    const auto gain = base.gain_of(other.gain);
    const NormSegment segment{0, 5, gain.get()};
    INFO(device_of(*backend));
    const auto both = base.run({{in, 0, 5, {0, 1}}, {in, 0, 5, {2, 3}}}, {}, {&segment, 1});
    const auto half = both.size() / 2;
    CHECK(same_bits(std::span(both).first(half), adapted.run({{in, 0, 5, {0, 1}}})));
    CHECK(same_bits(std::span(both).subspan(half), DeviceNet(*backend, net, 4).run({{in, 0, 5, {0, 1}}})));
  }
}

TEST_CASE("a page of a recurrent layer takes its inputs, its state and a line for where the state stands") {
  const DeltaNetDesc shape = shapes()[1];
  KvLayer layer;
  layer.recurrent = shape.state();
  const int64_t inputs = 2 * 2 * 8 + 4 * 8 + 2 * 4;
  for (const DType type : {DType::f32, DType::int8})
    CHECK(kv_page_bytes(layer, 16, type) == 4 * (16 * inputs + 4 * 8 * 8 + 16));
  CHECK(kv_page_bytes(layer, 0, DType::f32) == 4 * (4 * 8 * 8 + 16));
}
