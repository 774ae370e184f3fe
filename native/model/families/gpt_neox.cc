// GPT-NeoX (Black et al. 2022) and Pythia: both blocks read the same x through norms of their own, q, k and v
// are fused head by head, a quarter of each head is rotated.
#include "model/families/family.h"
#include "model/families/plain_layer.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  c.read_dimensions({});
  const float epsilon = c.epsilon("layer_norm_eps", 1e-5);
  const Activation activation = c.activation("hidden_act", "gelu");
  const bool bias = c.fields.boolean("attention_bias", true);
  const bool parallel = c.fields.boolean("use_parallel_residual", true);
  c.fields.has("attention_probs_dropout_prob");
  ConfigReader::RopeDefaults rope;
  rope.theta = c.fields.number("rotary_emb_base").value_or(10000);
  rope.partial = c.fields.number("rotary_pct").value_or(0.25);
  c.add_rope(rope);
  Network& network = c.network;
  network.embedding.module = "gpt_neox.embed_in";
  network.final_norm = layer_norm("gpt_neox.final_layer_norm", c.d.hidden, epsilon);
  network.head.module = "lm_head";  // since Transformers 5; files keep the old name
  network.renames.push_back({"embed_out.", "lm_head."});
  network.head.tied = c.tied(false);
  ignore_buffers(c, "gpt_neox.layers.", {"attention.bias", "attention.masked_bias", "attention.rotary_emb."});
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const std::string prefix = layer_prefix(i, "gpt_neox.layers.");
    Layer layer;
    layer.parallel = parallel;
    layer.before_attention = layer_norm(prefix + "input_layernorm", c.d.hidden, epsilon);
    layer.before_mlp = layer_norm(prefix + "post_attention_layernorm", c.d.hidden, epsilon);
    layer.attention = plain_attention(c);
    layer.attention.rope = 0;
    layer.attention.qkv = grouped_qkv(c, prefix + "attention.query_key_value", bias);
    layer.attention.o = one_map(layer.attention.q_width(), prefix + "attention.dense", c.d.hidden, bias);
    layer.mlp = plain_mlp(c, one_map(c.d.hidden, prefix + "mlp.dense_h_to_4h", c.d.ffn, true),
                          one_map(c.d.ffn, prefix + "mlp.dense_4h_to_h", c.d.hidden, true), activation);
    network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kGptNeox;
const Family kGptNeox{"gpt_neox", {"GPTNeoXForCausalLM"}, read};

}  // namespace lorikeet
