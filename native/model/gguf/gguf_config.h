// A GGUF file's metadata in config.json's spelling, which families/ reads. Every key of the architecture has
// to be known: one that is not might change what the model computes, and is refused by name.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "model/gguf/gguf_model.h"

namespace lorikeet {

class GgufConfig {
 public:
  GgufConfig(const GgufModel& model, std::string architecture)
      : model_(model), architecture_(std::move(architecture)) {}

  nlohmann::json config;

  const GgufModel& model() const { return model_; }
  int64_t layers() const { return layers_; }

  // Of the key behind "ARCHITECTURE.". An array of equal numbers is one number; one of several is refused.
  std::optional<double> number(const std::string& key);
  std::optional<int64_t> integer(const std::string& key);
  std::optional<std::string> text(const std::string& key);
  double need(const std::string& key);
  void copy_integer(const std::string& key, const char* field);
  void copy_number(const std::string& key, const char* field);
  // Known, and no matter here.
  void ignore(const std::string& key) { (void)find(key); }
  // Implemented with one value alone.
  void only(const std::string& key, double value);
  void refuse(const std::string& message);

  bool layer_has(int64_t layer, const std::string& stem) const {
    return model_.has_tensor("blk." + std::to_string(layer) + "." + stem);
  }
  // What every architecture says. Then its own follows, then finish().
  void read_common();
  Status finish();

 private:
  const GgufValue* find(const std::string& key);
  void read_heads();
  void read_rope();
  void read_scaling(const std::string& type);

  const GgufModel& model_;
  const std::string architecture_;
  std::set<std::string> read_;
  std::optional<Error> error_;
  int64_t layers_ = 0;
  int64_t head_dim_ = 0;
};

// config.json's text.
Result<std::string> gguf_config_text(const GgufModel& model);

}  // namespace lorikeet
