// One family of models: how its config.json becomes a network. Each has a file of its own beside this one;
// registry.cc lists them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/families/reader.h"

namespace lorikeet {

struct Family {
  const char* model_type;
  std::vector<const char*> architectures;  // of its causal language models
  void (*read)(ConfigReader& reader);      // faults go to the reader's fields
};

// A vision-language checkpoint: a text model inside, whose part alone is read.
struct TextPart {
  const char* model_type;  // of the whole
  std::vector<const char*> architectures;
  const char* text_model_type;  // where text_config names none
  std::vector<TensorRename> renames;
  std::vector<std::string> ignored;  // beginnings of the other parts' tensors
  // The whole's tie_word_embeddings counts, not the part's; without one the head is tied where no tensor is
  // there.
  bool may_lack_head = false;
};

std::span<const Family* const> families();
std::span<const TextPart> text_parts();
const Family* find_family(const std::string& model_type);
const TextPart* find_text_part(const std::string& model_type);

}  // namespace lorikeet
