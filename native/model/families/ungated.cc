// Nemotron, Arcee and Apertus: Llama with an MLP without a gate. Nemotron has LayerNorm with gains of 1 + w
// and rotates half of each head; Apertus normalizes each head of q and k.
#include "model/families/family.h"
#include "model/families/plain_layer.h"

namespace lorikeet {

namespace {

Mlp ungated(const ConfigReader& c, int32_t index, bool bias, const Activation& activation) {
  const std::string mlp = layer_prefix(index) + "mlp.";
  return plain_mlp(c, one_map(c.d.hidden, mlp + "up_proj", c.d.ffn, bias),
                   one_map(c.d.ffn, mlp + "down_proj", c.d.hidden, bias), activation);
}

void read_nemotron(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.max_positions = 4096;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("norm_eps", 1e-5);
  options.activation = c.activation("hidden_act", "relu2");
  options.qkv_bias = options.o_bias = c.fields.boolean("attention_bias", false);
  options.mlp_bias = c.fields.boolean("mlp_bias", false);
  const auto norm = [&](const std::string& module) {
    Norm made = layer_norm(module, c.d.hidden, options.epsilon);
    made.offset = 1.0f;
    return made;
  };
  c.llama_frame(c.tied(false), options.epsilon);
  c.network.final_norm = norm("model.norm");
  ConfigReader::RopeDefaults rope;
  rope.partial = 0.5;
  c.add_rope(rope);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const std::string prefix = layer_prefix(i);
    Layer layer = c.llama_layer(i, options);
    layer.before_attention = norm(prefix + "input_layernorm");
    layer.before_mlp = norm(prefix + "post_attention_layernorm");
    layer.mlp = ungated(c, i, options.mlp_bias, options.activation);
    c.network.layers.push_back(std::move(layer));
  }
}

void read_arcee(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.max_positions = 4096;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-5);
  options.activation = c.activation("hidden_act", "relu2");
  options.qkv_bias = options.o_bias = c.fields.boolean("attention_bias", false);
  options.mlp_bias = c.fields.boolean("mlp_bias", false);
  c.llama_frame(c.tied(false), options.epsilon);
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    layer.mlp = ungated(c, i, options.mlp_bias, options.activation);
    c.network.layers.push_back(std::move(layer));
  }
}

void read_apertus(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.max_positions = 65536;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-5);
  options.qkv_bias = options.o_bias = c.fields.boolean("attention_bias", false);
  if (c.fields.text("hidden_act").value_or("xielu") != "xielu") c.fields.fail("hidden_act", "xielu");
  if (c.fields.boolean("post_norm", false)) c.fields.refuse("post_norm true is not implemented");
  if (!c.fields.boolean("qk_norm", true)) c.fields.refuse("qk_norm false is not implemented");
  if (c.fields.boolean("mlp_bias", false)) c.fields.refuse("mlp_bias true is not implemented for apertus");
  options.activation.kind = ActivationKind::xielu;
  c.llama_frame(c.tied(false), options.epsilon);
  ConfigReader::RopeDefaults rope;
  rope.theta = 12000000.0;
  c.add_rope(rope);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const std::string prefix = layer_prefix(i);
    Layer layer = c.llama_layer(i, options);
    layer.before_attention = c.rms_norm(prefix + "attention_layernorm", c.d.hidden, options.epsilon);
    layer.before_mlp = c.rms_norm(prefix + "feedforward_layernorm", c.d.hidden, options.epsilon);
    layer.attention.q_norm = c.rms_norm(prefix + "self_attn.q_norm", c.d.head_dim, options.epsilon);
    layer.attention.k_norm = c.rms_norm(prefix + "self_attn.k_norm", c.d.head_dim, options.epsilon);
    layer.mlp = ungated(c, i, false, options.activation);
    layer.mlp.xielu = prefix + "mlp.act_fn";
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kNemotron, kArcee, kApertus;
const Family kNemotron{"nemotron", {"NemotronForCausalLM"}, read_nemotron};
const Family kArcee{"arcee", {"ArceeForCausalLM"}, read_arcee};
const Family kApertus{"apertus", {"ApertusForCausalLM"}, read_apertus};

}  // namespace lorikeet
