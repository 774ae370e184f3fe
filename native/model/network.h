// The network as data: what families/ makes of a config.json, and what the decoder, the weights, the modules,
// the adapters and parity's second reading walk. A field says what is computed, never whose model it is.
//
// One layer, in the order of the decoder (x is the residual stream [T, H]):
//   x += scale * after_attention(attention(before_attention(x))), or a delta net in attention's place
//   x += scale * after_mlp(mlp(before_mlp(x)))
// or, parallel: both read the x of before, and their sum is added; or, norms_residual: x itself is what each
// norm gives, x = after(x + attention(x = before(x))). Then, where there are such, LayerInput and the layer's
// scale.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backend/interface/ops.h"
#include "model/quantization_config.h"
#include "model/rope.h"

namespace lorikeet {

struct Norm {
  std::string module;  // Transformers' name
  int32_t width = 0;   // values normalized together
  float epsilon = 0;
  NormKind kind = NormKind::rms;
  int32_t copies = 1;  // groups of `width` with gains of their own
  bool gain = true;    // false: no weight in the checkpoint
  bool bias = false;
  float offset = 0;         // the gain is offset + weight
  std::string gain_tensor;  // where it is not `module`'s weight
  bool apart = false;       // the weight of copy N is that of `module`.norms.N
  float gain_factor = 1.0f;

  int64_t size() const { return int64_t{copies} * width; }
};

// Rows of a module's weight [out, in] that make one part of a fused map: `count` rows in runs of `run`, whose
// beginnings lie `step` apart, from row `first`.
struct PartRows {
  int64_t first = 0;
  int64_t count = 0;
  int64_t run = 0;
  int64_t step = 0;

  bool contiguous() const { return run == count || run == step; }
  int64_t row(int64_t i) const { return first + i / run * step + i % run; }
};
inline PartRows rows_of(int64_t first, int64_t count) {
  return {first, count, count, count};
}

// A linear module of the checkpoint, which is also what an adapter changes.
struct MapModule {
  std::string name;
  int64_t out = 0;
  bool bias = false;
  bool transposed = false;      // the checkpoint holds [in, out] (GPT-2's Conv1D)
  std::vector<PartRows> parts;  // in the map's order; together they are all rows of the module
};

// Modules that read the same input, computed as one: y = [W0; W1; ..] x + b.
struct LinearMap {
  int64_t in = 0;
  std::vector<MapModule> modules;

  bool empty() const { return modules.empty(); }
  int64_t out() const {
    int64_t total = 0;
    for (const MapModule& module : modules) total += module.out;
    return total;
  }
};

// Multi-head latent attention (DeepSeek-AI 2024), expanded: q, k and v of each head are made of latents.
struct LatentAttention {
  LatentHeads heads;
  LinearMap q_down;            // [latent, H], or none: queries are made of what the layer reads
  std::optional<Norm> q_norm;  // of that latent
  LinearMap q;                 // [HQ (nope | rope), ..]
  LinearMap kv_down;           // parts: latent [C], and what turns of all heads' keys [rope]
  Norm kv_norm;                // of C
  LinearMap kv;                // [HQ (nope | value), C]
};

struct Attention {
  int32_t q_heads = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
  LinearMap qkv;  // three parts: q [HQ D], k [HKV D], v [HKV D]; or the first of them, as `projected` says
  bool gated = false;  // a part before them, gate [HQ D], whose sigmoid multiplies what comes of attention
  std::optional<LatentAttention> latent;  // in the place of qkv, which is empty then
  LinearMap o;
  Projected projected = Projected::qkv;
  std::optional<size_t> kv_of;  // of queries alone: the layer whose keys and values they see
  std::optional<size_t> rope;   // index into Network::ropes
  float scale = 0;
  int32_t window = 0;  // 0: full
  int32_t chunk = 0;   // AttentionDesc's
  float softcap = 0;   // 0: none
  bool alibi = false;
  bool coarse_alibi = false;  // AttentionDesc's
  QueryScaling query_scaling;
  float clip = 0;  // 0: none
  std::optional<Norm> q_norm, k_norm, v_norm;
  bool norm_after_rope = false;
  std::string sinks;  // tensor [HQ], or none

  int64_t q_width() const { return int64_t{q_heads} * head_dim; }
  int64_t kv_width() const { return int64_t{kv_heads} * head_dim; }
};

// A gated delta net (DeltaNetDesc) in the place of attention.
struct DeltaNet {
  int32_t key_heads = 0;
  int32_t value_heads = 0;
  int32_t key_dim = 0;
  int32_t value_dim = 0;
  int32_t taps = 0;  // of the convolution
  LinearMap in;   // parts: q [HK KD], k [HK KD], v [HV VD], z [HV VD], b [HV], a [HV]; q, k and v may be one
  LinearMap out;  // [H, HV VD]
  Norm norm;      // of each value head
  std::string stem;  // of its tensors conv1d.weight, A_log and dt_bias

  DeltaNetDesc desc() const {
    DeltaNetDesc desc;
    desc.key_heads = key_heads;
    desc.value_heads = value_heads;
    desc.key_dim = key_dim;
    desc.value_dim = value_dim;
    desc.taps = taps;
    return desc;
  }
};

// A gated convolution of a few tokens (ShortConvolutionDesc) in the place of attention.
struct ShortConvolution {
  int32_t channels = 0;
  int32_t taps = 0;
  bool bias = false;
  LinearMap in;        // parts: b [C], c [C], x [C]
  LinearMap out;       // [H, C]
  std::string kernel;  // the module of its weight [C, 1, taps], and of its bias [C]

