// Gemma 4, text: Gemma 3's sandwich with plain gains, scores that are not scaled, values with a norm of their
// own, and full layers of other heads than those with a window. Variants: full layers whose keys are their
// values (31B, 26B-A4B); the last layers read the keys and values of earlier ones, and each layer has inputs
// of its own (E2B, E4B); experts beside every MLP (26B-A4B).
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "model/families/family.h"
#include "model/families/gemma.h"

namespace lorikeet {

namespace {

// What layers differ by.
struct LayerKind {
  bool sliding = false;
  int32_t head_dim = 0;
  int32_t kv_heads = 0;
  bool keys_are_values = false;
  std::optional<size_t> kv_of;  // the layer whose keys and values it reads
};

std::vector<LayerKind> kinds_by_type(ConfigReader& c) {
  std::vector<std::string> types = c.layer_types();
  if (types.empty()) {
    for (int32_t i = 0; i < c.d.layers; ++i)
      types.emplace_back((i + 1) % 6 == 0 ? "full_attention" : "sliding_attention");
  }
  types.back() = "full_attention";  // whatever the file says
  const bool keys_are_values = c.fields.boolean("attention_k_eq_v", false);
  std::vector<LayerKind> kinds;
  for (const std::string& type : types) {
    LayerKind kind{type == "sliding_attention", c.d.head_dim, c.d.kv_heads, false, std::nullopt};
    kind.keys_are_values = !kind.sliding && keys_are_values;
    kinds.push_back(kind);
  }
  return kinds;
}

// The number of a layer in a name of a JSON object's field.
std::optional<size_t> layer_number(const std::string& text, size_t layers) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number >= layers) return std::nullopt;
  return number;
}

// per_layer_config as Transformers 5.18 writes it: what differs, layer by layer.
void read_layer_overrides(ConfigReader& c, std::vector<LayerKind>& kinds) {
  const nlohmann::json& overrides = c.fields.raw("per_layer_config");
  if (!overrides.is_object()) return c.fields.fail("per_layer_config", "an object");
  for (const auto& [name, override] : overrides.items()) {
    const std::optional<size_t> number = layer_number(name, kinds.size());
    if (!number || !override.is_object())
      return c.fields.fail("per_layer_config", "objects by the numbers of layers");
    JsonFields own(override, c.fields.where() + ": per_layer_config." + name);
    LayerKind& kind = kinds[*number];
    kind.head_dim = own.integer("head_dim", 1).value_or(kind.head_dim);
    kind.kv_heads = own.integer("num_key_value_heads", 1).value_or(kind.kv_heads);
    for (const std::string& unknown : own.unread()) own.refuse(unknown + " is not implemented by layer");
    if (own.error()) c.fields.take_error(*own.error());
  }
}

// The heads of full layers.
void read_heads(ConfigReader& c, std::vector<LayerKind>& kinds) {
  const int32_t head_dim = c.fields.integer("global_head_dim", 1).value_or(512);
  const auto kv_heads = c.fields.integer("num_global_key_value_heads", 1);
  if (c.fields.has("per_layer_config")) {
    read_layer_overrides(c, kinds);
  } else {
    for (LayerKind& kind : kinds) {
      if (kind.sliding) continue;
      kind.head_dim = head_dim;
      if (kind.keys_are_values) kind.kv_heads = kv_heads.value_or(kind.kv_heads);
    }
  }
  for (const LayerKind& kind : kinds) {
    if (c.d.q_heads % kind.kv_heads != 0)
      c.fields.refuse("num_attention_heads is not a multiple of num_global_key_value_heads");
    if (kind.head_dim % 2 != 0) c.fields.fail("global_head_dim", "even");
    if (int64_t{c.d.q_heads} * kind.head_dim > (1 << 24))
      c.fields.refuse("num_attention_heads * global_head_dim is too large");
  }
}

// The rope of one type of layers, whose heads must be alike; no such layer: none.
std::optional<size_t> add_rope_of(ConfigReader& c, const std::vector<LayerKind>& kinds, bool sliding) {
  std::optional<int32_t> head_dim;
  for (const LayerKind& kind : kinds) {
    if (kind.sliding != sliding) continue;
    if (head_dim.value_or(kind.head_dim) != kind.head_dim)
      c.fields.refuse("per_layer_config gives layers of one type heads of several sizes");
    head_dim = kind.head_dim;
  }
  if (!head_dim || c.fields.error()) return std::nullopt;
  if (!c.fields.has("rope_parameters")) {
    Rope rope;
    rope.theta = sliding ? 1e4 : 1e6;
    rope.type = sliding ? RopeType::standard : RopeType::proportional;
    rope.dims = *head_dim;
    rope.turning_pairs = *head_dim / 4 / 2;
    return c.push_rope(rope, *head_dim);
  }
  ConfigReader::RopeDefaults defaults;
  defaults.head_dim = *head_dim;
  const char* const key = sliding ? "sliding_attention" : "full_attention";
  const auto rope = c.add_rope_of(key, defaults);
  if (!rope) {
    c.fields.fail("rope_parameters", std::string("an object with ") + key);
    return rope;
  }
  // The plain rope turns whole heads, whatever is said of a part.
  Rope& own = c.network.ropes[*rope];
  if (own.type == RopeType::standard) own.dims = *head_dim;
  return rope;
}

