// Writes a checkpoint's linear layers in NF4 as bitsandbytes does (model/nf4_checkpoint.h names the tensors),
// so that this engine and Transformers open it without quantizing again.
#pragma once

#include <string>

#include "backend/interface/status.h"

namespace lorikeet {

// Reads the checkpoint folder `from`; makes the folder `to` if there is none. Embedding, head, norms and
// biases stay as they are, and so do the tokenizer's files.
Status write_nf4_checkpoint(const std::string& from, const std::string& to, int threads);

}  // namespace lorikeet
