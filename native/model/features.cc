#include "model/features.h"

#include <algorithm>
#include <functional>
#include <vector>

namespace lorikeet {
namespace {

using Words = std::vector<std::string>;

std::string joined(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text.empty() ? "-" : text;
}

// Adds the word where some layer has the property, and says so where not all have it.
void add_of_layers(Words& words, const Network& network, const std::string& word,
                   const std::function<bool(const Layer&)>& has) {
  const auto count = std::count_if(network.layers.begin(), network.layers.end(), has);
  if (count == 0) return;
  words.push_back(count == network.layer_count() ? word : word + " (some layers)");
}

std::string norms_of(const Network& network) {
  Words words;
  const auto any = [](const Layer& layer, const std::function<bool(const Norm&)>& is) {
    for (const auto& norm :
         {layer.before_attention, layer.after_attention, layer.before_mlp, layer.after_mlp})
      if (norm && is(*norm)) return true;
    return false;
  };
  const auto kind = [&](NormKind wanted) {
    return [&any, wanted](const Layer& layer) {
      return any(layer, [wanted](const Norm& norm) { return norm.kind == wanted; });
    };
  };
  add_of_layers(words, network, "RMS", kind(NormKind::rms));
  add_of_layers(words, network, "LayerNorm", kind(NormKind::layer));
  const Layer& first = network.layers.front();
  const bool before = first.before_attention.has_value();
  const bool after = first.after_attention.has_value();
  words.push_back(before && after ? "before and after" : before ? "before" : "after");
  if (any(first, [](const Norm& norm) { return !norm.gain; })) words.emplace_back("no gain");
  if (any(first, [](const Norm& norm) { return norm.offset != 0; })) words.emplace_back("gain is an offset");
  if (any(first, [](const Norm& norm) { return norm.kind == NormKind::layer && norm.gain && !norm.bias; }))
    words.emplace_back("no bias");
  return joined(words);
}

const char* prefix_of(RopeType type) {
  switch (type) {
    case RopeType::standard:
      return "";
    case RopeType::linear:
      return "linear ";
    case RopeType::llama3:
      return "llama3 ";
    case RopeType::yarn:
      return "yarn ";
    case RopeType::longrope:
      return "longrope ";
    case RopeType::proportional:
      return "proportional ";
  }
  return "";
}

std::string positions_of(const Network& network) {
  Words words;
  const bool partial = std::any_of(network.layers.begin(), network.layers.end(), [&](const Layer& layer) {
    return layer.attention.rope && network.ropes[*layer.attention.rope].dims < layer.attention.head_dim;
  });
  const bool interleaved = std::any_of(network.ropes.begin(), network.ropes.end(),
                                       [](const Rope& rope) { return rope.interleaved; });
  std::string rope = partial ? "partial rope" : "rope";
  if (interleaved) rope = "interleaved " + rope;
  if (!network.ropes.empty()) rope = prefix_of(network.ropes.back().type) + rope;
  add_of_layers(words, network, rope, [](const Layer& layer) { return layer.attention.rope.has_value(); });
  if (network.ropes.size() > 1) words.emplace_back("of " + std::to_string(network.ropes.size()) + " kinds");
  add_of_layers(words, network, "ALiBi", [](const Layer& layer) { return layer.attention.alibi; });
  if (!network.embedding.positions.empty()) words.emplace_back("learned");
  return joined(words);
}

std::string attention_of(const Network& network) {
  Words words;
  const auto add = [&](const std::string& word, const std::function<bool(const Attention&)>& has) {
    add_of_layers(words, network, word,
                  [&has](const Layer& layer) { return layer.attention.q_heads > 0 && has(layer.attention); });
  };
  const auto maps = [](const Attention& a, bool bias) {
    const LinearMap& first = a.latent ? a.latent->kv_down : a.qkv;
    return bias ? first.modules.front().bias : first.modules.size() == 1 && !a.latent;
  };
  add_of_layers(words, network, "gated delta net",
                [](const Layer& layer) { return layer.delta_net.has_value(); });
  add_of_layers(words, network, "short convolution",
                [](const Layer& layer) { return layer.convolution.has_value(); });
  add("latent", [](const Attention& a) { return a.latent.has_value(); });
  add("chunks", [](const Attention& a) { return a.chunk > 0; });
  add("window", [](const Attention& a) { return a.window > 0; });
  add("q and k norm", [](const Attention& a) { return a.q_norm && a.k_norm; });
  add("v norm", [](const Attention& a) { return a.v_norm.has_value(); });
  add("norm after rope", [](const Attention& a) { return a.norm_after_rope; });
  add("bias of q, k, v", [&](const Attention& a) { return maps(a, true); });
  add("bias of o", [](const Attention& a) { return a.o.modules.front().bias; });
  add("fused q, k, v", [&](const Attention& a) { return maps(a, false) && a.projected == Projected::qkv; });
  add("keys are values", [](const Attention& a) { return a.projected == Projected::qk; });
  add("another layer's keys and values", [](const Attention& a) { return a.kv_of.has_value(); });
  add("soft-cap", [](const Attention& a) { return a.softcap != 0; });
  add("clipped q, k, v", [](const Attention& a) { return a.clip != 0; });
  add("gated", [](const Attention& a) { return a.gated; });
  add("sinks", [](const Attention& a) { return !a.sinks.empty(); });
  add("scaled queries", [](const Attention& a) { return a.query_scaling.beta != 0; });
  return joined(words);
}

const char* name_of(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::silu:
      return "SiLU";
    case ActivationKind::gelu:
      return "GELU";
    case ActivationKind::gelu_tanh:
      return "GELU (tanh)";
    case ActivationKind::relu:
      return "ReLU";
    case ActivationKind::relu_squared:
      return "squared ReLU";
    case ActivationKind::sigmoid:
      return "sigmoid";
    case ActivationKind::clamped_swiglu:
      return "clamped SwiGLU";
    case ActivationKind::xielu:
      return "xIELU";
  }
  return "?";
}

std::string mlp_of(const Network& network) {
  Words words;
  const Mlp& last = network.layers.back().mlp;  // where only the first layers are dense, this one has experts
  words.push_back((last.gated ? "gated " : "plain ") + std::string(name_of(last.activation.kind)));
  add_of_layers(words, network, "experts", [](const Layer& layer) { return layer.mlp.experts.has_value(); });
  if (last.experts) {
    const ExpertLayer& experts = *last.experts;
    words.push_back(experts.routing.score == RouterScore::softmax ? "softmax router" : "sigmoid router");
    if (experts.routing.scales_inputs) words.emplace_back("scaled inputs of experts");
    if (!experts.choice_bias.empty()) words.emplace_back("choice bias");
    if (experts.routing.groups > 1) words.emplace_back("groups");
    if (experts.norms)
      words.emplace_back("beside an MLP");
    else if (!last.up.empty())
      words.emplace_back("shared expert");
  } else if (last.down.modules.front().bias) {
    words.emplace_back("bias");
  }
  return joined(words);
}

std::string others_of(const Network& network) {
  Words words;
  add_of_layers(words, network, "parallel residual", [](const Layer& layer) { return layer.parallel; });
  add_of_layers(words, network, "per-layer inputs",
                [](const Layer& layer) { return layer.input.has_value(); });
  add_of_layers(words, network, "scaled layers", [](const Layer& layer) { return !layer.scale.empty(); });
  if (network.embedding.scale != 1.0f) words.emplace_back("scaled embedding");
  add_of_layers(words, network, "norm of the residual",
                [](const Layer& layer) { return layer.norms_residual; });
  if (!network.embedding.projection.empty()) words.emplace_back("projected embedding");
  if (network.embedding.norm) words.emplace_back("norm of the embedding");
  if (network.residual_scale != 1.0f) words.emplace_back("scaled residual");
  if (network.head.scale != 1.0f) words.emplace_back("scaled logits");
  if (network.head.softcap != 0) words.emplace_back("soft-cap of logits");
  if (network.head.bias) words.emplace_back("bias of logits");
  return joined(words);
}

}  // namespace

NetworkFeatures features_of(const Network& network) {
  return {norms_of(network), positions_of(network), attention_of(network), mlp_of(network),
          others_of(network)};
}

}  // namespace lorikeet
