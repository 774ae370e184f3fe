#include "model/dense_merge.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "backend/interface/dense_weights.h"
#include "backend/shared/dtype.h"
#include "model/expert_modules.h"
#include "model/narrow.h"
#include "model/safetensors.h"

namespace lorikeet {

namespace {

using nlohmann::json;
using Values = std::vector<double>;

constexpr int64_t kAnySize = 0;

double number_at(const std::byte* data, const std::string& dtype, int64_t index) {
  if (dtype == "F64") {
    double value;
    std::memcpy(&value, data + index * static_cast<int64_t>(sizeof value), sizeof value);
    return value;
  }
  const DType narrow = dtype == "F32" ? DType::f32 : dtype == "F16" ? DType::f16 : DType::bf16;
  return load_f32(data, narrow, index);
}

// The values in float32, as a tensor over `kept`.
HostTensor in_f32(const Values& values, int64_t rows, int64_t cols, std::vector<float>& kept) {
  kept.assign(values.begin(), values.end());
  return {reinterpret_cast<const std::byte*>(kept.data()), DType::f32, rows, cols};
}

void round_to_bf16(Values& values) {
  for (double& value : values) value = bf16_to_f32(f32_to_bf16(static_cast<float>(value)));
}

// One module's change. Every product is summed in float64: this path defines right.
class ModuleMerge {
 public:
  ModuleMerge(const SafetensorsFile& file, const json& change, const Module& module, AdapterType type)
      : file_(file), change_(change), module_(module), type_(type) {
    if (!change.contains("within")) return;
    rows_ = Rows{change["within"]["first"].get<int64_t>(), change["within"]["of"].get<int64_t>()};
  }

  // Of one expert, or of a stack: A [E * rank, in] and B [out, rank * E], or `turned` A [E * rank, out] and
  // B [in, rank * E], of which each expert has its rows of A and every E-th column of B.
  Status apply_to_experts(const ExpertModule& place, Experts& experts) {
    PartValues all;
    if (Status s = read_vectors(all, place.out); !s) return s;
    const bool turned = change_.contains("lowRank") && change_["lowRank"].value("turned", false);
    const int64_t inputs = turned ? place.out : place.in, outputs = turned ? place.in : place.out;
    Values all_a, all_b;
    if (Status s = read_low_rank(inputs, outputs, all_a, all_b); !s) return s;
    const int64_t columns = rank_, count = place.count;
    if (columns == 0 || columns % count != 0) return Error{"A does not fit the experts"};
    rank_ = columns / count;
    for (int64_t e = 0; e < count; ++e) {
      Values a(static_cast<size_t>(rank_ * place.in));
      all.b.resize(static_cast<size_t>(place.out * rank_));
      for (int64_t r = 0; r < rank_; ++r) {
        for (int64_t i = 0; i < inputs; ++i)
          (turned ? all.b[i * rank_ + r] : a[r * place.in + i]) = all_a[(e * rank_ + r) * inputs + i];
        for (int64_t o = 0; o < outputs; ++o)
          (turned ? a[r * place.in + o] : all.b[o * rank_ + r]) = all_b[o * columns + r * count + e];
      }
      into_parts(dense_expert(experts, place.first + static_cast<int>(e), place.down), a, all);
    }
    return {};
  }

  Status apply(Weights& weights) {
    switch (module_.kind) {
      case ModuleKind::linear:
        return into_map(weights);
      case ModuleKind::embedding:
        if (module_.place == ModulePlace::positions) return Error{"a table of positions cannot be changed"};
        return into_table(
            dense_table(module_.place == ModulePlace::inputs_table ? *weights.inputs_table : *weights.embed));
      case ModuleKind::norm:
        return into_norm(norm_of(weights));
    }
    return {};
  }

 private:
  Linear& map_of(Weights& weights) const {
    if (module_.place == ModulePlace::head) return *weights.head;
    if (module_.place == ModulePlace::embed_projection) return *weights.embed_projection;
    if (module_.place == ModulePlace::head_projection) return *weights.head_projection;
    if (module_.place == ModulePlace::inputs_projection) return *weights.inputs_projection;
    auto& layer = weights.layers[static_cast<size_t>(module_.layer)];
    return *layer.linear[static_cast<size_t>(module_.linear_site)];
  }

  NormGain& norm_of(Weights& weights) const {
    if (module_.place == ModulePlace::final_norm) return *weights.final_norm;
    if (module_.place == ModulePlace::embed_norm) return *weights.embed_norm;
    if (module_.place == ModulePlace::inputs_norm) return *weights.inputs_norm;
    return *weights.layers[static_cast<size_t>(module_.layer)].norm[static_cast<size_t>(module_.norm_site)];
  }

