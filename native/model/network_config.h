// A checkpoint folder's config.json, or a GGUF file's metadata -> the network. What is not implemented is
// refused here or in the family's own file, with the field's name.
#pragma once

#include <optional>
#include <string>

#include "backend/interface/status.h"
#include "model/network.h"

namespace lorikeet {

Result<Network> read_network(const std::string& path);
// `generation_text` is generation_config.json's content where the folder has one.
Result<Network> parse_network(const std::string& text, const std::optional<std::string>& generation_text);

}  // namespace lorikeet