Attention attention_of(ConfigReader& c, int32_t index, const LayerKind& kind, const LayerOptions& options) {
  const std::string self = layer_prefix(index) + "self_attn.";
  const auto map = [&](const char* name, int64_t out) {
    return map_module(self + name, out, options.qkv_bias);
  };
  Attention a;
  a.q_heads = c.d.q_heads;
  a.kv_heads = kind.kv_heads;
  a.head_dim = kind.head_dim;
  a.scale = 1.0f;
  a.qkv = {c.d.hidden, {map("q_proj", a.q_width())}};
  a.o = {a.q_width(), {map_module(self + "o_proj", c.d.hidden, options.o_bias)}};
  a.q_norm = c.rms_norm(self + "q_norm", a.head_dim, options.epsilon);
  a.kv_of = kind.kv_of;
  a.projected = kind.kv_of ? Projected::q : kind.keys_are_values ? Projected::qk : Projected::qkv;
  if (a.projected == Projected::q) return a;
  a.qkv.modules.push_back(map("k_proj", a.kv_width()));
  if (a.projected == Projected::qkv) a.qkv.modules.push_back(map("v_proj", a.kv_width()));
  a.k_norm = c.rms_norm(self + "k_norm", a.head_dim, options.epsilon);
  a.v_norm = c.rms_norm(self + "v_norm", a.head_dim, options.epsilon);
  a.v_norm->gain = false;
  return a;
}

// The last so many layers project no keys and values: they read those of the last layer of their type before
// them. Checkpoints may hold the unused weights.
void share_keys(ConfigReader& c, std::vector<LayerKind>& kinds) {
  const int32_t shared = c.fields.integer("num_kv_shared_layers", 0).value_or(0);
  if (shared == 0) return;
  if (shared >= c.d.layers) return c.fields.fail("num_kv_shared_layers", "below num_hidden_layers");
  const auto first = static_cast<size_t>(c.d.layers - shared);
  for (size_t layer = first; layer < kinds.size(); ++layer) {
    LayerKind& own = kinds[layer];
    for (size_t before = first; before > 0 && !own.kv_of; --before) {
      if (kinds[before - 1].sliding == own.sliding) own.kv_of = before - 1;
    }
    if (!own.kv_of) return c.fields.refuse("num_kv_shared_layers leaves no layer of the type of a later one");
    const LayerKind& owner = kinds[*own.kv_of];
    if (owner.head_dim != own.head_dim || owner.kv_heads != own.kv_heads)
      return c.fields.refuse("num_kv_shared_layers: heads differ from those of the layer that is shared");
    const std::string self = layer_prefix(static_cast<int32_t>(layer)) + "self_attn.";
    for (const char* unread : {"k_proj", "v_proj"}) c.network.unread.push_back(self + unread);
    for (const char* unread : {"k_proj.", "v_proj.", "k_norm.", "v_norm."})
      c.network.ignored.push_back(self + unread);
  }
}

// Each layer's numbers of the token and of its embedding; `width` of them.
void put_layer_inputs(ConfigReader& c, int32_t width, int32_t rows, const LayerOptions& options) {
  if (rows < c.d.vocab) return c.fields.fail("vocab_size_per_layer_input", "at least vocab_size");
  const int64_t all = int64_t{width} * c.d.layers;
  if (all > (1 << 24)) return c.fields.refuse("hidden_size_per_layer_input * num_hidden_layers is too large");
  LayerInputs inputs;
  inputs.width = width;
  inputs.table = "model.embed_tokens_per_layer";
  inputs.table_rows = rows;
  inputs.table_scale = static_cast<float>(std::sqrt(static_cast<double>(width)));
  inputs.projection = {c.d.hidden, {map_module("model.per_layer_model_projection", all)}};
  inputs.projection_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.d.hidden)));
  inputs.norm = c.rms_norm("model.per_layer_projection_norm", width, options.epsilon);
  inputs.scale = static_cast<float>(1.0 / std::sqrt(2.0));
  c.network.layer_inputs = inputs;
}

