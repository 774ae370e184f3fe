// Gemma 2: Gemma with norms before and after both blocks, soft caps of scores and logits, and a window on
// every other layer.
#include "model/families/family.h"
#include "model/families/gemma.h"

namespace lorikeet {

namespace {

// A number, nothing where it is null, the class's default where it is absent.
float cap(ConfigReader& c, const char* name, double otherwise) {
  const double value = c.fields.number(name).value_or(c.fields.is_null(name) ? 0.0 : otherwise);
  if (value < 0) c.fields.fail(name, "above 0");
  return static_cast<float>(value);
}

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.vocab = 256000;
  defaults.kv_heads = 4;
  defaults.head_dim = 256;
  defaults.max_positions = 8192;
  c.read_dimensions(defaults);
  LayerOptions options = gemma_options(c);
  options.activation = c.activation("hidden_activation", "gelu_pytorch_tanh");
  c.fields.has("hidden_act");  // stands beside it and does not rule
  const double query_scalar = c.fields.number("query_pre_attn_scalar").value_or(256);
  if (!(query_scalar > 0)) c.fields.fail("query_pre_attn_scalar", "above 0");
  const float attention_cap = cap(c, "attn_logit_softcapping", 50.0);
  const bool windowless = c.fields.is_null("sliding_window");
  const int32_t window = c.fields.integer("sliding_window", 1).value_or(windowless ? 0 : 4096);
  for (const char* beside : {"cache_implementation", "sliding_window_size"}) c.fields.has(beside);
  const std::vector<std::string> types = c.layer_types();
  gemma_frame(c, options);
  c.network.head.softcap = cap(c, "final_logit_softcapping", 30.0);
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = gemma_sandwich(c, i, options, query_scalar);
    const bool sliding = types.empty() ? i % 2 == 0 : types[static_cast<size_t>(i)] == "sliding_attention";
    layer.attention.window = sliding ? window : 0;
    layer.attention.softcap = attention_cap;
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kGemma2;
const Family kGemma2{"gemma2", {"Gemma2ForCausalLM"}, read};

}  // namespace lorikeet