  // What one part of the map gets of the module's numbers, row by row of the output.
  struct PartValues {
    Values w, b, magnitude, bias, lora_bias;
  };

  static Values picked(const Values& from, const PartRows& rows, int64_t width) {
    Values to;
    for (int64_t i = 0; !from.empty() && i < rows.count; ++i) {
      const auto begin = from.begin() + rows.row(i) * width;
      to.insert(to.end(), begin, begin + width);
    }
    return to;
  }

  // W [out, in]
  Status into_map(Weights& weights) {
    PartValues all;
    Values a;
    const int64_t outputs = rows_ ? rows_->of : module_.out;
    if (Status s = read_replaced(outputs * module_.in, all.w); !s) return s;
    if (module_.transposed && !all.w.empty()) all.w = transposed(all.w, outputs);
    if (Status s = read_low_rank(module_.in, outputs, a, all.b); !s) return s;
    if (Status s = read_vectors(all, outputs); !s) return s;
    if (rows_) keep_rows(all);
    into_parts(map_of(weights), a, all);
    return module_.place == ModulePlace::head ? into_rows(dense_linear(*weights.head, 0)) : Status{};
  }

  Status read_vectors(PartValues& all, int64_t outputs) {
    if (Status s = read("magnitude", outputs, all.magnitude); !s) return s;
    if (Status s = read("bias", outputs, all.bias); !s) return s;
    return read("loraBias", outputs, all.lora_bias);
  }

  void keep_rows(PartValues& all) const {
    const PartRows own = rows_of(rows_->first, module_.out);
    all.w = picked(all.w, own, module_.in);
    all.b = picked(all.b, own, rank_);
    for (Values* const vector : {&all.magnitude, &all.bias, &all.lora_bias})
      *vector = picked(*vector, own, 1);
  }

  void into_parts(Linear& map, const Values& a, const PartValues& all) const {
    for (size_t i = 0; i < module_.parts.size(); ++i) {
      const PartRows& rows = module_.parts[i];
      Values part_a = a;
      PartValues part{picked(all.w, rows, module_.in), picked(all.b, rows, rank_),
                      picked(all.magnitude, rows, 1), picked(all.bias, rows, 1),
                      picked(all.lora_bias, rows, 1)};
      narrow(part_a, part.b);
      into_part(dense_linear(map, module_.part + static_cast<int>(i)), part_a, part);
    }
  }

  Status into_rows(DenseLinear linear) {
    if (linear.added.empty()) return replace_rows(linear.weight, linear.n, linear.k);
    // Beside quantized weights a replaced row is, like a delta, multiplied with the activations as they are.
    if (Status s = replace_rows(linear.added, linear.n, linear.k); !s || !change_.contains("rows")) return s;
    for (const json& index : change_["rows"]["indices"]) {
      const auto row = linear.weight.subspan(index.get<size_t>() * static_cast<size_t>(linear.k),
                                             static_cast<size_t>(linear.k));
      std::fill(row.begin(), row.end(), 0.0f);
    }
    return {};
  }

  // w [in, out] -> [out, in]
  Values transposed(const Values& w, int64_t outputs) const {
    Values result(w.size());
    for (int64_t j = 0; j < module_.in; ++j) {
      for (int64_t i = 0; i < outputs; ++i) result[i * module_.in + j] = w[j * outputs + i];
    }
    return result;
  }

  void into_part(DenseLinear linear, const Values& a, const PartValues& part) const {
    const auto& [w, b, magnitude, bias, lora_bias] = part;
    if (!bias.empty()) linear.bias.emplace(bias.begin(), bias.end());
    if (!lora_bias.empty() && !linear.bias) linear.bias.emplace(static_cast<size_t>(linear.n), 0.0f);
    Values added(static_cast<size_t>(linear.k));  // one row
    for (int64_t i = 0; i < linear.n; ++i) {
      const std::span<float> row = linear.weight.subspan(static_cast<size_t>(i * linear.k), added.size());
      std::fill(added.begin(), added.end(), 0.0);
      if (!w.empty()) {
        std::copy_n(&w[static_cast<size_t>(i * linear.k)], linear.k, added.begin());
        std::fill(row.begin(), row.end(), 0.0f);
      }
      for (int64_t r = 0; r < rank_; ++r) {
        const double factor = scale_ * b[i * rank_ + r];
        for (int64_t j = 0; j < linear.k; ++j) added[j] += factor * a[r * linear.k + j];
      }
      double ratio = 1;
      if (!magnitude.empty()) {
        double squares = 0;
        for (int64_t j = 0; j < linear.k; ++j) squares += (row[j] + added[j]) * (row[j] + added[j]);
        ratio = magnitude[i] / std::sqrt(squares);
      }
      store(linear, i, added, ratio);
      if (!lora_bias.empty()) (*linear.bias)[i] += static_cast<float>(ratio * scale_ * lora_bias[i]);
    }
  }

