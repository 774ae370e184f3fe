#include "model/network_config.h"
#include "model/rope.h"
#include "test/checks.h"

namespace lorikeet {

namespace {

struct RopeCase {
  const char* name;
  const char* fields;  // of config.json
  float attention_factor;
  float inv_freq[8];
};

// Computed by Transformers 5.18 (LlamaRotaryEmbedding, head_dim 16, max_position_embeddings 2048).
constexpr RopeCase kCases[] = {
    {"no rope field at all",
     "",
     1.0f,
     {1.0f, 0.3162277638912201f, 0.10000000149011612f, 0.03162277862429619f, 0.009999999776482582f,
      0.003162277862429619f, 0.0010000000474974513f, 0.0003162277862429619f}},
    {"default with its own theta",
     R"("rope_theta": 500000.0)",
     1.0f,
     {1.0f, 0.193922758102417f, 0.03760603070259094f, 0.00729266507551074f, 0.001414213445968926f,
      0.00027424818836152554f, 5.3182957344688475e-05f, 1.0313385246263351e-05f}},
    {"linear, with the oldest spelling `type`",
     R"("rope_theta": 10000.0, "rope_scaling": {"type": "linear", "factor": 4.0})",
     1.0f,
     {0.25f, 0.07905694097280502f, 0.02500000037252903f, 0.007905694656074047f, 0.0024999999441206455f,
      0.0007905694656074047f, 0.0002500000118743628f, 7.905694656074047e-05f}},
    {"llama3, old spelling",
     R"("rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 64})",
     1.0f,
     {1.0f, 0.07940301299095154f, 0.004700753837823868f, 0.0009115831344388425f, 0.00017677668074611574f,
      3.428102354519069e-05f, 6.647869668086059e-06f, 1.289173155782919e-06f}},
    {"llama3, new spelling",
     R"("rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 64})",
     1.0f,
     {1.0f, 0.07940301299095154f, 0.004700753837823868f, 0.0009115831344388425f, 0.00017677668074611574f,
      3.428102354519069e-05f, 6.647869668086059e-06f, 1.289173155782919e-06f}},
    {"yarn",
     R"("rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512})",
     1.138629436111989f,
     {1.0f, 0.2569350600242615f, 0.0625f, 0.013834965415298939f, 0.0024999999441206455f,
      0.0007905694656074047f, 0.0002500000118743628f, 7.905694656074047e-05f}},
    {"yarn without truncation and with its own betas",
     R"("rope_theta": 1000000.0, "rope_scaling": {"rope_type": "yarn", "factor": 16.0, "truncate": false,
        "original_max_position_embeddings": 128, "beta_fast": 16, "beta_slow": 2})",
     1.2772588722239782f,
     {1.0f, 0.05874200910329819f, 0.0019764236640185118f, 0.00035146332811564207f, 6.25000029685907e-05f,
      1.1114246262877714e-05f, 1.9764233911701012e-06f, 3.5146334198543627e-07f}},
    {"yarn with mscale and mscale_all_dim",
     R"("rope_scaling": {"rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 256,
        "mscale": 0.8, "mscale_all_dim": 1.2})",
     0.897720452428813f,
     {1.0f, 0.23914724588394165f, 0.051249999552965164f, 0.008498622104525566f, 0.0002500000118743628f,
      7.905694656074047e-05f, 2.499999936844688e-05f, 7.905694474175107e-06f}},
    {"yarn with a given attention_factor",
     R"("rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512,
        "attention_factor": 0.75})",
     0.75f,
     {1.0f, 0.2569350600242615f, 0.0625f, 0.013834965415298939f, 0.0024999999441206455f,
      0.0007905694656074047f, 0.0002500000118743628f, 7.905694656074047e-05f}},
    {"yarn whose original length beside the rope fields wins",
     R"("original_max_position_embeddings": 256, "rope_scaling": {"rope_type": "yarn", "factor": 8.0,
        "original_max_position_embeddings": 512})",
     1.2079441541679836f,
     {1.0f, 0.24705293774604797f, 0.05625000223517418f, 0.010870330035686493f, 0.0012499999720603228f,
      0.00039528473280370235f, 0.0001250000059371814f, 3.9528473280370235e-05f}},
};

}  // namespace

TEST_CASE("rope frequencies equal those of Transformers") {
  for (const RopeCase& test : kCases) {
    CAPTURE(test.name);
    std::string text =
        R"({"model_type": "llama", "vocab_size": 8, "hidden_size": 64, "intermediate_size": 8,
            "num_hidden_layers": 1, "num_attention_heads": 4, "head_dim": 16, "max_position_embeddings": 2048)";
    if (*test.fields != '\0') text += std::string(", ") + test.fields;
    const Result<Network> network = parse_network(text + "}", std::nullopt);
    REQUIRE(network);
    const RotationDesc rope = make_rope(network->ropes.front());
    CHECK(rope.attention_factor == doctest::Approx(test.attention_factor).epsilon(1e-6));
    REQUIRE(rope.inv_freq.size() == 8);
    for (size_t i = 0; i < 8; ++i) {
      CAPTURE(i);
      CHECK(rope.inv_freq[i] == doctest::Approx(test.inv_freq[i]).epsilon(3e-7));
    }
  }
}

}  // namespace lorikeet
