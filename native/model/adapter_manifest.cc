#include "model/adapter_manifest.h"

#include <nlohmann/json.hpp>

namespace lorikeet {

namespace {

using nlohmann::json;

// Keeps the first fault: the manifest is ours, so the message needs only to say where to look.
class ManifestReader {
 public:
  Result<std::vector<ManifestModule>> read(const json& modules) {
    std::vector<ManifestModule> list;
    if (!modules.is_array() || modules.empty())
      return Error{"an adapter's modules must be a non-empty array"};
    for (const json& item : modules) {
      list.push_back(read_module(item));
      if (error_) return *error_;
    }
    return list;
  }

 private:
  void fail(const std::string& what) {
    if (!error_) error_ = Error{"adapter manifest, module " + module_ + ": " + what};
  }

  bool knows(const json& object, std::initializer_list<std::string_view> fields, const std::string& where) {
    if (!object.is_object()) return fail(where + " must be an object"), false;
    for (const auto& [name, value] : object.items()) {
      if (std::find(fields.begin(), fields.end(), name) == fields.end()) {
        return fail(where + " has the unknown field " + name), false;
      }
    }
    return true;
  }

  std::vector<int64_t> read_sizes(const json& object, const char* name, int64_t limit) {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_array())
      return fail(std::string(name) + " must be an array"), std::vector<int64_t>{};
    std::vector<int64_t> sizes;
    for (const json& item : *found) {
      const auto size = whole(item, limit);
      if (!size) return fail(std::string(name) + " must hold whole numbers"), sizes;
      sizes.push_back(*size);
    }
    return sizes;
  }

  static std::optional<int64_t> whole(const json& value, int64_t limit) {
    if (!value.is_number_integer()) return std::nullopt;
    const auto number = value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)
                            ? int64_t{-1}
                            : value.get<int64_t>();
    return number >= 0 && number <= limit ? std::optional(number) : std::nullopt;
  }

  TensorRef read_tensor(const json& object, const std::string& where) {
    TensorRef ref;
    if (!knows(object, {"name", "dtype", "shape", "begin", "end"}, where)) return ref;
    for (const char* field : {"name", "dtype"}) {
      if (!object.contains(field) || !object[field].is_string())
        return fail(where + "." + field + " must be text"), ref;
    }
    ref.name = object["name"].get<std::string>();
    ref.dtype = object["dtype"].get<std::string>();
    ref.shape = read_sizes(object, "shape", INT64_MAX);
    const auto begin = object.contains("begin") ? whole(object["begin"], INT64_MAX) : std::nullopt;
    const auto end = object.contains("end") ? whole(object["end"], INT64_MAX) : std::nullopt;
    if (!begin || !end) return fail(where + " needs begin and end"), ref;
    ref.begin = static_cast<uint64_t>(*begin);
    ref.end = static_cast<uint64_t>(*end);
    return ref;
  }

  std::optional<TensorRef> read_optional(const json& object, const char* name) {
    if (!object.contains(name)) return std::nullopt;
    return read_tensor(object[name], name);
  }

  ManifestLora read_lora(const json& object) {
    ManifestLora lora;
    if (!knows(object, {"rank", "scale", "a", "b", "turned", "loraBias"}, "lora")) return lora;
    const auto rank = object.contains("rank") ? whole(object["rank"], 1 << 20) : std::nullopt;
    if (!rank || *rank == 0) return fail("lora.rank must be a positive number"), lora;
    if (!object.contains("scale") || !object["scale"].is_number())
      return fail("lora.scale must be a number"), lora;
    if (!object.contains("a") || !object.contains("b")) return fail("lora needs a and b"), lora;
    lora.rank = static_cast<int32_t>(*rank);
    lora.scale = static_cast<float>(object["scale"].get<double>());
    lora.a = read_tensor(object["a"], "lora.a");
    lora.b = read_tensor(object["b"], "lora.b");
    if (object.contains("turned")) {
      if (!object["turned"].is_boolean()) return fail("lora.turned must be true or false"), lora;
      lora.turned = object["turned"].get<bool>();
    }
    lora.lora_bias = read_optional(object, "loraBias");
    return lora;
  }

  ManifestTokenRows read_token_rows(const json& object) {
    ManifestTokenRows rows;
    if (!knows(object, {"indices", "rows"}, "tokenRows")) return rows;
    for (const int64_t index : read_sizes(object, "indices", INT32_MAX)) {
      rows.indices.push_back(static_cast<int32_t>(index));
    }
    if (!object.contains("rows")) return fail("tokenRows needs rows"), rows;
    rows.rows = read_tensor(object["rows"], "tokenRows.rows");
    return rows;
  }

  void read_place(const json& object, ManifestModule& module) {
    if (object.contains("part")) {
      const auto part = whole(object["part"], INT32_MAX);
      if (!part) return fail("part must be a whole number");
      module.part = static_cast<int32_t>(*part);
    }
    if (!object.contains("within")) return;
    const json& rows = object["within"];
    if (!knows(rows, {"first", "of"}, "within")) return;
    const auto first = rows.contains("first") ? whole(rows["first"], INT64_MAX) : std::nullopt;
    const auto of = rows.contains("of") ? whole(rows["of"], INT64_MAX) : std::nullopt;
    if (!first || !of) return fail("within needs first and of");
    module.within = ManifestRows{*first, *of};
  }

  ManifestModule read_module(const json& object) {
    ManifestModule module;
    module_ = "?";
    if (!knows(object, {"module", "part", "within", "lora", "magnitude", "weight", "bias", "tokenRows"},
               "it"))
      return module;
    if (!object.contains("module") || !object["module"].is_string())
      return fail("module must be text"), module;
    module_ = module.module = object["module"].get<std::string>();
    read_place(object, module);
    if (object.contains("lora")) module.lora = read_lora(object["lora"]);
    module.magnitude = read_optional(object, "magnitude");
    module.weight = read_optional(object, "weight");
    module.bias = read_optional(object, "bias");
    if (object.contains("tokenRows")) module.token_rows = read_token_rows(object["tokenRows"]);
    if (!module.lora && !module.magnitude && !module.weight && !module.bias && !module.token_rows)
      fail("it changes nothing");
    return module;
  }

  std::string module_;
  std::optional<Error> error_;
};

}  // namespace

Result<std::vector<ManifestModule>> parse_manifest_modules(const std::string& json_text) {
  const json modules = json::parse(json_text, nullptr, /*allow_exceptions=*/false);
  if (modules.is_discarded()) return Error{"an adapter's modules are not JSON"};
  return ManifestReader().read(modules);
}

}  // namespace lorikeet