  // Row i becomes ratio * (row + added).
  static void store(DenseLinear& linear, int64_t i, const Values& added, double ratio) {
    for (int64_t j = 0; j < linear.k; ++j) {
      float& weight = linear.weight[i * linear.k + j];
      if (linear.added.empty()) {
        weight = static_cast<float>(ratio * (weight + added[j]));
      } else {
        weight = static_cast<float>(ratio * weight);
        linear.added[i * linear.k + j] = static_cast<float>(ratio * added[j]);
      }
    }
  }

  // The table [V, H] is the transpose of what PEFT calls the module's weight: A [rank, V], B [H, rank], and
  // DoRA's norms run along V.
  Status into_table(std::span<float> table) {
    const int64_t vocab = module_.in;
    const int64_t hidden = module_.out;
    Values w, a, b, magnitude;
    if (Status s = read_replaced(vocab * hidden, w); !s) return s;
    if (Status s = read_low_rank(vocab, hidden, a, b); !s) return s;
    if (Status s = read("magnitude", hidden, magnitude); !s) return s;
    std::copy(w.begin(), w.end(), table.begin());
    Values column(static_cast<size_t>(vocab));
    for (int64_t h = 0; h < hidden && (rank_ > 0 || !magnitude.empty()); ++h) {
      double squares = 0;
      for (int64_t v = 0; v < vocab; ++v) {
        double value = table[v * hidden + h];
        for (int64_t r = 0; r < rank_; ++r) value += scale_ * b[h * rank_ + r] * a[r * vocab + v];
        column[v] = value;
        squares += value * value;
      }
      const double ratio = magnitude.empty() ? 1 : magnitude[h] / std::sqrt(squares);
      for (int64_t v = 0; v < vocab; ++v) table[v * hidden + h] = static_cast<float>(ratio * column[v]);
    }
    return replace_rows(table, vocab, hidden);
  }

  Status replace_rows(std::span<float> table, int64_t vocab, int64_t hidden) {
    if (!change_.contains("rows")) return {};
    const json& indices = change_["rows"]["indices"];
    Values rows;
    const auto count = static_cast<int64_t>(indices.size());
    if (Status s = read_tensor(change_["rows"]["tensor"], count * hidden, rows); !s) return s;
    for (int64_t i = 0; i < count; ++i) {
      const auto index = indices[static_cast<size_t>(i)].get<int64_t>();
      if (index < 0 || index >= vocab) return Error{"row " + std::to_string(index) + " does not exist"};
      std::copy_n(&rows[i * hidden], hidden, &table[index * hidden]);
    }
    return {};
  }

  Status into_norm(NormGain& norm) {
    Values w, bias;
    const DenseNorm dense = dense_norm(norm);
    if (dense.bias.empty() && change_.contains("bias"))
      return Error{"replaces a bias, but the base has none"};
    if (Status s = read("weight", static_cast<int64_t>(dense.gain.size()), w); !s) return s;
    if (Status s = read("bias", static_cast<int64_t>(dense.bias.size()), bias); !s) return s;
    for (size_t i = 0; i < w.size(); ++i) dense.gain[i] = static_cast<float>(w[i] + module_.norm.offset);
    std::copy(bias.begin(), bias.end(), dense.bias.begin());
    return {};
  }

  Status read_low_rank(int64_t inputs, int64_t outputs, Values& a, Values& b) {
    if (!change_.contains("lowRank")) return {};
    const json& low_rank = change_["lowRank"];
    scale_ = low_rank["scale"].get<double>();
    if (Status s = read_tensor(low_rank["a"], kAnySize, a); !s) return s;
    rank_ = static_cast<int64_t>(a.size()) / inputs;
    if (rank_ < 1 || rank_ * inputs != static_cast<int64_t>(a.size())) return Error{"A does not fit"};
    return read_tensor(low_rank["b"], outputs * rank_, b);
  }

