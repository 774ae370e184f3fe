// The base model's weights, repacked by the backend.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "backend/interface/ops.h"
#include "model/checkpoint.h"
#include "model/modules.h"

namespace lorikeet {

// Null where the network has nothing there.
struct LayerWeights {
  std::array<std::unique_ptr<Linear>, kLinearSites> linear;
  std::array<std::unique_ptr<NormGain>, kNormSites> norm;
  std::unique_ptr<Experts> experts;
  RouterDesc routing;                                         // names the two below
  std::unique_ptr<Tensor> choice_bias;                        // [E]
  std::unique_ptr<Tensor> expert_scale;                       // [E]
  std::unique_ptr<Tensor> sinks;                              // [HQ]
  std::unique_ptr<Tensor> convolution, log_decay, time_bias;  // DeltaNetDesc's
  std::unique_ptr<Tensor> convolution_bias;                   // ShortConvolutionDesc's, as is convolution
  Activation activation;                                      // the MLP's, with its trained numbers
  float scale = 1.0f;                                         // of what the layer gives
};

struct Weights {
  // The head stands before the table: a tied table reads the head's rows and must go first.
  std::unique_ptr<Linear> head;      // [V, head_width()]
  std::unique_ptr<Embedding> embed;  // [V, embedding_width()]
  std::unique_ptr<Embedding> positions;
  std::unique_ptr<Linear> embed_projection, head_projection;  // EmbeddingTable's and Head's
  std::unique_ptr<NormGain> embed_norm;
  // LayerInputs'
  std::unique_ptr<Embedding> inputs_table;    // [V', L P]
  std::unique_ptr<Linear> inputs_projection;  // [L P, H]
  std::unique_ptr<NormGain> inputs_norm;      // [P]
  std::vector<LayerWeights> layers;
  std::unique_ptr<NormGain> final_norm;

  size_t bytes() const;
};

// Names the checkpoint's tensors as the network does, and settles what config.json left to them. To be called
// before anything else is made of the two.
Status fit_to_checkpoint(Network& network, Checkpoint& checkpoint);

// Takes every tensor that the network needs and refuses a checkpoint that has others.
Result<Weights> load_weights(const Network& network, Checkpoint& checkpoint, Backend& backend,
                             Quantization quantization);

}  // namespace lorikeet