LayerInput layer_input_of(ConfigReader& c, int32_t index, const LayerOptions& options) {
  const std::string prefix = layer_prefix(index);
  const int32_t width = c.network.layer_inputs->width;
  return {{c.d.hidden, {map_module(prefix + "per_layer_input_gate", width)}},
          {width, {map_module(prefix + "per_layer_projection", c.d.hidden)}},
          c.rms_norm(prefix + "post_per_layer_input_norm", c.d.hidden, options.epsilon)};
}

struct Experts4 {
  int32_t count = 0, chosen = 0, width = 0;
};

// Nothing where enable_moe_block is off, whatever is said beside it.
std::optional<Experts4> read_experts(ConfigReader& c) {
  const bool enabled = c.fields.boolean("enable_moe_block", false);
  for (const char* name : {"num_experts", "top_k_experts", "moe_intermediate_size"}) c.fields.has(name);
  if (!enabled) return std::nullopt;
  const Experts4 experts{c.fields.need_integer("num_experts", 1), c.fields.need_integer("top_k_experts", 1),
                         c.fields.need_integer("moe_intermediate_size", 1)};
  if (experts.chosen > experts.count) c.fields.refuse("top_k_experts exceeds num_experts");
  return experts;
}

ExpertLayer experts_of(ConfigReader& c, int32_t index, const Experts4& given, const LayerOptions& options) {
  const std::string prefix = layer_prefix(index), router = prefix + "router.";
  const auto norm = [&](const std::string& name) {
    return c.rms_norm(prefix + name, c.d.hidden, options.epsilon);
  };
  ExpertLayer experts;
  experts.router = {c.d.hidden, {map_module(router + "proj", given.count)}};
  experts.router_is_linear = true;
  experts.routing.experts = given.count;
  experts.routing.chosen = given.chosen;
  experts.routing.renormalize = true;
  experts.expert_scale = router + "per_expert_scale";
  experts.width = given.width;
  experts.names.stem = prefix + "experts.";
  experts.norms = ExpertNorms{norm("router.norm"), norm("pre_feedforward_layernorm_2"),
                              norm("post_feedforward_layernorm_2"), norm("post_feedforward_layernorm_1")};
  experts.norms->router.gain_tensor = router + "scale";
  experts.norms->router.gain_factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.d.hidden)));
  return experts;
}

LayerOptions read_options(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.vocab = 262144;
  defaults.hidden = 2304;
  defaults.ffn = 9216;
  defaults.layers = 30;
  defaults.q_heads = 8;
  defaults.kv_heads = 4;
  defaults.head_dim = 256;
  defaults.max_positions = 131072;
  c.read_dimensions(defaults);
  LayerOptions options = gemma_options(c);
  options.norm_offset = 0.0f;
  options.activation = c.activation("hidden_activation", "gelu_pytorch_tanh");
  return options;
}

void read(ConfigReader& c) {
  const LayerOptions options = read_options(c);
  const int32_t window = c.fields.integer("sliding_window", 1).value_or(512);
  const double cap = c.fields.number("final_logit_softcapping").value_or(0);
  const bool wide = c.fields.boolean("use_double_wide_mlp", false);
  const int32_t input_width = c.fields.integer("hidden_size_per_layer_input", 0).value_or(256);
  const int32_t input_rows = c.fields.integer("vocab_size_per_layer_input", 1).value_or(262144);
  const std::optional<Experts4> experts = read_experts(c);
  if (c.fields.error()) return;
  std::vector<LayerKind> kinds = kinds_by_type(c);
  if (c.fields.error()) return;
  read_heads(c, kinds);
  share_keys(c, kinds);
  gemma_frame(c, options);
  c.network.head.softcap = static_cast<float>(cap);
  const auto local = add_rope_of(c, kinds, true), full = add_rope_of(c, kinds, false);
  if (input_width > 0) put_layer_inputs(c, input_width, input_rows, options);
  if (c.fields.error()) return;
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const LayerKind& kind = kinds[static_cast<size_t>(i)];
    Layer layer = gemma_sandwich(c, i, options, 1.0);
    layer.attention = attention_of(c, i, kind, options);
    layer.attention.window = kind.sliding ? window : 0;
    layer.attention.rope = kind.sliding ? local : full;
    if (kind.kv_of && wide) {
      layer.mlp.down.in *= 2;
      for (MapModule& module : layer.mlp.up.modules) module = map_module(module.name, 2 * module.out);
    }
    if (experts) layer.mlp.experts = experts_of(c, i, *experts, options);
    if (input_width > 0) layer.input = layer_input_of(c, i, options);
    layer.scale = layer_prefix(i) + "layer_scalar";
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kGemma4;
const Family kGemma4{"gemma4_text", {"Gemma4ForCausalLM"}, read};

}  // namespace lorikeet
