// Gated short convolutions against float64, and what a sequence finds where it goes on.
#include <cstring>

#include "backend/shared/kv_type.h"
#include "ops_fixture.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

constexpr int kPageTokens = 4;

struct Net {
  ShortConvolutionDesc shape;
  std::vector<float> weight, bias;  // bias: or empty
};

std::vector<Net> nets(Random& random) {
  std::vector<Net> list;
  for (const auto& [channels, taps, bias] :
       {std::tuple{5, 3, false}, {32, 3, true}, {17, 1, true}, {40, 6, false}}) {
    Net net;
    net.shape.channels = channels;
    net.shape.taps = taps;
    net.weight = random_floats(random, int64_t{taps} * channels);
    if (bias) net.bias = random_floats(random, channels);
    list.push_back(std::move(net));
  }
  return list;
}

struct Expected {
  std::vector<double> out, bounds;
};

// in: [tokens, b | c | x]
Expected expected(const Net& net, const std::vector<float>& in) {
  const int n = net.shape.channels;
  const auto at = [&](int64_t token, int part, int channel) {
    return static_cast<double>(in[static_cast<size_t>((token * 3 + part) * n + channel)]);
  };
  Expected result;
  for (int64_t token = 0; token < static_cast<int64_t>(in.size()) / (3 * n); ++token) {
    for (int i = 0; i < n; ++i) {
      double sum = net.bias.empty() ? 0.0 : static_cast<double>(net.bias[static_cast<size_t>(i)]);
      double size = std::abs(sum);
      for (int back = 0; back < net.shape.taps && back <= token; ++back) {
        const int64_t tap = net.shape.taps - 1 - back;
        const double term = static_cast<double>(net.weight[static_cast<size_t>(tap * n + i)]) *
                            at(token - back, 0, i) * at(token - back, 2, i);
        sum += term;
        size += std::abs(term);
      }
      result.out.push_back(sum * at(token, 1, i));
      result.bounds.push_back((net.shape.taps + 4) * kEpsilon * size * std::abs(at(token, 1, i)));
    }
  }
  return result;
}

// Tokens [begin, end) of `in` on the pages.
struct Rows {
  const std::vector<float>& in;
  int begin, end;
  std::vector<int32_t> pages;
};

// A net on a device, its layer the second of a cache.
class DeviceNet {
 public:
  DeviceNet(Backend& backend, const Net& net) : backend_(backend), desc_(net.shape) {
    weight_ = on_device(backend, net.weight, net.shape.channels);
    if (!net.bias.empty()) bias_ = on_device(backend, net.bias, net.shape.channels);
    desc_.weight = weight_.get();
    desc_.bias = bias_.get();
    KvLayer attention{1, 6}, convolution;
    convolution.recurrent = net.shape.state();
    auto cache = backend.kv_create(
        {.layers = {attention, convolution}, .pages = 8, .page_tokens = kPageTokens, .type = DType::int8});
    REQUIRE(cache);
    cache_ = std::move(*cache);
  }

  std::vector<float> run(const std::vector<Rows>& sequences) {
    std::vector<int32_t> token, position, slot, q_start{0}, kv_len, table;
    std::vector<float> in;
    const size_t stride = 4;
    for (const Rows& rows : sequences) {
      for (int at = rows.begin; at < rows.end; ++at) {
        token.push_back(0);
        position.push_back(at);
        slot.push_back(rows.pages[static_cast<size_t>(at / kPageTokens)] * kPageTokens + at % kPageTokens);
      }
      const int64_t width = desc_.row_width();
      in.insert(in.end(), rows.in.begin() + rows.begin * width, rows.in.begin() + rows.end * width);
      q_start.push_back(static_cast<int32_t>(token.size()));
      kv_len.push_back(rows.end);
      std::vector<int32_t> pages = rows.pages;
      pages.resize(stride, -1);
      table.insert(table.end(), pages.begin(), pages.end());
    }
    const auto from = on_device(backend_, in, desc_.row_width());
    const auto out =
        on_device(backend_, std::vector<float>(token.size() * static_cast<size_t>(desc_.channels), NAN),
                  desc_.channels);
    StepInput step;
    step.token = token;
    step.position = position;
    step.kv_slot = slot;
    step.q_start = q_start;
    step.kv_len = kv_len;
    step.page_table = table;
    step.page_table_stride = static_cast<int32_t>(stride);
    submit(backend_, step, [&] { backend_.short_convolution(whole(*out), whole(*from), *cache_, 1, desc_); });
    return from_device(backend_, *out);
  }

 private:
  Backend& backend_;
  ShortConvolutionDesc desc_;
  std::unique_ptr<Tensor> weight_, bias_;
  std::unique_ptr<KvCache> cache_;
};

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace

TEST_CASE("a short convolution gives what float64 gives, to the bit in any chunks and company") {
  Random random(81);
  for (const Net& net : nets(random)) {
    const auto first = random_floats(random, 13 * net.shape.row_width(), -2, 2);
    const auto second = random_floats(random, 6 * net.shape.row_width(), -2, 2);
    const Expected wanted = expected(net, first);
    const std::vector<int32_t> pages{5, 2, 7, 0}, others{1, 6};
    for (const auto& backend : all_backends()) {
      INFO(device_of(*backend), " channels=", net.shape.channels, " taps=", net.shape.taps);
      const auto at_once = DeviceNet(*backend, net).run({{first, 0, 13, pages}});
      CHECK(worst_ratio(at_once, wanted.out, wanted.bounds) <= 1.0);
      const auto company = DeviceNet(*backend, net).run({{second, 0, 6, others}, {first, 0, 13, pages}});
      CHECK(same_bits(std::span(company).subspan(company.size() - at_once.size()), at_once));
      DeviceNet chunked(*backend, net);
      std::vector<float> together;
      for (const auto& [begin, end] : {std::pair{0, 3}, {3, 4}, {4, 9}, {9, 10}, {10, 13}}) {
        const auto out = chunked.run({{first, begin, end, pages}});
        together.insert(together.end(), out.begin(), out.end());
      }
      CHECK(same_bits(together, at_once));
    }
  }
}

TEST_CASE("a short convolution goes on from any token, whatever was computed behind it") {
  Random random(82);
  const Net net = nets(random)[1];
  const auto right = random_floats(random, 14 * net.shape.row_width());
  const auto wrong = random_floats(random, 14 * net.shape.row_width());
  const std::vector<int32_t> pages{2, 0, 3, 1};
  for (const auto& backend : all_backends()) {
    const auto wanted = DeviceNet(*backend, net).run({{right, 0, 14, pages}});
    for (int kept = 1; kept < 13; ++kept) {
      INFO(device_of(*backend), " kept=", kept);
      DeviceNet own(*backend, net);
      (void)own.run({{right, 0, kept, pages}});
      (void)own.run({{wrong, kept, 14, pages}});
      CHECK(same_bits(own.run({{right, kept, 14, pages}}),
                      std::span(wanted).subspan(static_cast<size_t>(kept * net.shape.channels))));
    }
  }
}

TEST_CASE("a page of short convolutions takes its inputs alone") {
  ShortConvolutionDesc shape;
  shape.channels = 12;
  shape.taps = 3;
  KvLayer layer;
  layer.recurrent = shape.state();
  for (const DType type : {DType::f32, DType::int8}) CHECK(kv_page_bytes(layer, 16, type) == 4 * 16 * 12);
}
