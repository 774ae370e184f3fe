// gpt-oss: biases everywhere, a sink for each head, a window on every other layer, yarn, and experts whose
// gated activation is clamped.
#include "model/families/experts.h"
#include "model/families/family.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 8;
  defaults.head_dim = 64;
  defaults.max_positions = 131072;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-5);
  (void)c.activation("hidden_act", "silu");
  options.activation = {.kind = ActivationKind::clamped_swiglu, .alpha = 1.702f, .limit = 7.0f};
  if (c.fields.number("swiglu_limit").value_or(7.0) != 7.0)
    c.fields.refuse("swiglu_limit other than 7 is not implemented");
  options.qkv_bias = options.o_bias = c.fields.boolean("attention_bias", true);
  ExpertOptions experts = read_experts(c, "num_local_experts", 128, 4);
  experts.width = c.d.ffn;
  experts.renormalize = true;
  // Of the first files, beside Transformers' own names for the same.
  for (const char* name : {"experts_per_token", "initial_context_length"}) c.fields.has(name);
  const std::vector<std::string> types = c.layer_types();
  const int32_t window =
      c.fields.integer("sliding_window", 1).value_or(c.fields.is_null("sliding_window") ? 0 : 128);
  c.llama_frame(c.tied(false), options.epsilon);
  ConfigReader::RopeDefaults rope;
  rope.theta = 150000.0;
  if (!c.fields.has("rope_scaling") && !c.fields.has("rope_parameters")) {
    c.fields.fail("rope_parameters", "given");
  }
  c.add_rope(rope);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    const bool sliding = types.empty() ? i % 2 == 0 : types[static_cast<size_t>(i)] == "sliding_attention";
    layer.attention.window = sliding ? window : 0;
    layer.attention.sinks = layer_prefix(i) + "self_attn.sinks";
    put_experts(c, layer, i, experts);
    ExpertLayer& own = *layer.mlp.experts;
    own.router.modules = {map_module(layer_prefix(i) + "mlp.router", experts.experts, true)};
    own.names.transposed = own.names.interleaved = own.names.bias = true;
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kGptOss;
const Family kGptOss{"gpt_oss", {"GptOssForCausalLM"}, read};

}  // namespace lorikeet
