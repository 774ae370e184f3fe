#include "model/gguf/gguf_tensors.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "model/gguf/gguf_architecture.h"

namespace lorikeet {

namespace {

constexpr std::pair<std::string_view, std::string_view> kOutsideLayers[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
};
// Became part of the configuration.
constexpr std::string_view kTables[] = {"rope_freqs.weight", "rope_factors_long.weight",
                                        "rope_factors_short.weight"};

// "12" and nothing else.
std::optional<int64_t> digits(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size() && value >= 0;
  return whole && !text.empty() ? std::optional(value) : std::nullopt;
}

class Namer {
 public:
  Namer(const GgufArchitecture& architecture, int64_t heads, int64_t kv_heads)
      : architecture_(architecture), heads_(heads), kv_heads_(kv_heads) {}

  // Adds what stands for the file's tensor `name`: one tensor, or one of each expert.
  Status add(const std::string& name, const TensorInfo& info, std::map<std::string, TensorInfo>& to) const {
    for (const auto& [gguf, ours] : kOutsideLayers) {
      if (name == gguf) return put(std::string(ours), info, to);
    }
    if (std::find(std::begin(kTables), std::end(kTables), name) != std::end(kTables)) return {};
    if (std::optional<Place> place = place_of(name)) return add_at(*place, info, to);
    return Error{"tensor " + name + " is not known in the architecture " + std::string(architecture_.name)};
  }

 private:
  struct Place {
    std::string before, module, after;  // "model.layers.N.", "mlp.experts.*.w1", ".weight"
    std::optional<int64_t> expert;
  };

  std::optional<Place> place_of(std::string_view name) const {
    constexpr std::string_view kLayer = "blk.";
    if (!name.starts_with(kLayer)) return std::nullopt;
    const size_t dot = name.find('.', kLayer.size()), last = name.rfind('.');
    if (dot == std::string_view::npos || last <= dot) return std::nullopt;
    const std::string_view layer = name.substr(kLayer.size(), dot - kLayer.size()),
                           suffix = name.substr(last);
    if (!digits(layer) || (suffix != ".weight" && suffix != ".bias")) return std::nullopt;
    std::string stem(name.substr(dot + 1, last - dot - 1));
    Place place{"model.layers." + std::string(layer) + ".", "", std::string(suffix), std::nullopt};
    if (const size_t number = stem.rfind('.'); number != std::string::npos) {
      place.expert = digits(std::string_view(stem).substr(number + 1));
      if (!place.expert) return std::nullopt;
      stem = stem.substr(0, number) + ".*";
    }
    const GgufName* const found = find_gguf_name(architecture_, stem);
    if (found == nullptr) return std::nullopt;
    place.module = found->module;
    return place;
  }

  Status add_at(const Place& place, TensorInfo info, std::map<std::string, TensorInfo>& to) const {
    const size_t star = place.module.find('*');
    if (star == std::string::npos) {
      if (architecture_.paired_heads && place.module == "self_attn.q_proj") info.paired_heads = heads_;
      if (architecture_.paired_heads && place.module == "self_attn.k_proj") info.paired_heads = kv_heads_;
      // A gate of one row may have lost that dimension.
      if (place.module == "mlp.shared_expert_gate" && info.shape.size() == 1)
        info.shape.insert(info.shape.begin(), 1);
      return put(place.before + place.module + place.after, info, to);
    }
    const auto name_of = [&](int64_t expert) {
      return place.before + place.module.substr(0, star) + std::to_string(expert) +
             place.module.substr(star + 1) + place.after;
    };
    if (place.expert) return put(name_of(*place.expert), info, to);
    if (info.shape.size() != 3)
      return Error{"the experts " + name_of(0) + " and on have shape " + shape_text(info.shape)};
    const int64_t experts = info.shape.front();
    const uint64_t bytes = (info.end - info.begin) / static_cast<uint64_t>(experts);
    info.shape.erase(info.shape.begin());
    for (int64_t expert = 0; expert < experts; ++expert, info.begin += bytes) {
      info.end = info.begin + bytes;
      if (Status s = put(name_of(expert), info, to); !s) return s;
    }
    return {};
  }

  static Status put(std::string name, const TensorInfo& info, std::map<std::string, TensorInfo>& to) {
    const auto [found, added] = to.emplace(std::move(name), info);
    return added ? Status{} : Error{"two tensors stand for " + found->first};
  }

  const GgufArchitecture& architecture_;
  int64_t heads_;
  int64_t kv_heads_;
};

}  // namespace

Result<GgufTensors> name_gguf_tensors(GgufModel model) {
  const GgufValue* const name = model.find("general.architecture");
  const GgufArchitecture* const architecture =
      name != nullptr && name->is_text() ? find_gguf_architecture(name->text()) : nullptr;
  if (architecture == nullptr) return Error{"its general.architecture is not implemented"};
  GgufConfig config(model, std::string(name->text()));
  const int64_t heads = config.integer("attention.head_count").value_or(0);
  const Namer namer(*architecture, heads, config.integer("attention.head_count_kv").value_or(heads));
  GgufTensors named;
  named.whole_gains = architecture->whole_gains;
  std::vector<std::map<std::string, TensorInfo>> tensors;
  for (const GgufFile& part : model.parts()) {
    std::map<std::string, TensorInfo>& of_part = tensors.emplace_back();
    for (const auto& [tensor, info] : part.header.tensors) {
      if (Status s = namer.add(tensor, info, of_part); !s) return s.error();
    }
  }
  std::vector<GgufFile> parts = std::move(model).take_parts();
  for (size_t i = 0; i < parts.size(); ++i)
    named.files.emplace_back(std::move(parts[i].file), std::move(tensors[i]));
  return named;
}

}  // namespace lorikeet
