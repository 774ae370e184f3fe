// What the families' files share: sizes, ropes and layers that are Llama's but for a few fields.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/json_fields.h"
#include "model/network.h"

namespace lorikeet {

struct Dimensions {
  int32_t vocab = 0;
  int32_t hidden = 0;
  int32_t ffn = 0;
  int32_t layers = 0;
  int32_t q_heads = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
  int32_t max_positions = 0;
};

// A class's defaults for fields that config.json leaves out; what has none must stand there.
struct DimensionDefaults {
  std::optional<int32_t> vocab, hidden, ffn, layers, q_heads, kv_heads, head_dim;
  int32_t max_positions = 2048;
};

// Names of a layer's modules below its prefix.
struct LayerOptions {
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  float norm_offset = 0;
  float epsilon = 1e-6f;
  Activation activation;
};

class ConfigReader {
 public:
  ConfigReader(JsonFields& fields, Network& network) : fields(fields), network(network) {}

  JsonFields& fields;
  Network& network;
  Dimensions d;

  // Reads the usual names into d.
  void read_dimensions(const DimensionDefaults& defaults);
  void check_dimensions();
  // The norms' epsilon; `name` is its field.
  float epsilon(const char* name, double otherwise);
  Activation activation(const char* name, const char* otherwise);
  bool tied(bool otherwise) { return fields.boolean("tie_word_embeddings", otherwise); }

  // The rope of rope_scaling, rope_parameters and rope_theta, over partial_rotary_factor of d.head_dim. The
  // index that layers refer to.
  struct RopeDefaults {
    double theta = 10000.0;
    double partial = 1.0;
    bool interleaved = false;
    bool yarn_means_longrope = false;  // Phi-3's first files
    std::vector<const char*> beside;   // fields among the rope's that the family reads itself
    int32_t head_dim = 0;              // above 0: of its layers, where they differ from the others
  };
  size_t add_rope(const RopeDefaults& defaults);
  size_t add_rope() { return add_rope(RopeDefaults{}); }
  // `head_dim` as RopeDefaults'.
  size_t push_rope(const Rope& rope, int32_t head_dim = 0);
  bool has_rope_parameters();
  // The scaling's name, "default" where there is none.
  std::string rope_type();
  // A number of rope_scaling or rope_parameters.
  std::optional<double> rope_number(const char* name);
  // By layer type, where rope_parameters has an object for each (`key`); nullopt otherwise.
  std::optional<size_t> add_rope_of(const char* key, const RopeDefaults& defaults);

  // Unscaled, of d.head_dim.
  size_t add_plain_rope(double theta);

  // "sliding_attention" and "full_attention" by layer; empty where the field is absent.
  std::vector<std::string> layer_types();

  // Embedding, final norm and head by Llama's names.
  void llama_frame(bool tied, float epsilon, float norm_offset = 0);
  // Pre-norm RMS layer by Llama's names; rope 0 and no window. Families change what differs.
  Layer llama_layer(int32_t index, const LayerOptions& options) const;

  Norm rms_norm(const std::string& module, int32_t width, float epsilon, float offset = 0) const;

 private:
  void read_scaling(Rope& rope, JsonFields& own, const RopeDefaults& defaults,
                    std::optional<double> model_original);
  // Sizes by the part of a head that turns.
  static void size_rope(Rope& rope, int32_t head_dim, double partial);
  void read_llama3(Rope& rope, JsonFields& own);
  void read_yarn(Rope& rope, JsonFields& own);
  void read_longrope(Rope& rope, JsonFields& own);
  // rope_scaling wherever it says something, else rope_parameters; nullptr: neither is there.
  const char* rope_field();
};

MapModule map_module(std::string name, int64_t out, bool bias = false);
std::string layer_prefix(int32_t index, const char* stem = "model.layers.");

}  // namespace lorikeet
