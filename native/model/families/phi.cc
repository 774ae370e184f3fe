// Phi-1.5 and Phi-2: one LayerNorm whose result both blocks read, half of each head rotated, biases
// everywhere, the head's too.
#include "model/families/family.h"
#include "model/families/plain_layer.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  c.read_dimensions({});
  const float epsilon = c.epsilon("layer_norm_eps", 1e-5);
  const Activation activation = c.activation("hidden_act", "gelu_new");
  const bool head_norms = c.fields.boolean("qk_layernorm", false);
  c.fields.has("attention_probs_dropout_prob");
  ConfigReader::RopeDefaults rope;
  rope.partial = 0.5;
  c.add_rope(rope);
  Network& network = c.network;
  network.embedding.module = "model.embed_tokens";
  network.final_norm = layer_norm("model.final_layernorm", c.d.hidden, epsilon);
  network.head.module = "lm_head";
  network.head.tied = c.tied(false);
  network.head.bias = true;
  LayerOptions options;
  options.qkv_bias = true;
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const std::string prefix = layer_prefix(i);
    const std::string self = prefix + "self_attn.";
    Layer layer = c.llama_layer(i, options);
    layer.parallel = true;
    layer.before_attention = layer_norm(prefix + "input_layernorm", c.d.hidden, epsilon);
    layer.before_mlp.reset();
    layer.attention.o = one_map(layer.attention.q_width(), self + "dense", c.d.hidden, true);
    if (head_norms) {
      layer.attention.q_norm = layer_norm(self + "q_layernorm", c.d.head_dim, epsilon);
      layer.attention.k_norm = layer_norm(self + "k_layernorm", c.d.head_dim, epsilon);
    }
    layer.mlp = plain_mlp(c, one_map(c.d.hidden, prefix + "mlp.fc1", c.d.ffn, true),
                          one_map(c.d.ffn, prefix + "mlp.fc2", c.d.hidden, true), activation);
    network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kPhi;
const Family kPhi{"phi", {"PhiForCausalLM"}, read};

}  // namespace lorikeet