  // As adapter.cc keeps them.
  void narrow(Values& a, Values& b) const {
    if (type_ == AdapterType::stored || rank_ == 0) return;
    std::vector<float> a32, b32;
    const auto inputs = static_cast<int64_t>(a.size()) / rank_,
               outputs = static_cast<int64_t>(b.size()) / rank_;
    const auto factors = type_ == AdapterType::int8
                             ? to_int8(in_f32(a, rank_, inputs, a32), in_f32(b, outputs, rank_, b32))
                             : std::nullopt;
    if (!factors) {
      if (is_wide(change_["lowRank"]["a"])) round_to_bf16(a);
      if (is_wide(change_["lowRank"]["b"])) round_to_bf16(b);
      return;
    }
    a.assign(factors->a.begin(), factors->a.end());
    for (size_t i = 0; i < b.size(); ++i) {
      b[i] = static_cast<double>(factors->scale[i % static_cast<size_t>(rank_)]) * factors->b[i];
    }
  }

  bool is_wide(const json& name) const {
    const std::string& dtype = file_.find(name.get<std::string>())->dtype;
    return dtype == "F64" || dtype == "F32";
  }

  Status read_replaced(int64_t size, Values& w) {
    if (Status s = read("weight", size, w); !s || w.empty()) return s;
    if (type_ != AdapterType::stored && is_wide(change_["weight"])) round_to_bf16(w);
    return {};
  }

  Status read(const char* field, int64_t size, Values& to) {
    return change_.contains(field) ? read_tensor(change_[field], size, to) : Status{};
  }

  Status read_tensor(const json& name, int64_t size, Values& to) {
    const TensorInfo* info = file_.find(name.get<std::string>());
    if (info == nullptr) return Error{"the file has no tensor " + name.get<std::string>()};
    int64_t count = 1;
    for (const int64_t dimension : info->shape) count *= dimension;
    if (size != kAnySize && count != size) {
      return Error{"tensor " + name.get<std::string>() + " has shape " + shape_text(info->shape) +
                   ", which is not " + std::to_string(size) + " numbers"};
    }
    to.resize(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) to[i] = number_at(file_.data(*info), info->dtype, i);
    return {};
  }

  const SafetensorsFile& file_;
  const json& change_;
  const Module& module_;
  const AdapterType type_;
  // The module's rows among those that the tensors have.
  struct Rows {
    int64_t first, of;
  };
  std::optional<Rows> rows_;
  int64_t rank_ = 0;  // 0: no low-rank delta
  double scale_ = 0;
};

Status merge_experts(const SafetensorsFile& file, const json& change, const Network& network,
                     AdapterType type, Weights& weights) {
  const auto name = change.value("module", std::string());
  const std::optional<ExpertModule> place = find_expert_module(network, name);
  if (!place) return Error{"the base model has no module " + name};
  Module module;
  module.name = name;
  module.out = place->out;
  module.in = place->in;
  module.part = place->part;
  module.parts = place->parts;
  return ModuleMerge(file, change, module, type)
      .apply_to_experts(*place, *weights.layers[place->layer].experts);
}

// Of one part of a fused map alone.
Status merge_part(const SafetensorsFile& file, const json& change, Module module, AdapterType type,
                  Weights& weights) {
  const auto part = change["part"].get<size_t>();
  if (part >= module.parts.size()) return Error{"it has no part " + std::to_string(part)};
  module.out = module.parts[part].count;
  module.part += static_cast<int>(part);
  module.parts = {rows_of(0, module.out)};
  return ModuleMerge(file, change, module, type).apply(weights);
}

}  // namespace

Status merge_dense(Weights& weights, const Network& network, const std::vector<Module>& base_modules,
                   const std::string& weights_path, const std::string& changes_json, AdapterType type) {
  Result<SafetensorsFile> file = SafetensorsFile::open(weights_path);
  if (!file) return file.error();
  const json changes = json::parse(changes_json, nullptr, /*allow_exceptions=*/false);
  if (!changes.is_array()) return Error{"the dense changes must be an array"};
  dense_table(*weights.embed);  // before anything changes the head: an untied copy is the base's
  for (const json& change : changes) {
    const auto name = change.value("module", std::string());
    const auto module = std::find_if(base_modules.begin(), base_modules.end(),
                                     [&](const Module& candidate) { return candidate.name == name; });
    const Status status = module == base_modules.end() ? merge_experts(*file, change, network, type, weights)
                          : change.contains("part")
                              ? merge_part(*file, change, *module, type, weights)
                              : ModuleMerge(*file, change, *module, type).apply(weights);
    if (!status) return within(name, status.error());
  }
  return {};
}

}  // namespace lorikeet
