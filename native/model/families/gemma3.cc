// Gemma 3, text: Gemma 2 without soft caps, with norms of each head of q and k, five layers with a window to
// one without, and another rope for each of the two.
#include "model/families/family.h"
#include "model/families/gemma.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.vocab = 262208;
  defaults.hidden = 2304;
  defaults.ffn = 9216;
  defaults.layers = 26;
  defaults.q_heads = 8;
  defaults.kv_heads = 4;
  defaults.head_dim = 256;
  defaults.max_positions = 131072;
  c.read_dimensions(defaults);
  LayerOptions options = gemma_options(c);
  options.activation = c.activation("hidden_activation", "gelu_pytorch_tanh");
  c.fields.has("hidden_act");
  const double query_scalar = c.fields.number("query_pre_attn_scalar").value_or(256);
  if (!(query_scalar > 0)) c.fields.fail("query_pre_attn_scalar", "above 0");
  if (c.fields.number("attn_logit_softcapping")) {
    c.fields.refuse("attn_logit_softcapping is not implemented for gemma3_text (null is)");
  }
  const bool windowless = c.fields.is_null("sliding_window");
  const int32_t window = c.fields.integer("sliding_window", 1).value_or(windowless ? 0 : 4096);
  const int32_t pattern = c.fields.integer("sliding_window_pattern", 1).value_or(6);
  c.fields.has("cache_implementation");
  const std::vector<std::string> types = c.layer_types();
  gemma_frame(c, options);
  c.network.head.softcap = static_cast<float>(c.fields.number("final_logit_softcapping").value_or(0));

  ConfigReader::RopeDefaults full, local;
  full.theta = 1e6;
  local.theta = c.fields.number("rope_local_base_freq").value_or(10000.0);
  const auto nested = c.add_rope_of("full_attention", full);
  const size_t full_rope = nested ? *nested : c.add_rope(full);
  const auto nested_local = c.add_rope_of("sliding_attention", local);
  const size_t local_rope = nested_local ? *nested_local : c.add_plain_rope(local.theta);

  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = gemma_sandwich(c, i, options, query_scalar);
    const bool sliding =
        types.empty() ? (i + 1) % pattern != 0 : types[static_cast<size_t>(i)] == "sliding_attention";
    Attention& attention = layer.attention;
    const std::string self = layer_prefix(i) + "self_attn.";
    attention.q_norm = c.rms_norm(self + "q_norm", c.d.head_dim, options.epsilon, options.norm_offset);
    attention.k_norm = c.rms_norm(self + "k_norm", c.d.head_dim, options.epsilon, options.norm_offset);
    attention.window = sliding ? window : 0;
    attention.rope = sliding ? local_rope : full_rope;
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kGemma3;
const Family kGemma3{"gemma3_text", {"Gemma3ForCausalLM"}, read};

}  // namespace lorikeet
