// A GGUF model's tensors by Transformers' names, and what of llama.cpp's rearrangements has to be undone.
#pragma once

#include <vector>

#include "model/gguf/gguf_model.h"
#include "model/tensor_file.h"

namespace lorikeet {

struct GgufTensors {
  std::vector<TensorFile> files;  // one for each part
  bool whole_gains = false;       // the norms' weights hold what Transformers adds to them
};

// A tensor that the architecture does not know is an error.
Result<GgufTensors> name_gguf_tensors(GgufModel model);

}  // namespace lorikeet
