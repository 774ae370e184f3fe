#include "model/quantization_config.h"

#include <nlohmann/json.hpp>

namespace lorikeet {

namespace {

// Block size and double quantization stand in each tensor's own state, which rules. The llm_int8 fields
// concern 8-bit checkpoints and how bitsandbytes runs, and the compute type its arithmetic.
void check_bitsandbytes(JsonFields& fields) {
  if (fields.boolean("load_in_8bit", false)) {
    fields.refuse(
        "8-bit bitsandbytes checkpoints (load_in_8bit) are not implemented (load_in_4bit with nf4 is)");
  }
  if (!fields.boolean("load_in_4bit", false)) fields.fail("load_in_4bit", "true");
  const std::string type = fields.text("bnb_4bit_quant_type").value_or("fp4");  // Transformers' default
  if (type != "nf4") fields.refuse("bnb_4bit_quant_type \"" + type + "\" is not implemented (nf4 is)");
}

}  // namespace

CheckpointFormat read_checkpoint_format(JsonFields& fields) {
  constexpr const char* kName = "quantization_config";
  if (!fields.has(kName)) return CheckpointFormat::plain;
  if (!fields.raw(kName).is_object()) {
    fields.fail(kName, "an object");
    return CheckpointFormat::plain;
  }
  JsonFields own(fields.raw(kName), kName);
  // Configurations from before there was a second method name none.
  const bool unnamed = own.boolean("load_in_4bit", false) || own.boolean("load_in_8bit", false);
  const std::string method = own.text("quant_method").value_or(unnamed ? "bitsandbytes" : "(none)");
  if (method == "mxfp4") return CheckpointFormat::mxfp4;
  if (method != "bitsandbytes") {
    own.refuse(
        "checkpoints quantized by quant_method \"" + method +
        "\" are not implemented (bitsandbytes with nf4 and mxfp4 are); use the unquantized checkpoint and "
        "QUANTIZATION");
  }
  if (!own.error()) check_bitsandbytes(own);
  if (own.error()) fields.refuse(own.error()->message);
  return CheckpointFormat::bitsandbytes_nf4;
}

}  // namespace lorikeet