  ShortConvolutionDesc desc() const {
    ShortConvolutionDesc desc;
    desc.channels = channels;
    desc.taps = taps;
    return desc;
  }
};

// Where a checkpoint keeps its experts: each in modules of its own, `stem`N.gate and so on, or all in one
// tensor, `stem` and the fused name.
struct ExpertNames {
  std::string stem;  // "model.layers.0.mlp.experts."
  std::string gate = "gate_proj", up = "up_proj", down = "down_proj";
  std::string fused_up = "gate_up_proj";  // [E, 2 F, H]
  std::string fused_down = "down_proj";   // [E, H, F]
  bool transposed = false;                // fused [E, H, 2 F] and [E, F, H]
  bool interleaved = false;               // fused rows are gate, up, gate, up ..
  bool bias = false;                      // fused, by the tensors' names and "_bias"
};

// The norms of experts in parallel with an MLP: each branch has one behind it, and before the experts and
// their router each one of the residual.
struct ExpertNorms {
  Norm router, before, after, after_mlp;
};

struct ExpertLayer {
  LinearMap router;               // [E, H]
  bool router_is_linear = false;  // to Transformers a linear module, not a parameter beside code
  RouterDesc routing;
  std::string choice_bias;   // tensor [E], or none
  std::string expert_scale;  // tensor [E], or none
  int64_t width = 0;         // F of one expert
  ExpertNames names;
  LinearMap shared_gate;  // [1, H]: its sigmoid scales what the shared expert gives; may be empty
  std::optional<ExpertNorms> norms;
};

struct Mlp {
  bool gated = true;
  // With experts, those of the one that all rows share; empty where there is none.
  LinearMap up;  // gated: two parts, gate [F] and up [F]; plain: one
  LinearMap down;
  std::optional<ExpertLayer> experts;
  Activation activation;
  std::string xielu;  // the module whose tensors alpha_p, alpha_n, beta and eps are the activation's, or none

  int64_t width() const { return down.in; }
};

// What a layer does in the end with its own P of LayerInputs' numbers:
//   x += after(projection(f(gate(x)) * own)), f being the MLP's
struct LayerInput {
  LinearMap gate;        // [P, H]
  LinearMap projection;  // [H, P]
  Norm after;
};

struct Layer {
  std::optional<Norm> before_attention, after_attention, before_mlp, after_mlp;
  // The MLP reads before_mlp(x), or what attention read where there is none, and the layer's input x.
  bool parallel = false;
  bool norms_residual = false;
  // One of the three: with one of the others, attention is empty.
  Attention attention;
  std::optional<DeltaNet> delta_net;
  std::optional<ShortConvolution> convolution;
  Mlp mlp;
  std::optional<LayerInput> input;
  std::string scale;  // tensor [1] that multiplies what the layer gives, or none
};

struct EmbeddingTable {
  std::string module;
  int32_t width = 0;         // of its rows where it is not the network's; `projection` makes that of them
  LinearMap projection;      // [H, width], or none
  float scale = 1.0f;        // of its rows
  std::optional<Norm> norm;  // of its rows
  // Learned positions: row position + offset of another table [rows, H] is added.
  std::string positions;
  int32_t position_rows = 0;
  int32_t position_offset = 0;
};

// Numbers for each layer beside the residual (Gemma 3n, Gemma 4), of the token's row in a table of their own
// and of its embedding x: [L P] = scale * (norm(projection_scale * projection(x)) + table_scale * row).
struct LayerInputs {
  int32_t width = 0;  // P
  std::string table;  // module [table_rows, L P]
  int32_t table_rows = 0;
  float table_scale = 1.0f;
  LinearMap projection;  // [L P, H]
  float projection_scale = 1.0f;
  Norm norm;  // of each layer's P
  float scale = 1.0f;
};

struct Head {
  std::string module;
  LinearMap projection;         // [width, H] of what the head reads, or none
  bool tied = false;            // to the embedding
  bool tied_if_absent = false;  // config.json does not say: tied where the checkpoint has no tensor for it
  bool bias = false;
  float scale = 1.0f;  // of the logits
  float softcap = 0;   // of the logits, after the scale; 0: none
};

// A tensor's name in the checkpoint begins with (or, `anywhere`, holds) `from`, which stands for `to`.
struct TensorRename {
  std::string from, to;
  bool anywhere = false;
};

struct Network {
  std::string family;        // model_type
  std::string architecture;  // "LlamaForCausalLM"
  int32_t vocab = 0;
  int32_t room = 0;  // tokens beyond them that adapters may add
  int32_t hidden = 0;
  int32_t max_positions = 0;
  EmbeddingTable embedding;
  std::optional<LayerInputs> layer_inputs;
  std::vector<Rope> ropes;
  std::vector<Layer> layers;
  float residual_scale = 1.0f;
  std::optional<Norm> final_norm;
  Head head;

  CheckpointFormat format;
  std::vector<TensorRename> renames;   // the first that fits
  std::vector<std::string> ignored;    // beginnings of names of tensors that this network goes without
  std::vector<std::string> unread;     // modules among them that adapters may have been trained beside
  std::vector<int32_t> eos_token_ids;  // generation_config.json's when it names any
  std::optional<int32_t> bos_token_id;

  int32_t layer_count() const { return static_cast<int32_t>(layers.size()); }
  int32_t embedding_width() const { return embedding.width > 0 ? embedding.width : hidden; }
  // Of what the head reads.
  int64_t head_width() const { return head.projection.empty() ? hidden : head.projection.out(); }
};

// The most of each thing that a backend reserves memory for; `quantized` is not known here.
NetworkShape shape_of(const Network& network);

// What the cache holds, of each layer that has keys and values of its own; and the place of a layer's there.
std::vector<KvLayer> kv_layers(const Network& network);
int kv_place(const Network& network, size_t layer);

}  // namespace lorikeet
